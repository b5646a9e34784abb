#include "engine/runner/processes/rank_loop.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "engine/runner/stages/stage_pass.h"

namespace dray::engine {
namespace {

constexpr size_t kHeaderFloats = sizeof(PieceHeader) / sizeof(float);

class RankLoop {
 public:
  explicit RankLoop(const RankDuties& duties)
      : duties_(duties),
        bounds_(duties_.bounds),
        order_(static_cast<size_t>(MaxStepBytes(bounds_.spec))),
        rows_at_once_(static_cast<size_t>(bounds_.spec.step.max_logit_rows)) {
    step_.Reserve(bounds_.spec);
    if (duties_.results == nullptr) return;
    piece_.resize(kHeaderFloats + rows_at_once_ * static_cast<size_t>(bounds_.widths.sum()));
  }

  Status Run() {
    for (;;) {
      DRAY_ASSIGN_OR_RETURN(const int64_t size, duties_.orders->Receive(order_));
      if (size == 0) return OkStatus();
      const auto order = std::span(order_).first(static_cast<size_t>(size));
      if (IsReportOrder(order)) {
        DRAY_RETURN_IF_ERROR(duties_.report());
        continue;
      }
      DRAY_RETURN_IF_ERROR(DecodeStep(order, bounds_, step_));
      DRAY_RETURN_IF_ERROR(RunStep());
    }
  }

 private:
  Status RunStep() {
    RankWorker& worker = *duties_.worker;
    worker.Begin(step_);
    DRAY_RETURN_IF_ERROR(PassStage(worker, *duties_.connections, step_));
    if (!duties_.is_last_stage) return worker.End();
    return RunPieces();
  }

  Status RunPieces() {
    size_t num_done = 0;
    for (bool is_last = false; !is_last;) {
      const auto rows = std::span(step_.logit_rows).subspan(num_done);
      const auto now = rows.first(std::min(rows.size(), rows_at_once_));
      is_last = now.size() == rows.size();
      const StepPart part = {.step = &step_, .rows = now, .is_last = is_last};
      DRAY_RETURN_IF_ERROR(duties_.worker->Compute(part, ResultsOf(now.size())));
      if (is_last) DRAY_RETURN_IF_ERROR(duties_.worker->End());
      DRAY_RETURN_IF_ERROR(SendPiece({.first = static_cast<int64_t>(num_done),
                                      .num_rows = static_cast<int32_t>(now.size()),
                                      .is_last = is_last ? 1 : 0}));
      num_done += now.size();
    }
    return OkStatus();
  }

  // The numbers behind the header of a piece of the step.
  size_t NumbersOf(size_t num_rows) const {
    return num_rows * static_cast<size_t>(bounds_.widths.OfStep(step_).sum());
  }

  // Where the rank writes its next piece.
  model::RowResults ResultsOf(size_t num_rows) {
    if (duties_.results == nullptr) return {};
    return DivideResults(std::span(piece_).subspan(kHeaderFloats, NumbersOf(num_rows)), num_rows,
                         bounds_.widths.OfStep(step_));
  }

  Status SendPiece(const PieceHeader& header) {
    if (duties_.results == nullptr) return OkStatus();
    std::memcpy(piece_.data(), &header, sizeof(header));
    const size_t num_floats = kHeaderFloats + NumbersOf(static_cast<size_t>(header.num_rows));
    return duties_.results->Send(std::as_bytes(std::span(piece_).first(num_floats)));
  }

  const RankDuties& duties_;
  const StepBounds& bounds_;
  std::vector<std::byte> order_;
  RunnerStep step_;
  size_t rows_at_once_;
  std::vector<float> piece_;  // a PieceHeader, and behind it the results
};

}  // namespace

Status RunRankLoop(const RankDuties& duties) { return RankLoop(duties).Run(); }

}  // namespace dray::engine
