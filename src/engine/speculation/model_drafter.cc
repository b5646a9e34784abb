#include "engine/speculation/model_drafter.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "engine/runner/cache_size.h"
#include "sampling/candidates.h"

namespace dray::engine {
namespace {

// A row of the draft model's step. It predicts the token that is `num_ahead` places behind the
// first unknown token of the sequence.
struct GuessedRow {
  Sequence* sequence = nullptr;
  int64_t num_ahead = 0;
};

class ModelDrafter final : public Drafter {
 public:
  ModelDrafter(LoadedModel& draft, double cost_of_guess, RunnerMaker make_runner)
      : draft_(draft), cost_of_guess_(cost_of_guess), make_runner_(std::move(make_runner)) {}

  int64_t BlockBytes(const EngineOptions& options) const override {
    return draft_.BlockBytes(
        {.num_blocks = 1, .block_size = options.block_size, .dtype = KvDType(draft_, options)});
  }
  Status Prepare(const EngineOptions& options, const RunnerSpec& model) override;
  double CostOfGuess() const override { return cost_of_guess_; }
  std::span<const float> Priors() const override {
    // Small models of a family are reported to reach this. A few sentences correct it.
    static constexpr std::array<float, 1> kPriors = {0.7F};
    return kPriors;
  }

  DraftOffer Offer(Sequence& sequence, int64_t most) override {
    const auto known = static_cast<int64_t>(sequence.tokens.size());
    return {.num_drafts = std::clamp<int64_t>(max_positions() - known, 0, most)};
  }
  void OnPreempted(Sequence& sequence) override { sequence.drafts.num_computed.reset(); }
  Status Draft(std::span<const PlannedSequence> planned,
               std::span<const scheduler::BlockCopy> copies) override;
  void OnChecked(Sequence& sequence) override {
    // Behind the last accepted guess the cache holds refused ones. The last known token is computed
    // anew, because its logits are wanted.
    const auto known = static_cast<int64_t>(sequence.tokens.size());
    sequence.drafts.num_computed = std::min(sequence.drafts.num_computed.value_or(0), known - 1);
  }
  void OnAbandoned() override {
    runner_->Abandon();
    ClearStep();
  }

 private:
  int64_t max_positions() const { return draft_.description.config.stack.max_positions; }
  // Computes the known tokens, and makes the first guess of each sequence.
  Status CatchUp(std::span<const PlannedSequence> planned);
  // Adds the sequence's tokens before position `end` to the step; runs the step whenever it is
  // full.
  Status Append(const PlannedSequence& planned, int64_t end);
  // Marks the last row of the step as one to make a guess from.
  void WantGuess(Sequence& sequence, int64_t num_ahead);
  // Runs the step and appends a guess to each sequence that wants one.
  Status Run();
  void TakeGuesses(const StepPiece& piece);
  void ClearStep();

  LoadedModel& draft_;
  double cost_of_guess_;
  RunnerMaker make_runner_;
  RunnerSpec spec_;
  std::unique_ptr<ModelRunner> runner_;

  // Used again from step to step.
  RunnerStep step_;
  std::vector<GuessedRow> wanted_;  // parallel to step_.logit_rows
  sampling::SamplingWorkspace workspace_;
};

Status ModelDrafter::Prepare(const EngineOptions& options, const RunnerSpec& model) {
  spec_ = model;
  spec_.cache.dtype = KvDType(draft_, options);
  DRAY_ASSIGN_OR_RETURN(runner_, make_runner_(draft_, spec_));
  step_.Reserve(spec_);
  wanted_.reserve(static_cast<size_t>(spec_.step.max_sequences));
  return OkStatus();
}

Status ModelDrafter::Draft(std::span<const PlannedSequence> planned,
                           std::span<const scheduler::BlockCopy> copies) {
  for (const scheduler::BlockCopy& copy : copies) step_.AppendCopy(copy.from, copy.to);
  DRAY_RETURN_IF_ERROR(CatchUp(planned));
  for (int64_t round = 1;; ++round) {
    bool any = false;
    for (const PlannedSequence& one : planned) {
      if (one.entry->num_drafts <= round) continue;
      any = true;
      DRAY_RETURN_IF_ERROR(Append(one, *one.sequence->drafts.num_computed + 1));
      WantGuess(*one.sequence, round);
    }
    if (!any) return OkStatus();
    DRAY_RETURN_IF_ERROR(Run());
  }
}

Status ModelDrafter::CatchUp(std::span<const PlannedSequence> planned) {
  for (const PlannedSequence& one : planned) {
    const scheduler::PlanEntry& entry = *one.entry;
    Sequence& sequence = *one.sequence;
    // The draft model has computed the blocks that the sequence got from its parent, too.
    if (!sequence.drafts.num_computed) sequence.drafts.num_computed = entry.first_token;
    const bool single = entry.num_tokens == 1 && entry.first_token >= sequence.num_prompt_tokens;
    if (single) continue;
    const int64_t known_end = entry.first_token + entry.num_tokens - entry.num_drafts;
    DRAY_RETURN_IF_ERROR(Append(one, std::min(known_end, max_positions())));
    if (entry.num_drafts > 0) WantGuess(sequence, 0);
  }
  return Run();
}

Status ModelDrafter::Append(const PlannedSequence& planned, int64_t end) {
  Sequence& sequence = *planned.sequence;
  int64_t& computed = *sequence.drafts.num_computed;
  while (computed < end) {
    const int64_t room = spec_.step.max_batch_tokens - static_cast<int64_t>(step_.batch.ids.size());
    if (room == 0) {
      DRAY_RETURN_IF_ERROR(Run());
      continue;
    }
    const int64_t num_rows = std::min(end - computed, room);
    step_.AppendRows({.first_position = computed,
                      .num_rows = num_rows,
                      .num_prompt_tokens = sequence.num_prompt_tokens,
                      .known = sequence.tokens,
                      .guesses = sequence.drafts.tokens,
                      .block_table = planned.entry->block_table},
                     spec_.cache.block_size);
    computed += num_rows;
  }
  return OkStatus();
}

void ModelDrafter::WantGuess(Sequence& sequence, int64_t num_ahead) {
  step_.logit_rows.push_back(static_cast<int32_t>(step_.batch.ids.size()) - 1);
  wanted_.push_back({&sequence, num_ahead});
}

Status ModelDrafter::Run() {
  if (step_.empty()) return OkStatus();
  runner_->Submit(step_);
  StepPiece piece;
  while (!piece.is_last) {
    piece = runner_->Collect();
    DRAY_RETURN_IF_ERROR(piece.status);
    TakeGuesses(piece);
  }
  ClearStep();
  return OkStatus();
}

void ModelDrafter::TakeGuesses(const StepPiece& piece) {
  const auto vocab = static_cast<size_t>(draft_.description.config.vocab_size);
  for (int64_t i = 0; i < piece.num_rows; ++i) {
    const GuessedRow& wanted = wanted_[static_cast<size_t>(piece.first + i)];
    const auto logits = piece.logits.subspan(static_cast<size_t>(i) * vocab, vocab);
    // If the draft model's logits are not finite, token 0 is the guess.
    wanted.sequence->drafts.tokens.push_back(
        wanted.sequence->sampler->Guess(logits, wanted.num_ahead, workspace_).value_or(0));
  }
}

void ModelDrafter::ClearStep() {
  step_.Clear();
  wanted_.clear();
}

}  // namespace

std::unique_ptr<Drafter> MakeModelDrafter(LoadedModel& draft, double cost_of_guess,
                                          RunnerMaker make_runner) {
  return std::make_unique<ModelDrafter>(draft, cost_of_guess, std::move(make_runner));
}

}  // namespace dray::engine
