# dray_join_sources(TARGET SOURCE...)
# With DRAY_JOIN_SOURCES, compiles those sources of TARGET together, up to eight at a time, which have no local name
# in common: without precompiled headers most of the time goes into reading the same headers again. Needs Python.
option(DRAY_JOIN_SOURCES "Compile several sources of a library as one translation unit" OFF)
if(DRAY_JOIN_SOURCES)
  find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
endif()

function(dray_join_sources target)
  if(NOT DRAY_JOIN_SOURCES)
    return()
  endif()
  set(sources ${ARGN})
  list(FILTER sources EXCLUDE REGEX "^/")  # generated while building
  list(TRANSFORM sources PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/joined_sources.py 8 ${sources}
                  OUTPUT_VARIABLE units OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  # Local names are part of a unit's choice, so a change of a source chooses again.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${sources})
  string(REPLACE "\n" ";" units "${units}")
  foreach(source unit IN ZIP_LISTS sources units)
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP unit${unit})
  endforeach()
  # A name inside a function may hide a name of another source.
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP UNITY_BUILD_CODE_BEFORE_INCLUDE
                        "#pragma GCC diagnostic ignored \"-Wshadow\"")
endfunction()
