# Functions that every folder uses to define targets. Warnings, sanitizers, include folders and
# tests are set up only here.

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # By default ccache does not cache compilations that use precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()

add_library(dray_options INTERFACE)
target_include_directories(dray_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(dray_options INTERFACE -Wall -Wextra -Wshadow -Werror -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 at -O2 gives false warnings inside the standard library and fmt.
  target_compile_options(dray_options INTERFACE -Wno-maybe-uninitialized -Wno-stringop-overflow
                         -Wno-array-bounds -Wno-restrict)
endif()
if(DRAY_SANITIZE)
  target_compile_options(dray_options INTERFACE -fsanitize=${DRAY_SANITIZE}
                         -fno-sanitize-recover=all)
  target_link_options(dray_options INTERFACE -fsanitize=${DRAY_SANITIZE})
  if(DRAY_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # ThreadSanitizer does not understand Asio's memory fences. Asio's locks order the same
    # accesses.
    target_compile_options(dray_options INTERFACE -Wno-tsan)
  endif()
endif()
if(DRAY_FUZZ)
  target_compile_options(dray_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# Tests of a release build run the release's libraries, but their own code is compiled with -O1, which takes a
# fifth less time.
set(DRAY_TEST_OPTIONS $<$<CONFIG:Release>:-O1>)

# Rooms with few readers of untrusted bytes. The fuzz preset compiles them without optimisation, which takes a
# quarter less time.
set(DRAY_ROOMS_OF_FEW_READERS bench cli engine parallel plan sampling scheduler serving)

# dray_library(NAME base SRCS a.cc b.cc [DEPS tensor] [LIBS fmt::fmt])
# Defines the library dray_<NAME> of this folder. DEPS are other folders of src/ and must agree with
# the layering table, which tools/check_layers enforces. LIBS are external libraries.
function(dray_library)
  cmake_parse_arguments(arg "" "NAME" "SRCS;DEPS;LIBS" ${ARGN})
  add_library(dray_${arg_NAME} STATIC ${arg_SRCS})
  target_link_libraries(dray_${arg_NAME} PUBLIC dray_options)
  foreach(dep ${arg_DEPS})
    target_link_libraries(dray_${arg_NAME} PUBLIC dray_${dep})
  endforeach()
  target_link_libraries(dray_${arg_NAME} PRIVATE fmt::fmt ${arg_LIBS})
  if(DRAY_FUZZ AND arg_NAME IN_LIST DRAY_ROOMS_OF_FEW_READERS)
    target_compile_options(dray_${arg_NAME} PRIVATE -O0)
  endif()
  dray_precompiled(dray_${arg_NAME} dray_precompiled_library)
  dray_join_sources(dray_${arg_NAME} ${arg_SRCS})
endfunction()

# dray_tests(SRCS parse/json_test.cc ... DEPS base [LIBS ...] [LABELS slow])
# Defines one test program for each source, with the source's name.
function(dray_tests)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS;LIBS;LABELS" ${ARGN})
  foreach(source ${arg_SRCS})
    get_filename_component(name ${source} NAME_WE)
    dray_test(NAME ${name} SRCS ${source} DEPS ${arg_DEPS} LIBS ${arg_LIBS} LABELS ${arg_LABELS})
  endforeach()
endfunction()

# dray_test(NAME json_test SRCS json_test.cc DEPS base [LIBS ...] [LABELS slow])
# Defines one GoogleTest program and registers it with CTest under its name.
function(dray_test)
  if(NOT DRAY_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "NAME" "SRCS;DEPS;LIBS;LABELS" ${ARGN})
  add_executable(${arg_NAME} ${arg_SRCS})
  foreach(dep ${arg_DEPS})
    target_link_libraries(${arg_NAME} PRIVATE dray_${dep})
  endforeach()
  target_link_libraries(${arg_NAME} PRIVATE dray_options dray_source_dir fmt::fmt GTest::gtest
                        GTest::gtest_main ${arg_LIBS})
  target_compile_options(${arg_NAME} PRIVATE ${DRAY_TEST_OPTIONS})
  dray_precompiled(${arg_NAME} dray_precompiled_test)
  add_test(NAME ${arg_NAME} COMMAND ${arg_NAME} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  # The test writes to a folder of its own, so that tests and build trees do not disturb each other.
  set(scratch ${CMAKE_BINARY_DIR}/scratch/${arg_NAME})
  file(MAKE_DIRECTORY ${scratch})
  set_tests_properties(${arg_NAME} PROPERTIES ENVIRONMENT TEST_TMPDIR=${scratch} TIMEOUT 300)
  if(arg_LABELS)
    set_tests_properties(${arg_NAME} PROPERTIES LABELS "${arg_LABELS}")
  endif()
endfunction()
