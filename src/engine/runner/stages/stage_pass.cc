#include "engine/runner/stages/stage_pass.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace dray::engine {
namespace {

Status ReceiveWhole(parallel::LinkReceiver& from, std::span<std::byte> stream) {
  DRAY_ASSIGN_OR_RETURN(const int64_t bytes, from.Receive(stream));
  if (bytes == static_cast<int64_t>(stream.size())) return OkStatus();
  return {StatusCode::kCorrupt, "another stage sent the stream of another step"};
}

// Brings the states, which the last stage has in `stream`, to all stages.
Status PassStates(const parallel::Stage& stage, const RankConnections& links,
                  std::span<std::byte> stream) {
  if (stage.count == 1) return OkStatus();
  if (stage.is_last()) return links.to_first->Send(stream);
  auto& from = stage.is_first() ? *links.from_last : *links.from_before;
  DRAY_RETURN_IF_ERROR(ReceiveWhole(from, stream));
  const bool last_is_next = stage.index + 2 == stage.count;
  return last_is_next ? OkStatus() : links.to_next->Send(stream);
}

Status PassSources(RankWorker& worker, const RankConnections& links, const RunnerStep& step) {
  const auto num_tokens = static_cast<int64_t>(step.sources.slots.size());
  const auto stream = std::as_writable_bytes(worker.SourceStream(num_tokens));
  if (links.from_before != nullptr) {
    DRAY_RETURN_IF_ERROR(ReceiveWhole(*links.from_before, stream));
  }
  DRAY_RETURN_IF_ERROR(worker.EncodeSources(step));
  if (links.to_next != nullptr) DRAY_RETURN_IF_ERROR(links.to_next->Send(stream));
  DRAY_RETURN_IF_ERROR(PassStates(worker.stage(), links, stream));
  return worker.StoreSources(step);
}

}  // namespace

Status PassStage(RankWorker& worker, const RankConnections& links, const RunnerStep& step) {
  worker.CopyBlocks(step);
  if (!step.sources.slots.empty()) DRAY_RETURN_IF_ERROR(PassSources(worker, links, step));
  const int64_t num_rows = worker.NumRows(step);
  if (num_rows == 0) return OkStatus();
  const auto stream = std::as_writable_bytes(worker.Stream(num_rows));
  if (links.from_before != nullptr) {
    DRAY_RETURN_IF_ERROR(ReceiveWhole(*links.from_before, stream));
  }
  DRAY_RETURN_IF_ERROR(worker.Forward(step));
  return links.to_next == nullptr ? OkStatus() : links.to_next->Send(stream);
}

}  // namespace dray::engine
