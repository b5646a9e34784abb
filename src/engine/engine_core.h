// The engine without threads: requests in, one step after another, events out through the requests'
// sinks. TokenEngine (token_engine.h) drives it from its own thread; tests drive it directly.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_options.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/step_batch.h"
#include "engine/sequence.h"
#include "engine/speculation/draft_policy.h"
#include "engine/speculation/drafter.h"
#include "model/forward/decoder.h"
#include "model/forward/kv_cache.h"
#include "scheduler/scheduler.h"

namespace dray::engine {

class EngineCore {
 public:
  // `model` must outlive the core. kInvalidArgument or kResourceExhausted, naming the option, if
  // the cache cannot hold one sequence of max_context_tokens.
  // `drafter` guesses tokens (drafter.h); null: nobody does.
  static Result<std::unique_ptr<EngineCore>> Make(LoadedModel& model, const EngineOptions& options,
                                                  std::unique_ptr<Drafter> drafter = nullptr);

  // What is wrong with a request, whoever asks; thread-safe.
  Status Validate(const GenerateRequest& request) const;
  // Takes a validated request; its RequestEndEvent is certain from now on.
  void Add(RequestId id, GenerateRequest generate, std::shared_ptr<EventSink> sink);
  // Ends a request with `status`, if it is still there.
  void End(RequestId id, const Status& status);
  void EndAll(const Status& status);
  // Runs one step; false if there was nothing to do. A step that fails ends every request.
  bool Step();

  bool idle() const { return requests_.empty(); }
  EngineLimits limits() const { return limits_; }
  EngineStats stats() const;
  // Of the cache's blocks against all sequences; for tests.
  Status CheckIntegrity() const { return scheduler_.CheckIntegrity(); }

 private:
  EngineCore(LoadedModel& model, scheduler::Scheduler scheduler, model::KvCache cache,
             const EngineLimits& limits, int64_t max_logit_rows);

  SequenceId AddSequence(Request& request, int sequence_idx, const std::vector<int32_t>& prompt,
                         uint64_t seed);
  void ReserveStep(const model::DecoderLimits& limits);
  // Asks the drafter about every sequence that is at its last known token; fills proposals_.
  void OfferDrafts();
  // Fills planned_, and makes the step's batch of it.
  Status TakePlan(const scheduler::Plan& plan);
  // Computes the batch and takes its tokens.
  Status RunBatch();
  // The step has no results: ends all requests with its error.
  void FailStep(const Status& status);
  void CopyBlocks(const scheduler::Plan& plan);
  Status ScorePrompts();
  Status Sample();
  // Chooses the token after one row, unless a guess before it was wrong or the sequence has ended.
  void SampleRow(const WantedRow& wanted, std::span<float> logits);
  void LearnFromResults();
  void LearnFromClock(double seconds);
  // Appends the sampled token to its sequence and tells the sink; says in `result` whether it was
  // the last. An error ends the request.
  Status TakeToken(const WantedRow& wanted, std::span<float> logits,
                   scheduler::SequenceResult& result);
  void CloseSequence(SequenceId id);
  // Calls visit(wanted, logits of its row) for all rows, computing as many at once as
  // the decoder allows.
  template <typename Visit>
  Status ForEachLogits(std::span<const WantedRow> wanted, const Visit& visit);

  LoadedModel& model_;
  scheduler::Scheduler scheduler_;
  model::KvCache cache_;
  EngineLimits limits_;
  int64_t max_logit_rows_;
  std::unique_ptr<model::Decoder> decoder_;
  std::unique_ptr<Drafter> drafter_;  // may be null
  DraftPolicy draft_policy_;
  int64_t max_drafts_ = 0;
  bool learns_costs_ = false;
  double guess_seconds_ = 0;  // of the step at hand

  std::unordered_map<RequestId, std::unique_ptr<Request>> requests_;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  uint64_t next_sequence_id_ = 1;
  EngineStats counters_;

  // Reused from step to step.
  StepBatch batch_;
  std::vector<scheduler::DraftProposal> proposals_;
  std::vector<PlannedSequence> planned_;
  std::vector<SequenceId> decoding_;                // got a token in the last step, and go on
  std::vector<scheduler::SequenceResult> results_;  // of the planned entries that sample
  bool rows_follow_truth_ = false;  // the last result's next row is behind a right guess
  std::vector<std::pair<RequestId, Status>> failures_;
  sampling::SamplingWorkspace sampling_workspace_;
  std::vector<sampling::TokenLogprob> tops_;
  std::vector<int32_t> logit_rows_;
  std::vector<float> logits_;
  std::vector<int32_t> copy_from_;
  std::vector<int32_t> copy_to_;
};

}  // namespace dray::engine
