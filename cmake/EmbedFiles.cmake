# dray_embed_files(NAME demo_files NAMESPACE dray::cli FILES a b ...)
# A static library dray_<NAME> with `std::span<const EmbeddedFile> <Function>()`: the files' bytes are taken in by the
# assembler (.incbin), so that a model of some megabytes costs no compile time.
function(dray_embed_files)
  cmake_parse_arguments(arg "" "NAME" "FILES" ${ARGN})
  set(assembly "    .section .rodata\n")
  set(externs "")
  set(rows "")
  set(index 0)
  foreach(file ${arg_FILES})
    get_filename_component(base ${file} NAME)
    string(APPEND assembly
           "    .global dray_embedded_${index}, dray_embedded_end_${index}\n"
           "    .balign 64\ndray_embedded_${index}:\n    .incbin \"${file}\"\ndray_embedded_end_${index}:\n")
    string(APPEND externs "extern const char dray_embedded_${index}[];\n"
           "extern const char dray_embedded_end_${index}[];\n")
    string(APPEND rows "      {\"${base}\", {dray_embedded_${index}, "
           "static_cast<size_t>(dray_embedded_end_${index} - dray_embedded_${index})}},\n")
    math(EXPR index "${index} + 1")
  endforeach()
  string(APPEND assembly "    .section .note.GNU-stack,\"\",%progbits\n")
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME})
  file(CONFIGURE OUTPUT ${dir}/embedded.S CONTENT "${assembly}" @ONLY)
  file(CONFIGURE OUTPUT ${dir}/embedded.cc @ONLY CONTENT
       "#include \"cli/embedded_files.h\"\n
extern \"C\" {\n${externs}}\n
namespace dray::cli {\n
std::vector<EmbeddedFile> EmbeddedDemoFiles() {\n  return {\n${rows}  };\n}\n
}  // namespace dray::cli\n")
  set_source_files_properties(${dir}/embedded.S PROPERTIES OBJECT_DEPENDS "${arg_FILES}")
  add_library(dray_${arg_NAME} STATIC ${dir}/embedded.S ${dir}/embedded.cc)
  target_link_libraries(dray_${arg_NAME} PRIVATE dray_options)
endfunction()
