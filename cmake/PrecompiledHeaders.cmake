# Precompiled headers: those that most sources include are read once for all libraries and once for all
# tests. A source still includes what it uses: the fuzz preset and clang-tidy compile without them, and
# tools/check_includes reads our headers.
#
# dray_precompiled(TARGET PRECOMPILED)
# Lets the sources of TARGET use the headers of the target PRECOMPILED. g++ takes them only if options and
# definitions agree, and otherwise fails by -Winvalid-pch.
#
# Not with clang, which builds only fuzz targets and the few libraries below them.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  option(DRAY_PRECOMPILED_HEADERS "Precompile the headers that most sources include" ON)
else()
  set(DRAY_PRECOMPILED_HEADERS OFF)
endif()

function(dray_precompiled target precompiled)
  if(DRAY_PRECOMPILED_HEADERS)
    target_precompile_headers(${target} REUSE_FROM ${precompiled})
    # A false positive of g++ 12 inside the standard library, which it only reports for precompiled headers.
    target_compile_options(${target} PRIVATE -Wno-stringop-overread)
  endif()
endfunction()

if(NOT DRAY_PRECOMPILED_HEADERS)
  return()
endif()
set(common_headers <algorithm> <cstdint> <filesystem> <functional> <memory> <optional> <span> <string>
                   <string_view> <utility> <vector> <fmt/format.h>)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled.cc CONTENT "")

add_library(dray_precompiled_library OBJECT ${CMAKE_BINARY_DIR}/precompiled.cc)
target_link_libraries(dray_precompiled_library PRIVATE dray_options fmt::fmt)
target_precompile_headers(dray_precompiled_library PRIVATE ${common_headers})

if(DRAY_TESTS)
  add_library(dray_precompiled_test OBJECT ${CMAKE_BINARY_DIR}/precompiled.cc)
  # Tests are executables, which are compiled with -fPIE in place of -fPIC.
  set_target_properties(dray_precompiled_test PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(dray_precompiled_test PRIVATE -fPIE ${DRAY_TEST_OPTIONS})
  target_link_libraries(dray_precompiled_test PRIVATE dray_options fmt::fmt GTest::gtest)
  target_precompile_headers(dray_precompiled_test PRIVATE ${common_headers} <gtest/gtest.h>)
endif()
