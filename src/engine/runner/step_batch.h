// From a scheduler's plan to the ragged batch that the decoder runs, and the rows of its output
// that are wanted.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/sequence.h"
#include "model/forward/decoder.h"
#include "scheduler/plan.h"

namespace dray::engine {

// Row `row` of the step's output predicts the token at `position + 1` of the sequence.
struct WantedRow {
  int32_t row = 0;
  int64_t position = 0;
  Sequence* sequence = nullptr;
};

// Reused from step to step, so that steady steps allocate nothing.
struct StepBatch {
  model::RaggedBatch ragged;
  // For each plan entry that samples, in order: its last known token's row, then its guesses'.
  std::vector<WantedRow> samples;
  std::vector<WantedRow> prompt_scores;  // prompt positions whose log-probabilities were asked for
};

// Appends an entry's tokens, of which those that `sequence` does not know are its guesses.
void AppendRows(const scheduler::PlanEntry& entry, int32_t block_size, const Sequence& sequence,
                model::RaggedBatch& ragged);
// Appends one entry of a plan; `sequence` is the one it names.
void AppendEntry(const scheduler::PlanEntry& entry, int32_t block_size, Sequence& sequence,
                 StepBatch& batch);
void Clear(StepBatch& batch);

}  // namespace dray::engine
