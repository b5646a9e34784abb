#include "checkpoint/split/key_files.h"

#include <fmt/format.h>

#include <set>

#include "base/file.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/untrusted_json.h"

namespace dray::checkpoint {
namespace {

constexpr uint64_t kMaxIndexBytes = 100'000'000;  // as a shard index

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> ReadKeyFiles(
    const std::filesystem::path& index) {
  const auto fault = [&](StatusCode code, std::string_view tensor, std::string_view what) {
    return Status(code, fmt::format("{}: tensor {}: {}", index.string(), Quoted(tensor), what));
  };
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(index, kMaxIndexBytes));
  DRAY_ASSIGN_OR_RETURN(const Json json, ParseUntrustedJson(text, index.string()));
  std::vector<std::pair<std::string, std::string>> entries;
  std::set<std::string_view> files;
  for (const auto& [tensor, file] : *json.AsObject()) {
    const std::string* name = file.AsString();
    if (!IsSaneName(tensor)) {
      return fault(StatusCode::kCorrupt, tensor, "the name is empty or has control characters");
    }
    if (name == nullptr || !IsPlainFileName(*name)) {
      return fault(StatusCode::kCorrupt, tensor,
                   fmt::format("its file is {}, which is not a plain file name",
                               name == nullptr ? file.KindName() : Quoted(*name)));
    }
    if (name->ends_with(".empty_json")) {
      return fault(StatusCode::kUnsupported, tensor,
                   fmt::format("{} stands for random numbers; only checkpoints with weights are "
                               "read",
                               Quoted(*name)));
    }
    if (!files.insert(*name).second) {
      return fault(StatusCode::kCorrupt, tensor,
                   fmt::format("its file {} is another tensor's too", Quoted(*name)));
    }
    entries.emplace_back(tensor, *name);
  }
  if (entries.empty()) {
    return Status(StatusCode::kCorrupt, fmt::format("{}: it names no tensor", index.string()));
  }
  return entries;
}

}  // namespace dray::checkpoint
