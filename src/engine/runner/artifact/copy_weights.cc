#include "engine/runner/artifact/copy_weights.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/human.h"
#include "base/log.h"
#include "base/machine/memory_info.h"

namespace dray::engine {
namespace {

// Processors remember the addresses of 1500 to 3000 pages: of smaller files, a good part of all small pages.
constexpr int64_t kSmallBytes = int64_t{64} << 20;
// Decoding was 12 to 31 % slower where 22 to 43 % of the weights were in small pages (docs/partition.md). So 5 % cost
// some 3 %.
constexpr double kMostlyHuge = 0.95;
// Looking at the pages and copying them would hold up the first answer, which takes up to 1.5 s where a step reads 13 GB
// for the first time (bench/results/load.md).
constexpr std::chrono::seconds kAfterFirstAnswer{3};

}  // namespace

Status CopyWeights(LoadedModel& model,
                   const std::shared_ptr<const artifact::MappedArtifact>& artifact,
                   const LoadModelOptions& options) {
  const int64_t size = artifact->manifest().data.size_bytes;
  const bool is_asked = options.artifact_memory == ArtifactMemory::kCopy;
  if (options.artifact_memory == ArtifactMemory::kMap || options.only_rank) return OkStatus();
  if (!is_asked && size < kSmallBytes) return OkStatus();
  // An eighth of the model stays for the cache of keys and values, which takes its memory later.
  const int64_t left = size / 8;
  if (!is_asked && AvailableMemoryBytes() < size + left) {
    LogInfo(fmt::format("{}: the weights stay mapped: there is no memory for a copy of {}",
                        artifact->DataPath(), HumanBytes(static_cast<uint64_t>(size))));
    return OkStatus();
  }
  artifact::BackgroundCopyOptions copy = {.leave_free_bytes = left};
  if (!is_asked) {
    copy.huge_share_that_does = kMostlyHuge;
    copy.delay = kAfterFirstAnswer;
  }
  DRAY_ASSIGN_OR_RETURN(model.copy, artifact::BackgroundCopy::Start(artifact, copy));
  return OkStatus();
}

}  // namespace dray::engine
