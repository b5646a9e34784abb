#include "engine/speculation/model_drafter.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "engine/runner/step_batch.h"
#include "sampling/candidates.h"

namespace dray::engine {
namespace {

class ModelDrafter final : public Drafter {
 public:
  ModelDrafter(LoadedModel& draft, double cost_of_guess)
      : draft_(draft), cost_of_guess_(cost_of_guess) {}

  int64_t BlockBytes(const EngineOptions& options) const override {
    return model::KvCache::BlockBytes(draft_.description.config.stack, CacheSpec(1, options));
  }
  Status Prepare(const CacheSize& size, const EngineOptions& options,
                 const model::DecoderLimits& limits) override;
  double CostOfGuess() const override { return cost_of_guess_; }
  std::span<const float> Priors() const override {
    // What small models of a family are reported to reach; a few sentences tell.
    static constexpr std::array<float, 1> kPriors = {0.7F};
    return kPriors;
  }

  DraftOffer Offer(Sequence& sequence, int64_t most) override {
    const auto known = static_cast<int64_t>(sequence.tokens.size());
    return {.num_drafts = std::clamp<int64_t>(max_positions() - known, 0, most)};
  }
  void OnPreempted(Sequence& sequence) override { sequence.draft.num_computed = kNoneComputed; }
  void OnBlockCopies(std::span<const int32_t> from, std::span<const int32_t> to) override;
  Status Draft(std::span<const PlannedSequence> planned) override;
  void OnChecked(Sequence& sequence) override {
    // Behind the last accepted guess the cache holds others. The last token is computed anew: its
    // logits are wanted.
    sequence.draft.num_computed =
        std::min(sequence.draft.num_computed, static_cast<int64_t>(sequence.tokens.size()) - 1);
  }

 private:
  int64_t max_positions() const { return draft_.description.config.stack.max_positions; }
  model::KvCacheSpec CacheSpec(int64_t num_blocks, const EngineOptions& options) const {
    return {.num_blocks = num_blocks,
            .block_size = options.block_size,
            .dtype = KvDType(draft_, options)};
  }
  // Computes all that is known, and makes the first guesses.
  Status CatchUp(std::span<const PlannedSequence> planned);
  // Adds tokens up to `end` to the batch, running it when it is full.
  Status Append(const PlannedSequence& planned, int64_t end);
  // Runs the batch and appends a guess to each sequence whose logits were wanted.
  Status Run();

  LoadedModel& draft_;
  double cost_of_guess_;
  std::optional<model::KvCache> cache_;
  std::unique_ptr<model::Decoder> decoder_;
  model::DecoderLimits limits_;

  // Reused from step to step.
  model::RaggedBatch batch_;
  std::vector<WantedRow> wanted_;
  std::vector<int32_t> logit_rows_;
  std::vector<float> logits_;
  sampling::SamplingWorkspace workspace_;
};

Status ModelDrafter::Prepare(const CacheSize& size, const EngineOptions& options,
                             const model::DecoderLimits& limits) {
  limits_ = limits;
  const model::ModelConfig& config = draft_.description.config;
  DRAY_ASSIGN_OR_RETURN(cache_, model::KvCache::Make(*draft_.backend, config.stack,
                                                     CacheSpec(size.spec.num_blocks, options)));
  DRAY_ASSIGN_OR_RETURN(decoder_,
                        model::Decoder::Make(config, draft_.weights, *draft_.backend, limits_));
  batch_.Reserve(limits_);
  wanted_.reserve(static_cast<size_t>(limits_.max_sequences));
  logit_rows_.reserve(static_cast<size_t>(limits_.max_logit_rows));
  logits_.resize(static_cast<size_t>(limits_.max_logit_rows * config.vocab_size));
  return OkStatus();
}

void ModelDrafter::OnBlockCopies(std::span<const int32_t> from, std::span<const int32_t> to) {
  for (int64_t layer = 0; layer < draft_.description.config.stack.num_layers; ++layer) {
    draft_.backend->ops().CopyBlocks({.cache = cache_->Layer(layer),
                                      .from = from.data(),
                                      .to = to.data(),
                                      .num_copies = static_cast<int64_t>(from.size())});
  }
}

Status ModelDrafter::Draft(std::span<const PlannedSequence> planned) {
  DRAY_RETURN_IF_ERROR(CatchUp(planned));
  for (int64_t round = 1;; ++round) {
    bool any = false;
    for (const PlannedSequence& one : planned) {
      if (one.entry->num_drafts <= round) continue;
      any = true;
      DRAY_RETURN_IF_ERROR(Append(one, one.sequence->draft.num_computed + 1));
      wanted_.push_back({static_cast<int32_t>(batch_.ids.size()) - 1, round, one.sequence});
    }
    if (!any) return OkStatus();
    DRAY_RETURN_IF_ERROR(Run());
  }
}

Status ModelDrafter::CatchUp(std::span<const PlannedSequence> planned) {
  for (const PlannedSequence& one : planned) {
    const scheduler::PlanEntry& entry = *one.entry;
    Sequence& sequence = *one.sequence;
    // Blocks that it got from its parent are computed here, too.
    if (sequence.draft.num_computed == kNoneComputed) {
      sequence.draft.num_computed = entry.first_token;
    }
    const bool single = entry.num_tokens == 1 && entry.first_token >= sequence.num_prompt_tokens;
    if (single) continue;
    DRAY_RETURN_IF_ERROR(Append(
        one, std::min(entry.first_token + entry.num_tokens - entry.num_drafts, max_positions())));
    if (entry.num_drafts > 0) {
      wanted_.push_back({static_cast<int32_t>(batch_.ids.size()) - 1, 0, &sequence});
    }
  }
  return Run();
}

Status ModelDrafter::Append(const PlannedSequence& planned, int64_t end) {
  int64_t& computed = planned.sequence->draft.num_computed;
  while (computed < end) {
    const int64_t room = limits_.max_batch_tokens - static_cast<int64_t>(batch_.ids.size());
    if (room == 0) {
      DRAY_RETURN_IF_ERROR(Run());
      continue;
    }
    const int64_t num_tokens = std::min(end - computed, room);
    AppendRows({.id = planned.entry->id,
                .first_token = computed,
                .num_tokens = num_tokens,
                .block_table = planned.entry->block_table},
               static_cast<int32_t>(cache_->spec().block_size), *planned.sequence, batch_);
    computed += num_tokens;
  }
  return OkStatus();
}

Status ModelDrafter::Run() {
  if (batch_.ids.empty()) return OkStatus();
  kernels::StepTurn turn(*draft_.backend, static_cast<int64_t>(batch_.ids.size()));
  DRAY_RETURN_IF_ERROR(decoder_->Forward(batch_, *cache_));
  const auto vocab = static_cast<size_t>(draft_.description.config.vocab_size);
  std::span<const WantedRow> wanted = wanted_;
  while (!wanted.empty()) {
    const auto now =
        wanted.first(std::min(wanted.size(), static_cast<size_t>(limits_.max_logit_rows)));
    wanted = wanted.subspan(now.size());
    logit_rows_.clear();
    for (const WantedRow& row : now) logit_rows_.push_back(row.row);
    const auto logits = std::span(logits_).first(now.size() * vocab);
    DRAY_RETURN_IF_ERROR(decoder_->Logits(logit_rows_, logits));
    for (size_t i = 0; i < now.size(); ++i) {
      Sequence& sequence = *now[i].sequence;
      // Where this model's numbers are none, any token will do: it is only a guess.
      sequence.draft.tokens.push_back(
          sequence.sampler->Guess(logits.subspan(i * vocab, vocab), now[i].position, workspace_)
              .value_or(0));
    }
  }
  batch_.Clear();
  wanted_.clear();
  return turn.Finish();
}

}  // namespace

std::unique_ptr<Drafter> MakeModelDrafter(LoadedModel& draft, double cost_of_guess) {
  return std::make_unique<ModelDrafter>(draft, cost_of_guess);
}

}  // namespace dray::engine
