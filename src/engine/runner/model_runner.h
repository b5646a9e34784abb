// A model at work: weights, key/value cache and forward pass, behind an interface that takes a step
// and gives its results later. The engine, draft models, calibration, tests and benchmarks all
// compute through it.
//
// Only plain data goes in and out: tokens, places in the cache, rows of logits. Nothing points into
// the caller's sequences. So an implementation may be several ranks in other threads or processes,
// and may compute several steps at the same time. The runner of local_runner.h is one rank on the
// caller's thread, that of group_runner.h several ranks on threads of their own.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/runner/loaded_model.h"
#include "model/forward/decoder.h"
#include "model/forward/kv_cache.h"
#include "model/forward/source_encoder.h"
#include "parallel/communicator.h"
#include "parallel/link.h"

namespace dray::engine {

// The size of a runner's cache and of its steps.
struct RunnerSpec {
  model::KvCacheSpec cache;
  // max_logit_rows is the most rows of logits in one piece (StepPiece); a runner may choose fewer.
  model::DecoderLimits step;
};

// How many sources a step may have, and how long they may be together.
model::EncoderLimits SourceLimits(const RunnerSpec& spec);

// The tokens at [first_position, first_position + num_rows) of one sequence.
struct SequenceRows {
  int64_t first_position = 0;
  int64_t num_rows = 0;
  int64_t num_prompt_tokens = 0;
  std::span<const int32_t> known;         // the sequence's tokens, from position 0
  std::span<const int32_t> guesses = {};  // of the tokens that follow the known ones
  std::span<const BlockId> block_table;   // covers all positions up to the last row
  // How many of the first tokens an encoder reads. The rows have all of them, and at least one more
  // token, or none of them.
  int64_t num_source_tokens = 0;

  // The position of the first row of the decoder.
  int64_t first_decoded() const { return std::max(first_position, num_source_tokens); }
};

// What one step computes: the block copies, then the sources, then all rows as one ragged batch. A step of an
// encoder has sources alone, without slots: the texts of a pass.
struct RunnerStep {
  // [i]: the bytes of block copy_from[i] are copied to block copy_to[i], in the order of i.
  std::vector<int32_t> copy_from;
  std::vector<int32_t> copy_to;
  // Of encoder-decoders: what sequences of the batch begin with. Of encoders: all texts.
  model::SourceBatch sources;
  model::RaggedBatch batch;
  // The rows of the batch whose results the runner returns, in the order in which it returns them. Of
  // encoders: tokens of the texts.
  std::vector<int32_t> logit_rows;
  // Which results these are: the logits, or an encoder's outputs for its classes (a decoder's steps always want
  // the logits); and the states, which the head multiplies to get the logits.
  bool wants_logits = true;
  bool wants_states = false;

  void Clear();
  // Reserves memory for the largest step, so that no step allocates.
  void Reserve(const RunnerSpec& spec);
  void AppendCopy(BlockId from, BlockId to);
  // Appends rows of a sequence that has no rows in this step yet. Returns the index of the first that
  // the decoder computes.
  int32_t AppendRows(const SequenceRows& rows, int64_t block_size);

  bool empty() const { return batch.ids.empty() && copy_from.empty(); }
  // All tokens that the step computes.
  int64_t num_tokens() const {
    return static_cast<int64_t>(batch.ids.size() + sources.texts.ids.size());
  }

 private:
  void AppendSource(const SequenceRows& rows, int64_t block_size);
};

// What one rank of a model has sent to others.
struct RankTraffic {
  parallel::Traffic group;        // to the ranks of its stage
  parallel::LinkTraffic to_next;  // to the next stage
};
// The counters of a rank, in the order in which they stand in RankTraffic, for messages.
using TrafficCounters = std::array<uint64_t, 7>;
TrafficCounters CountersOf(const RankTraffic& traffic);
RankTraffic TrafficOf(const TrafficCounters& counters);

// How much a failure ends.
enum class FailureScope {
  kRequest,  // the requests that have rows in this piece; the step goes on with the next piece
  kStep,     // the step, and every request that has rows in it
  kRunner,   // the runner: it takes no more steps, and its cache is lost (replaceable() below)
};

// A part of a step's results: the logits of logit_rows[first, first + num_rows).
struct StepPiece {
  Status status = {};                        // if this is not ok, there are no logits
  FailureScope scope = FailureScope::kStep;  // what has failed, if the status is not ok
  int64_t first = 0;
  int64_t num_rows = 0;
  // [num_rows, vocab] in host memory; of encoders [num_rows, labels], if the step wants logits. The caller may
  // read and write them until it calls the runner again.
  std::span<float> logits = {};
  // [num_rows, embed_dim], in host memory as well; empty unless the step wants states.
  std::span<const float> states = {};
  bool is_last = false;
  // The time since the runner began to compute the step. It includes the caller's time between the
  // pieces, but not the time that the runner waited for its processors.
  double seconds = 0;
};

// Not thread-safe. May be destroyed while steps are in flight.
class ModelRunner {
 public:
  virtual ~ModelRunner() = default;

  // How many steps may be in flight, that is, submitted and not collected; at least 1.
  virtual size_t max_steps_in_flight() const = 0;
  // Takes a step. The caller must not change the step until its last piece is collected. Steps run
  // in the order in which they are submitted.
  virtual void Submit(const RunnerStep& step) = 0;
  // Waits for the next piece of the oldest step in flight and returns it. A step without logit_rows
  // has one piece with no rows. The step is over after its last piece, or after a failure of scope
  // kStep or kRunner.
  virtual StepPiece Collect() = 0;
  // Forgets the steps in flight. It is unknown what they have written to the cache.
  virtual void Abandon() = 0;

  // Whether the runner's maker can make another runner in place of this one, once a failure of scope
  // kRunner has ended it. True if the failure lies in what the maker begins anew, such as processes
  // of ranks; false if its cause stays, as an error of this process's own device does.
  virtual bool replaceable() const { return false; }

  // Not ok once the runner has failed, also between steps, when no Collect can tell. Runners whose
  // ranks are threads fail only in steps.
  virtual Status failure() const { return {}; }
  // Has `notify` called, on any thread, when failure() is no longer ok; at once if it is not. There
  // is one such function; an empty one ends the calls.
  virtual void OnFailure(const std::function<void()>& /*notify*/) {}

  // What each of several ranks has sent since the runner was made (docs/ranks.md): [rank of the
  // model]. Empty if there is one rank, which is a thread of this process. No step may be in flight.
  // Fails as a step does if a rank in another process is lost.
  virtual Result<std::vector<RankTraffic>> ReadTraffic() { return std::vector<RankTraffic>(); }
};

// Makes the runner of a model, which must outlive it. May be called again, also on another thread,
// once the runner that it made before is destroyed (ModelRunner::replaceable).
using RunnerMaker =
    std::function<Result<std::unique_ptr<ModelRunner>>(LoadedModel&, const RunnerSpec&)>;

}  // namespace dray::engine
