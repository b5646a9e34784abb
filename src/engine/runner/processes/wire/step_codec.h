// Steps and their results as bytes, between the front and the ranks of a model in other processes.
//
// A step:    eleven numbers (uint32_t): block copies, tokens, sequences, entries of block tables, rows
//            of logits, sources, their tokens, those of them that have a place in the cache, those that
//            have a type, what the step wants (1: logits, 2: states, 3: both), and a mark that tells a step
//            from other bytes; then the arrays of RunnerStep, 4 bytes a number.
// A report:  a single byte, in the place of a step, asks a rank for its traffic (rank_messages.h).
// A piece:   PieceHeader, then what the step wants of its logits [num_rows, vocab] and its states
//            [num_rows, embed_dim], as f32.
//
// What is decoded is checked in full: a step that passes makes no rank read or write outside of its
// tables and its cache.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "engine/runner/model_runner.h"
#include "engine/runner/result_buffer.h"

namespace dray::engine {

// What every number of a step is checked against.
struct StepBounds {
  RunnerSpec spec;
  int64_t vocab_size = 0;
  RowWidths widths;  // if a step wants all results
  int64_t max_positions = 0;
  bool has_encoder = false;     // only then a sequence may have a source
  bool is_encoder = false;      // then a step has texts alone
  int64_t num_token_types = 0;  // of an encoder; 0: texts have no types

  static StepBounds Of(const model::ModelConfig& config, const RunnerSpec& spec);
};

// The size of the largest step in bytes.
int64_t MaxStepBytes(const RunnerSpec& spec);
// Replaces `out` by the step's bytes. Allocates nothing if `out` has room for MaxStepBytes.
void EncodeStep(const RunnerStep& step, std::vector<std::byte>& out);
// Replaces `step` by what the bytes say. kCorrupt, naming the value and its limit, if they are no
// step within the bounds. Allocates nothing if the step has reserved memory.
Status DecodeStep(std::span<const std::byte> bytes, const StepBounds& bounds, RunnerStep& step);

inline constexpr std::array<std::byte, 1> kReportOrder = {};
inline bool IsReportOrder(std::span<const std::byte> order) {
  return order.size() == kReportOrder.size();
}

// In front of a piece's results (StepPiece).
struct PieceHeader {
  int64_t first = 0;
  int32_t num_rows = 0;
  int32_t is_last = 0;  // 0 or 1
};

// The size of the largest piece in bytes.
int64_t MaxPieceBytes(const RunnerSpec& spec, const RowWidths& widths);
// What all pieces of a step give together.
struct StepResults {
  int64_t num_rows = 0;
  int64_t row_width = 0;  // RowWidths::OfStep(step).sum()
};
// The header of a piece that has come as `bytes`. `expected_first` is the row that it must begin
// with, of all rows of the step. kCorrupt if it is no such piece.
Result<PieceHeader> DecodePiece(std::span<const std::byte> bytes, int64_t expected_first,
                                const StepResults& results, const StepBounds& bounds);

}  // namespace dray::engine
