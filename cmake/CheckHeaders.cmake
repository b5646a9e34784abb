# check_headers compiles every header under src/ alone, and includes it twice, to check that it is
# self-contained and guarded. It is not part of the default build; `make lint` builds it.
#
# isa/*.h are left out: they are compiled once per instruction set, each time with its flags.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/src/*.h)
list(FILTER headers EXCLUDE REGEX "/isa/")
set(sources)
foreach(header ${headers})
  string(REGEX REPLACE "[/.]" "_" name ${header})
  set(source ${CMAKE_BINARY_DIR}/check_headers/${name}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n#include \"${header}\"\n")
  list(APPEND sources ${source})
endforeach()
add_library(check_headers OBJECT EXCLUDE_FROM_ALL ${sources})
target_link_libraries(check_headers PRIVATE dray_options)
target_compile_options(check_headers PRIVATE -O0)
