#include "engine/engine_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <random>
#include <utility>

#include "base/check.h"
#include "base/checked_math.h"
#include "engine/runner/cache_size.h"
#include "sampling/logits.h"

namespace dray::engine {
namespace {

// Logits are computed for as many rows at once as fit this many bytes, on the device and on the
// host: enough for the head's weights to be shared by many rows, small beside any model.
constexpr int64_t kLogitsBytes = int64_t{16} << 20;

// What a row more adds to a decode step, in units of a step of one row: its arithmetic, over the
// reading of the weights, which all rows share. bench/speculation_bench found 0.04 to 0.08 for 1.3
// billion parameters in bf16 and int8, up to 0.16 in int4, and 0.19 for a model that fits the
// caches; this is where learning begins (DraftPolicy::LearnCosts).
constexpr double kCostOfRow = 0.08;
// Beyond that even sure guesses gain little: a step of 17 rows of that cost yields tokens at 7.5
// times the speed of single ones, one of 33 rows at 9 times.
constexpr int64_t kMostDrafts = 16;

int64_t MaxDrafts(const EngineOptions& options) {
  const int64_t asked = options.speculation.max_drafts;
  return asked > 0 ? std::min(asked, kMostDrafts) : kMostDrafts;
}

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

uint64_t RandomSeed() {
  static std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

}  // namespace

Result<std::unique_ptr<EngineCore>> EngineCore::Make(LoadedModel& model,
                                                     const EngineOptions& options,
                                                     std::unique_ptr<Drafter> drafter) {
  const int64_t draft_block_bytes = drafter == nullptr ? 0 : drafter->BlockBytes(options);
  DRAY_ASSIGN_OR_RETURN(const CacheSize size, ChooseCacheSize(model, options, draft_block_bytes));
  const model::ModelConfig& config = model.description.config;
  const int64_t max_batch_tokens = std::max(options.max_batch_tokens, options.max_sequences);
  DRAY_ASSIGN_OR_RETURN(
      auto scheduler,
      scheduler::Scheduler::Create({.num_blocks = static_cast<int32_t>(size.spec.num_blocks),
                                    .block_size = options.block_size,
                                    .max_batch_tokens = max_batch_tokens,
                                    .max_sequences = options.max_sequences,
                                    .max_prefill_chunk_tokens = options.max_prefill_chunk_tokens,
                                    .max_waiting = std::numeric_limits<int32_t>::max()}));
  DRAY_ASSIGN_OR_RETURN(auto cache, model::KvCache::Make(*model.backend, config.stack, size.spec));
  const int64_t row_bytes = config.vocab_size * static_cast<int64_t>(sizeof(float));
  const int64_t max_drafts = drafter == nullptr ? 0 : MaxDrafts(options);
  const int64_t logit_rows =
      std::clamp<int64_t>(kLogitsBytes / row_bytes, 1, options.max_sequences * (1 + max_drafts));
  std::unique_ptr<EngineCore> core(new EngineCore(
      model, std::move(scheduler), std::move(cache),
      {.vocab_size = config.vocab_size, .max_context_tokens = size.max_context_tokens},
      logit_rows));
  const int64_t blocks_per_sequence =
      DivideRoundUp<int64_t>(size.max_context_tokens, options.block_size) + 1;
  const model::DecoderLimits limits = {
      .max_batch_tokens = max_batch_tokens,
      .max_sequences = options.max_sequences,
      .max_logit_rows = logit_rows,
      .max_table_entries = blocks_per_sequence * options.max_sequences};
  DRAY_ASSIGN_OR_RETURN(core->decoder_,
                        model::Decoder::Make(config, model.weights, *model.backend, limits));
  core->ReserveStep(limits);
  if (drafter != nullptr) {
    DRAY_RETURN_IF_ERROR(drafter->Prepare(size, options, limits));
    core->draft_policy_ =
        DraftPolicy({.row = kCostOfRow, .guess = drafter->CostOfGuess()}, drafter->Priors());
    core->max_drafts_ = max_drafts;
    core->learns_costs_ = options.speculation.costs == SpeculationOptions::Costs::kMeasured;
    core->drafter_ = std::move(drafter);
  }
  return core;
}

EngineCore::EngineCore(LoadedModel& model, scheduler::Scheduler scheduler, model::KvCache cache,
                       const EngineLimits& limits, int64_t max_logit_rows)
    : model_(model),
      scheduler_(std::move(scheduler)),
      cache_(std::move(cache)),
      limits_(limits),
      max_logit_rows_(max_logit_rows) {
  logits_.resize(static_cast<size_t>(max_logit_rows * limits.vocab_size));
}

void EngineCore::ReserveStep(const model::DecoderLimits& limits) {
  const auto sequences = static_cast<size_t>(limits.max_sequences);
  batch_.ragged.Reserve(limits);
  batch_.samples.reserve(static_cast<size_t>(limits.max_batch_tokens));
  proposals_.reserve(sequences);
  planned_.reserve(sequences);
  decoding_.reserve(sequences);
  results_.reserve(sequences);
  logit_rows_.reserve(static_cast<size_t>(limits.max_logit_rows));
}

Status EngineCore::Validate(const GenerateRequest& request) const {
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (prompt_tokens == 0)
    return {StatusCode::kInvalidArgument, "the prompt has no tokens: send at least one"};
  if (prompt_tokens >= limits_.max_context_tokens) {
    return {StatusCode::kInvalidArgument,
            fmt::format("the prompt has {} tokens, but prompt and new tokens together may have {}: "
                        "shorten or truncate it",
                        prompt_tokens, limits_.max_context_tokens)};
  }
  for (const int32_t id : request.prompt) {
    if (id < 0 || id >= limits_.vocab_size) {
      return {StatusCode::kInvalidArgument,
              fmt::format("prompt token {} is not in the model's vocabulary of {}", id,
                          limits_.vocab_size)};
    }
  }
  sampling::ParamLimits limits;
  limits.vocab_size = limits_.vocab_size;
  limits.max_new_tokens = limits_.max_context_tokens - prompt_tokens;
  return sampling::Validate(request.params, limits);
}

void EngineCore::Add(RequestId id, GenerateRequest generate, std::shared_ptr<EventSink> sink) {
  auto owned = std::make_unique<Request>();
  Request& request = *owned;
  request.id = id;
  request.params = std::move(generate.params);
  request.sink = std::move(sink);
  request.num_prompt_tokens = static_cast<int64_t>(generate.prompt.size());
  requests_.emplace(id, std::move(owned));
  counters_.prompt_tokens += generate.prompt.size();

  const uint64_t seed = request.params.seed ? *request.params.seed : RandomSeed();
  const SequenceId parent = AddSequence(request, 0, generate.prompt, seed);
  Status status = scheduler_.Add({.id = parent,
                                  .num_prompt_tokens = request.num_prompt_tokens,
                                  .max_new_tokens = request.params.max_new_tokens});
  for (int64_t i = 1; status.ok() && i < request.params.n; ++i) {
    const SequenceId child = AddSequence(request, static_cast<int>(i), generate.prompt, seed);
    status = scheduler_.Fork(parent, child);
  }
  if (!status.ok()) End(id, status);
}

SequenceId EngineCore::AddSequence(Request& request, int sequence_idx,
                                   const std::vector<int32_t>& prompt, uint64_t seed) {
  const SequenceId id(next_sequence_id_++);
  auto sequence = std::make_unique<Sequence>();
  sequence->id = id;
  sequence->request = &request;
  sequence->sequence_idx = sequence_idx;
  sequence->num_prompt_tokens = request.num_prompt_tokens;
  sequence->tokens.reserve(prompt.size() + static_cast<size_t>(request.params.max_new_tokens));
  sequence->tokens = prompt;
  sequence->sampler = std::make_unique<sampling::Sampler>(
      sampling::SamplerSpec{.params = request.params,
                            .eos_token_ids = model_.description.config.eos_token_ids,
                            .prompt = prompt,
                            .seed = seed,
                            .sample_index = static_cast<uint32_t>(sequence_idx)});
  sequence->draft.tokens.reserve(static_cast<size_t>(max_drafts_));
  sequence->draft.record = draft_policy_.NewRecord();
  sequences_.emplace(id, std::move(sequence));
  request.sequences.push_back(id);
  ++request.num_open_sequences;
  return id;
}

void EngineCore::End(RequestId id, const Status& status) {
  const auto it = requests_.find(id);
  if (it == requests_.end()) return;
  const std::unique_ptr<Request> request = std::move(it->second);
  requests_.erase(it);
  for (const SequenceId sequence : request->sequences) {
    scheduler_.Cancel(sequence);
    sequences_.erase(sequence);
  }
  request->sink->OnEvent(RequestEndEvent{status});
}

void EngineCore::EndAll(const Status& status) {
  while (!requests_.empty()) End(requests_.begin()->first, status);
}

bool EngineCore::Step() {
  OfferDrafts();
  const scheduler::Plan& plan = scheduler_.Schedule(proposals_);
  if (plan.empty()) return false;
  Status status = TakePlan(plan);
  if (status.ok()) status = RunBatch();
  if (!status.ok()) FailStep(status);
  ++counters_.steps;
  for (const SequenceId ended : scheduler_.Update(results_)) CloseSequence(ended);
  return true;
}

Status EngineCore::RunBatch() {
  kernels::StepTurn turn(*model_.backend, static_cast<int64_t>(batch_.ragged.ids.size()));
  const auto start = Clock::now();
  DRAY_RETURN_IF_ERROR(decoder_->Forward(batch_.ragged, cache_));
  DRAY_RETURN_IF_ERROR(ScorePrompts());
  DRAY_RETURN_IF_ERROR(Sample());
  if (learns_costs_) LearnFromClock(SecondsSince(start));
  return turn.Finish();
}

void EngineCore::FailStep(const Status& status) {
  results_.clear();
  for (const PlannedSequence& planned : planned_) {
    if (planned.entry->sampling == scheduler::Sampling::kNo) continue;
    results_.push_back({.id = planned.entry->id, .num_new_tokens = 1});
  }
  decoding_.clear();
  EndAll(status);
}

void EngineCore::OfferDrafts() {
  proposals_.clear();
  if (drafter_ == nullptr) return;
  for (const SequenceId id : decoding_) {
    const auto it = sequences_.find(id);
    if (it == sequences_.end()) continue;
    DraftState& draft = it->second->draft;
    draft.tokens.clear();
    const DraftOffer offer = drafter_->Offer(*it->second, max_drafts_);
    if (offer.num_drafts == 0) continue;
    draft.kind = offer.kind;
    const int64_t num_drafts = draft_policy_.NumDrafts(draft.record, offer.kind, offer.num_drafts,
                                                       static_cast<int64_t>(decoding_.size()));
    if (num_drafts > 0) proposals_.push_back({id, num_drafts});
  }
}

Status EngineCore::TakePlan(const scheduler::Plan& plan) {
  planned_.clear();
  for (const scheduler::PlanEntry& entry : plan.entries) {
    planned_.push_back({&entry, sequences_.at(entry.id).get()});
  }
  CopyBlocks(plan);
  if (drafter_ != nullptr) {
    for (const SequenceId id : plan.preempted) drafter_->OnPreempted(*sequences_.at(id));
    const auto start = Clock::now();
    DRAY_RETURN_IF_ERROR(drafter_->Draft(planned_));
    guess_seconds_ = SecondsSince(start);
  }
  Clear(batch_);
  for (const PlannedSequence& planned : planned_) {
    AppendEntry(*planned.entry, static_cast<int32_t>(cache_.spec().block_size), *planned.sequence,
                batch_);
  }
  return OkStatus();
}

void EngineCore::CopyBlocks(const scheduler::Plan& plan) {
  if (plan.block_copies.empty()) return;
  copy_from_.clear();
  copy_to_.clear();
  for (const scheduler::BlockCopy& copy : plan.block_copies) {
    copy_from_.push_back(copy.from.value());
    copy_to_.push_back(copy.to.value());
  }
  for (int64_t layer = 0; layer < model_.description.config.stack.num_layers; ++layer) {
    model_.backend->ops().CopyBlocks({.cache = cache_.Layer(layer),
                                      .from = copy_from_.data(),
                                      .to = copy_to_.data(),
                                      .num_copies = static_cast<int64_t>(copy_from_.size())});
  }
  if (drafter_ != nullptr) drafter_->OnBlockCopies(copy_from_, copy_to_);
}

template <typename Visit>
Status EngineCore::ForEachLogits(std::span<const WantedRow> wanted, const Visit& visit) {
  const auto vocab = static_cast<size_t>(limits_.vocab_size);
  while (!wanted.empty()) {
    const auto now = wanted.first(std::min(wanted.size(), static_cast<size_t>(max_logit_rows_)));
    wanted = wanted.subspan(now.size());
    logit_rows_.clear();
    for (const WantedRow& row : now) logit_rows_.push_back(row.row);
    const auto logits = std::span(logits_).first(now.size() * vocab);
    DRAY_RETURN_IF_ERROR(decoder_->Logits(logit_rows_, logits));
    for (size_t i = 0; i < now.size(); ++i) visit(now[i], logits.subspan(i * vocab, vocab));
  }
  return OkStatus();
}

Status EngineCore::ScorePrompts() {
  return ForEachLogits(batch_.prompt_scores, [&](const WantedRow& wanted, std::span<float> logits) {
    Request& request = *wanted.sequence->request;
    const int32_t next = wanted.sequence->tokens[static_cast<size_t>(wanted.position + 1)];
    request.prompt_scores.logprobs.push_back(
        sampling::ComputeLogprobs(logits, next, *request.params.prompt_logprobs, tops_));
    request.prompt_scores.tops.push_back(tops_);
  });
}

Status EngineCore::Sample() {
  results_.clear();
  failures_.clear();
  DRAY_RETURN_IF_ERROR(ForEachLogits(
      batch_.samples,
      [&](const WantedRow& wanted, std::span<float> logits) { SampleRow(wanted, logits); }));
  LearnFromResults();
  // Only now: rows of the same request may have followed.
  for (const auto& [id, status] : failures_) End(id, status);
  return OkStatus();
}

void EngineCore::SampleRow(const WantedRow& wanted, std::span<float> logits) {
  Sequence& sequence = *wanted.sequence;
  if (results_.empty() || results_.back().id != sequence.id) {
    results_.push_back({.id = sequence.id, .num_new_tokens = 0});
  } else if (!rows_follow_truth_) {
    return;
  }
  scheduler::SequenceResult& result = results_.back();
  const auto place = static_cast<size_t>(result.num_new_tokens++);
  const Status status = TakeToken(wanted, logits, result);
  if (!status.ok()) failures_.emplace_back(sequence.request->id, status);
  // Guesses beyond those that the plan granted are there, too; but no rows for them.
  const std::vector<int32_t>& guesses = sequence.draft.tokens;
  rows_follow_truth_ = status.ok() && result.outcome == scheduler::Outcome::kGoesOn &&
                       place < guesses.size() && guesses[place] == sequence.tokens.back();
}

void EngineCore::LearnFromResults() {
  decoding_.clear();
  auto result = results_.begin();
  for (const PlannedSequence& planned : planned_) {
    if (planned.entry->sampling == scheduler::Sampling::kNo) continue;
    const int64_t num_drafts = planned.entry->num_drafts;
    result->num_accepted = std::min(num_drafts, result->num_new_tokens - 1);
    const bool goes_on = result->outcome == scheduler::Outcome::kGoesOn;
    if (goes_on) decoding_.push_back(result->id);
    if (num_drafts > 0) {
      counters_.drafted_tokens += static_cast<uint64_t>(num_drafts);
      counters_.accepted_tokens += static_cast<uint64_t>(result->num_accepted);
      DraftState& draft = planned.sequence->draft;
      // What would have come after the end was not checked.
      draft_policy_.Learn(draft.record, draft.kind, goes_on ? num_drafts : result->num_accepted,
                          result->num_accepted);
      drafter_->OnChecked(*planned.sequence);
    }
    ++result;
  }
}

void EngineCore::LearnFromClock(double seconds) {
  StepTime step = {.seconds = seconds, .guess_seconds = guess_seconds_};
  for (const PlannedSequence& planned : planned_) {
    const scheduler::PlanEntry& entry = *planned.entry;
    if (entry.num_tokens - entry.num_drafts > 1 || entry.sampling == scheduler::Sampling::kNo) {
      draft_policy_.BreakSeries();
      return;
    }
    step.rows += entry.num_tokens;
    step.guess_rounds = std::max(step.guess_rounds, entry.num_drafts);
  }
  draft_policy_.LearnCosts(step);
}

Status EngineCore::TakeToken(const WantedRow& wanted, std::span<float> logits,
                             scheduler::SequenceResult& result) {
  Sequence& sequence = *wanted.sequence;
  Request& request = *sequence.request;
  if (sequence.sequence_idx == 0 && request.params.prompt_logprobs &&
      wanted.position == request.num_prompt_tokens - 1) {
    request.sink->OnEvent(std::move(request.prompt_scores));
  }
  DRAY_ASSIGN_OR_RETURN(const sampling::SampledToken sampled,
                        sequence.sampler->Choose(logits, sampling_workspace_));
  sequence.tokens.push_back(sampled.token_id);
  ++counters_.generated_tokens;
  request.sink->OnEvent(TokenEvent{.sequence_idx = sequence.sequence_idx,
                                   .token = {sampled.token_id, sampled.logprob.value_or(0.0f)},
                                   .tops = {sampled.top.begin(), sampled.top.end()}});
  const auto reason = sequence.sampler->Append(sampled.token_id);
  if (reason) {
    result.outcome = scheduler::Outcome::kFinished;
    request.sink->OnEvent(SequenceEndEvent{sequence.sequence_idx, *reason});
  }
  return OkStatus();
}

void EngineCore::CloseSequence(SequenceId id) {
  const auto it = sequences_.find(id);
  DRAY_CHECK(it != sequences_.end());
  Request& request = *it->second->request;
  sequences_.erase(it);
  std::erase(request.sequences, id);
  if (--request.num_open_sequences == 0) End(request.id, OkStatus());
}

EngineStats EngineCore::stats() const {
  EngineStats stats = counters_;
  stats.running_sequences = scheduler_.num_running();
  stats.waiting_sequences = scheduler_.num_waiting();
  stats.free_blocks = scheduler_.blocks().num_free();
  stats.total_blocks = scheduler_.blocks().num_blocks();
  stats.preemptions = static_cast<uint64_t>(scheduler_.num_preemptions());
  return stats;
}

}  // namespace dray::engine
