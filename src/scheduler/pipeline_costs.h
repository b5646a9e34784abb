// What steps cost in a pipeline, and how its stages get the most done: in how many micro-batches
// sequences are divided, and how many prompt tokens a step takes. docs/ranks.md derives the formulas.
#pragma once

#include <cstdint>

namespace dray::scheduler {

// Of one stage; the layers are divided evenly, so all stages cost about the same.
struct PipelineCosts {
  int64_t num_stages = 1;
  // Seconds of a step of one row, that is, one token, which mostly go into reading the stage's weights:
  // while the other stages have nothing to do, and while all of them read theirs. Stages of one machine
  // share its memory, so the second is longer.
  double read_alone = 0;
  double read_together = 0;
  // Seconds of arithmetic for each further row. Until the costs are measured, only rows count.
  double row = 1;
};

// Seconds that a stage needs for a step of `rows` >= 1 rows while `busy` stages, itself counted,
// compute: those of reading its weights, and those of each further row. A processor does little of the
// one while it waits for the other (bench/results/pipeline.md).
double StageSeconds(const PipelineCosts& costs, int64_t rows, int64_t busy);

// Seconds in which each of `sequences` gets one token, divided evenly into `micro_batches`, at most
// as many as there are stages and sequences.
double RoundSeconds(const PipelineCosts& costs, int64_t sequences, int64_t micro_batches);

// The number of micro-batches with the shortest round; the smallest of several.
int64_t NumMicroBatches(const PipelineCosts& costs, int64_t sequences);

// The prompt tokens of the next step, if `num_tokens` of all prompts are left. Smaller steps fill and
// drain the pipeline faster, but each step reads the weights. `most` if there is nothing to be gained.
int64_t PromptStepTokens(const PipelineCosts& costs, int64_t num_tokens, int64_t most);

}  // namespace dray::scheduler
