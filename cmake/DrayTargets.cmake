# The target helpers that every folder uses, so that warnings, sanitizers, include roots and tests are
# said once.

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()

add_library(dray_options INTERFACE)
target_include_directories(dray_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(dray_options INTERFACE -Wall -Wextra -Wshadow -Werror -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False positives of g++ 12 at -O2 inside the standard library and fmt.
  target_compile_options(dray_options INTERFACE -Wno-maybe-uninitialized -Wno-stringop-overflow
                         -Wno-array-bounds -Wno-restrict)
endif()
if(DRAY_SANITIZE)
  target_compile_options(dray_options INTERFACE -fsanitize=${DRAY_SANITIZE}
                         -fno-sanitize-recover=all)
  target_link_options(dray_options INTERFACE -fsanitize=${DRAY_SANITIZE})
  if(DRAY_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Asio's memory fences, which ThreadSanitizer does not model; its locks order the same accesses.
    target_compile_options(dray_options INTERFACE -Wno-tsan)
  endif()
endif()
if(DRAY_FUZZ)
  target_compile_options(dray_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# dray_library(NAME base SRCS a.cc b.cc [DEPS tensor] [LIBS fmt::fmt])
# The library dray_<NAME> of the folder that calls it. DEPS are other folders of src/, and must agree with
# the layering table that tools/check_layers enforces; LIBS are outside libraries.
function(dray_library)
  cmake_parse_arguments(arg "" "NAME" "SRCS;DEPS;LIBS" ${ARGN})
  add_library(dray_${arg_NAME} STATIC ${arg_SRCS})
  target_link_libraries(dray_${arg_NAME} PUBLIC dray_options)
  foreach(dep ${arg_DEPS})
    target_link_libraries(dray_${arg_NAME} PUBLIC dray_${dep})
  endforeach()
  target_link_libraries(dray_${arg_NAME} PRIVATE ${arg_LIBS})
endfunction()

# dray_tests(SRCS parse/json_test.cc ... DEPS base [LIBS ...] [LABELS slow])
# One program for each source, named as the file is.
function(dray_tests)
  cmake_parse_arguments(arg "" "" "SRCS;DEPS;LIBS;LABELS" ${ARGN})
  foreach(source ${arg_SRCS})
    get_filename_component(name ${source} NAME_WE)
    dray_test(NAME ${name} SRCS ${source} DEPS ${arg_DEPS} LIBS ${arg_LIBS} LABELS ${arg_LABELS})
  endforeach()
endfunction()

# dray_test(NAME json_test SRCS json_test.cc DEPS base [LIBS ...] [LABELS slow])
# One GoogleTest program, registered with CTest under its name.
function(dray_test)
  if(NOT DRAY_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "NAME" "SRCS;DEPS;LIBS;LABELS" ${ARGN})
  add_executable(${arg_NAME} ${arg_SRCS})
  foreach(dep ${arg_DEPS})
    target_link_libraries(${arg_NAME} PRIVATE dray_${dep})
  endforeach()
  target_link_libraries(${arg_NAME} PRIVATE dray_options GTest::gtest GTest::gtest_main ${arg_LIBS})
  target_compile_definitions(${arg_NAME} PRIVATE DRAY_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${arg_NAME} COMMAND ${arg_NAME} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  # A folder of its own for what it writes, so that tests and build trees do not meet there.
  set(scratch ${CMAKE_BINARY_DIR}/scratch/${arg_NAME})
  file(MAKE_DIRECTORY ${scratch})
  set_tests_properties(${arg_NAME} PROPERTIES ENVIRONMENT TEST_TMPDIR=${scratch} TIMEOUT 300)
  if(arg_LABELS)
    set_tests_properties(${arg_NAME} PROPERTIES LABELS "${arg_LABELS}")
  endif()
endfunction()
