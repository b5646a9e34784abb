# check_headers compiles each header under src/ that has no source of its own, alone, to check that it is
# self-contained. It is not part of the default build; `make lint` builds it.
#
# A header foo.h beside foo.cc is the first that foo.cc includes, so the build itself checks it. That it is
# the first, and that each header is guarded, is checked by tools/check_includes. So is that a header
# includes what the precompiled headers would hide from both.
#
# isa/*.h are left out: they are compiled once per instruction set, each time with its flags.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/src/*.h)
list(FILTER headers EXCLUDE REGEX "/isa/")
set(sources)
foreach(header ${headers})
  string(REGEX REPLACE "\\.h$" ".cc" own_source ${header})
  if(NOT EXISTS ${CMAKE_SOURCE_DIR}/src/${own_source})
    string(REGEX REPLACE "[/.]" "_" name ${header})
    set(source ${CMAKE_BINARY_DIR}/check_headers/${name}.cc)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n")
    list(APPEND sources ${source})
  endif()
endforeach()
add_library(check_headers OBJECT EXCLUDE_FROM_ALL ${sources})
target_link_libraries(check_headers PRIVATE dray_options fmt::fmt)
dray_precompiled(check_headers dray_precompiled_library)
