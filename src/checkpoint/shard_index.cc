#include "checkpoint/shard_index.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/untrusted_json.h"

namespace dray::checkpoint {
namespace {

constexpr uint64_t kMaxIndexBytes = 100'000'000;  // the limit of the headers that it repeats

}  // namespace

Result<ShardIndex> ReadShardIndex(const std::filesystem::path& path) {
  const auto corrupt = [&](std::string_view what) {
    return Status(StatusCode::kCorrupt, fmt::format("{}: {}", path.string(), what));
  };
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxIndexBytes));
  DRAY_ASSIGN_OR_RETURN(const Json json, ParseUntrustedJson(text, path.string()));
  if (const Json* metadata = json.Find("metadata"); metadata && !metadata->is_object()) {
    return corrupt(fmt::format("\"metadata\" is a {}, not an object", metadata->KindName()));
  }
  const Json* map = json.Find("weight_map");
  if (map == nullptr || !map->is_object()) {
    return corrupt("\"weight_map\" is missing or not an object");
  }
  ShardIndex index;
  for (const auto& [tensor, file] : *map->AsObject()) {
    const std::string* name = file.AsString();
    if (!IsSaneName(tensor)) {
      return corrupt(fmt::format(
          "\"weight_map\": the tensor name {} is empty or has control characters", Quoted(tensor)));
    }
    if (name == nullptr) {
      return corrupt(fmt::format("\"weight_map\": the file of tensor {} is a {}, not a string",
                                 Quoted(tensor), file.KindName()));
    }
    if (!IsPlainFileName(*name)) {
      return corrupt(
          fmt::format("\"weight_map\": the file of tensor {} is {}, which is not a plain file name",
                      Quoted(tensor), Quoted(*name)));
    }
    index.weight_map.emplace_back(tensor, *name);
    index.files.push_back(*name);
  }
  if (index.files.empty()) return corrupt("\"weight_map\" is empty");
  std::sort(index.files.begin(), index.files.end());
  index.files.erase(std::unique(index.files.begin(), index.files.end()), index.files.end());
  return index;
}

}  // namespace dray::checkpoint
