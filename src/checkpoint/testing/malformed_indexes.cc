// The shard index cases of malformed_files.h.
#include <fmt/format.h>

#include "checkpoint/testing/malformed_builders.h"
#include "checkpoint/testing/malformed_files.h"

namespace dray::checkpoint {

std::vector<WellFormedFile> WellFormedShards() {
  const auto shard = [](const char* tensor) {
    return SafetensorsFile(
        fmt::format(R"({{"{}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}})", tensor),
        "1234");
  };
  return {{"1.safetensors", shard("a")}, {"2.safetensors", shard("b")}};
}

std::vector<MalformedCase> MalformedIndexes() {
  std::vector<MalformedCase> cases;
  const auto add = [&](const char* name, const std::string& content, const char* expected) {
    cases.push_back({name, content, expected});
  };
  add("empty_file", "", "JSON");
  add("no_json", "weights", "JSON");
  add("truncated", R"({"weight_map":{"a":"1.safe)", "JSON");
  add("array", "[]", "not an object");
  add("no_map", "{}", "weight_map");
  add("map_null", R"({"weight_map":null})", "weight_map");
  add("map_array", R"({"weight_map":[]})", "weight_map");
  add("map_empty", R"({"weight_map":{}})", "weight_map");
  add("map_twice", R"({"weight_map":{"a":"1.safetensors"},"weight_map":{}})", "stands twice");
  add("metadata_string", R"({"metadata":"x","weight_map":{"a":"1.safetensors"}})", "metadata");
  add("too_deep", R"({"metadata":{"x":)" + std::string(200, '[') + std::string(200, ']') + "}}",
      "JSON");
  const auto add_map = [&](const char* name, const char* map, const char* expected) {
    cases.push_back(
        {name, fmt::format(R"({{"metadata":{{}},"weight_map":{{{}}}}})", map), expected});
  };
  add_map("tensor_twice", R"("a":"1.safetensors","a":"1.safetensors")", "stands twice");
  add_map("tensor_name_empty", R"("":"1.safetensors")", "control characters");
  add_map("tensor_name_nul", R"("a\u0000":"1.safetensors")", "control characters");
  add_map("file_null", R"("a":null)", "tensor \"a\"");
  add_map("file_number", R"("a":1)", "tensor \"a\"");
  add_map("file_array", R"("a":["1.safetensors"])", "tensor \"a\"");
  add_map("file_empty", R"("a":"")", "plain file name");
  add_map("file_dot", R"("a":".")", "plain file name");
  add_map("file_parent", R"("a":"..")", "plain file name");
  add_map("file_in_parent", R"("a":"../1.safetensors")", "plain file name");
  add_map("file_in_folder", R"("a":"x/1.safetensors")", "plain file name");
  add_map("file_here", R"("a":"./1.safetensors")", "plain file name");
  add_map("file_absolute", R"("a":"/etc/passwd")", "plain file name");
  add_map("file_backslash", R"("a":"..\\1.safetensors")", "plain file name");
  add_map("file_nul", R"("a":"1.safetensors\u0000.bin")", "plain file name");
  add_map("file_newline", R"("a":"1.safetensors\n")", "plain file name");
  add_map("file_missing", R"("a":"1.safetensors","b":"3.safetensors")",
          "\"3.safetensors\" is missing");
  add_map("tensor_elsewhere", R"("a":"2.safetensors","b":"1.safetensors")", "tensor \"a\"");
  add_map("index_of_itself", R"("a":"model.safetensors.index.json")", "header length");
  return cases;
}

}  // namespace dray::checkpoint
