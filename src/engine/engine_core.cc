#include "engine/engine_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <utility>

#include "base/check.h"
#include "base/checked_math.h"
#include "base/log.h"
#include "engine/runner/cache_size.h"
#include "engine/step/measure_pipeline.h"
#include "engine/step/step_batch.h"

namespace dray::engine {
namespace {

using Clock = std::chrono::steady_clock;

// The size of a runner for these options. A step wants the logits of up to `rows_per_sequence` rows
// of each sequence.
RunnerSpec SpecOf(const CacheSize& size, const EngineOptions& options, int64_t rows_per_sequence,
                  bool whole_prompts) {
  const int64_t blocks_per_sequence =
      DivideRoundUp<int64_t>(size.max_context_tokens, options.block_size) + 1;
  // A prompt that is not cut must fit into a step beside a token of every other sequence.
  const int64_t least_tokens =
      options.max_sequences + (whole_prompts ? size.max_context_tokens : 0);
  return {.cache = size.spec,
          .step = {.max_batch_tokens = std::max(options.max_batch_tokens, least_tokens),
                   .max_sequences = options.max_sequences,
                   .max_logit_rows = options.max_sequences * rows_per_sequence,
                   .max_table_entries = blocks_per_sequence * options.max_sequences}};
}

}  // namespace

Result<std::unique_ptr<EngineCore>> EngineCore::Make(LoadedModel& model,
                                                     const EngineOptions& options,
                                                     std::unique_ptr<Drafter> drafter,
                                                     const RunnerMaker& make_runner) {
  const int64_t draft_block_bytes = drafter == nullptr ? 0 : drafter->BlockBytes(options);
  const int64_t max_drafts = MaxDrafts(drafter.get(), options);
  DRAY_ASSIGN_OR_RETURN(const CacheSize size, ChooseCacheSize(model, options, draft_block_bytes));
  const model::ModelConfig& config = model.description.config;
  const bool has_encoder = config.encoder.has_value();
  const RunnerSpec spec = SpecOf(size, options, 1 + max_drafts, has_encoder);
  DRAY_ASSIGN_OR_RETURN(
      auto scheduler,
      scheduler::Scheduler::Create({.num_blocks = static_cast<int32_t>(spec.cache.num_blocks),
                                    .block_size = options.block_size,
                                    .max_batch_tokens = spec.step.max_batch_tokens,
                                    .max_sequences = options.max_sequences,
                                    .max_prefill_chunk_tokens = options.max_prefill_chunk_tokens,
                                    .whole_prompts = has_encoder,
                                    .pipeline = {.num_stages = model.num_stages}}));
  const int64_t block_bytes = model.BlockBytes(spec.cache) + draft_block_bytes;
  // The token before the answer takes a place in the cache.
  const EngineLimits limits = {
      .vocab_size = config.vocab_size,
      .max_context_tokens = size.max_context_tokens - (has_encoder ? 1 : 0),
      .cache_bytes = spec.cache.num_blocks * block_bytes,
      .encodes_prompt = has_encoder};
  std::unique_ptr<EngineCore> core(
      new EngineCore(model, limits, std::move(scheduler), std::move(drafter), options, spec));
  DRAY_RETURN_IF_ERROR(
      core->keeper_.Start([&model, spec, make_runner] { return make_runner(model, spec); }));
  DRAY_RETURN_IF_ERROR(core->speculator_.Prepare(options, spec));
  if (model.num_stages > 1 && options.pipeline_costs == EngineOptions::PipelineCosts::kMeasured) {
    DRAY_RETURN_IF_ERROR(core->MeasureCosts());
  }
  core->MakeSteps();
  return core;
}

EngineCore::EngineCore(const LoadedModel& model, const EngineLimits& limits,
                       scheduler::Scheduler scheduler, std::unique_ptr<Drafter> drafter,
                       const EngineOptions& options, const RunnerSpec& spec)
    : model_(model),
      limits_(limits),
      block_size_(options.block_size),
      spec_(spec),
      scheduler_(std::move(scheduler)),
      speculator_(std::move(drafter), options, requests_),
      selector_(requests_),
      suspects_(requests_),
      keeper_(options.max_restarts_per_hour) {
  selector_.Reserve(options.max_sequences);
}

Status EngineCore::MeasureCosts() {
  DRAY_ASSIGN_OR_RETURN(const auto costs, MeasurePipeline(*keeper_.runner(), spec_,
                                                          {.num_stages = model_.num_stages,
                                                           .has_encoder = limits_.encodes_prompt}));
  LogDebug(
      fmt::format("a stage reads its weights in {:.3g} ms alone, in {:.3g} ms beside the other "
                  "stages, and computes a row in {:.3g} ms",
                  1e3 * costs.read_alone, 1e3 * costs.read_together, 1e3 * costs.row));
  scheduler_.SetPipelineCosts(costs);
  return OkStatus();
}

void EngineCore::MakeSteps() {
  steps_.resize(keeper_.runner()->max_steps_in_flight());
  for (auto& step : steps_) {
    if (step != nullptr) continue;
    step = std::make_unique<StepInFlight>();
    step->input.Reserve(spec_);
    step->wanted.reserve(static_cast<size_t>(spec_.step.max_batch_tokens));
  }
}

void EngineCore::Add(RequestId id, GenerateRequest generate, std::shared_ptr<EventSink> sink) {
  auto owned = std::make_unique<Request>();
  owned->id = id;
  owned->params = std::move(generate.params);
  owned->sink = std::move(sink);
  Request& request = requests_.Add(std::move(owned));
  if (!health().ok()) {
    End(id, health());
    return;
  }
  const auto num_tokens = static_cast<int64_t>(generate.prompt.size());
  counters_.prompt_tokens += generate.prompt.size();
  request.num_prompt_tokens = num_tokens;
  if (limits_.encodes_prompt) {
    generate.prompt.push_back(model_.description.config.decoder_start_token_id);
    request.num_source_tokens = num_tokens;
    request.num_prompt_tokens = num_tokens + 1;
  }
  sampling::ChooseSeed(request.params);
  request.group = MakeSequenceGroup(
      {.params = request.params,
       .eos_token_ids = model_.description.config.eos_token_ids,
       .prompt =
           std::span(generate.prompt).subspan(static_cast<size_t>(request.num_source_tokens))});
  const SequenceId parent = AddSequence(request, 0, generate.prompt);
  const SequenceGroup* const group = request.group.get();
  Status status = scheduler_.Add(
      {.id = parent,
       .num_prompt_tokens = request.num_prompt_tokens,
       .max_new_tokens = group ? group->max_new_tokens() : request.params.max_new_tokens,
       .num_beams = group ? group->num_members() : 1});
  // The other members of a group come with its first choice of tokens.
  const int64_t num_samples = group ? 1 : request.params.n;
  for (int64_t i = 1; status.ok() && i < num_samples; ++i) {
    const SequenceId child = AddSequence(request, static_cast<int>(i), generate.prompt);
    status = scheduler_.Fork(parent, child);
  }
  if (!status.ok()) End(id, status);
}

SequenceId EngineCore::AddSequence(Request& request, int sequence_idx,
                                   const std::vector<int32_t>& prompt) {
  auto sequence = std::make_unique<Sequence>();
  sequence->request = &request;
  sequence->sequence_idx = sequence_idx;
  sequence->num_prompt_tokens = request.num_prompt_tokens;
  sequence->tokens.reserve(prompt.size() + static_cast<size_t>(request.params.max_new_tokens));
  sequence->tokens = prompt;
  if (request.group == nullptr) {
    sequence->sampler = std::make_unique<sampling::Sampler>(sampling::SamplerSpec{
        .params = request.params,
        .eos_token_ids = model_.description.config.eos_token_ids,
        .prompt = std::span(prompt).subspan(static_cast<size_t>(request.num_source_tokens)),
        .seed = request.params.seed.value_or(0),
        .sample_index = static_cast<uint32_t>(sequence_idx)});
  }
  speculator_.Welcome(*sequence);
  return requests_.Add(std::move(sequence)).id;
}

void EngineCore::End(RequestId id, const Status& status) {
  const std::unique_ptr<Request> request = requests_.Remove(id);
  if (request == nullptr) return;
  for (const SequenceId sequence : request->open_sequences) scheduler_.Cancel(sequence);
  request->sink->OnEvent(RequestEndEvent{status});
}

void EngineCore::EndAll(const Status& status) {
  while (!requests_.empty()) End(requests_.any(), status);
}

bool EngineCore::Step() {
  if (keeper_.runner() == nullptr) return false;
  while (num_in_flight_ < steps_.size() && SubmitStep()) {
  }
  if (num_in_flight_ == 0) return false;
  CollectStep();
  return true;
}

bool EngineCore::SubmitStep() {
  if (const auto suspect = suspects_.ToIsolate()) {
    scheduler_.Isolate(*suspect);
  } else {
    scheduler_.EndIsolation();
  }
  const scheduler::Plan& plan = scheduler_.Schedule(speculator_.Propose());
  if (!plan.preempted.empty()) {
    LogDebug(fmt::format("{} sequences lost their cache blocks to others", plan.preempted.size()));
  }
  const double guess_seconds = speculator_.Draft(plan);
  if (plan.empty()) return false;
  TellStarts(plan);
  StepInFlight& step = *steps_[num_in_flight_++];
  MakeBatch(plan, requests_, block_size_, step);
  step.guess_seconds = guess_seconds;
  keeper_.runner()->Submit(step.input);
  return true;
}

void EngineCore::TellStarts(const scheduler::Plan& plan) {
  for (const scheduler::PlanEntry& entry : plan.entries) {
    Request& request = *requests_.Find(entry.id)->request;
    if (!std::exchange(request.started, true)) request.sink->OnStart();
  }
}

void EngineCore::CollectStep() {
  const StepInFlight& step = *steps_.front();
  // The step's memory is now free for the next plan, which is made after this function.
  std::rotate(steps_.begin(), steps_.begin() + 1,
              steps_.begin() + static_cast<std::ptrdiff_t>(num_in_flight_--));
  selector_.Begin(step);
  StepSeconds seconds = {.guess = step.guess_seconds};
  for (bool more = true; more;) {
    const StepPiece piece = keeper_.runner()->Collect();
    if (!piece.status.ok() && piece.scope == FailureScope::kRunner) return FailRunner(piece.status);
    if (!piece.status.ok() && piece.scope == FailureScope::kStep) {
      return FailStep(step, piece.status);
    }
    const auto start = Clock::now();
    selector_.Take(step, piece);
    const std::chrono::duration<double> select_seconds = Clock::now() - start;
    seconds.compute = piece.seconds + select_seconds.count();
    more = !piece.is_last;
  }
  selector_.Finish(step);
  FinishStep(step, seconds);
}

void EngineCore::FinishStep(const StepInFlight& step, const StepSeconds& seconds) {
  ++counters_.steps;
  counters_.step_sizes.Add(step.plan->entries.size());
  speculator_.Learn(*step.plan, selector_.results(), seconds);
  if (suspects_.OnComputed(*step.plan)) keeper_.OnProgress();
  // Failed requests are ended only now, because the step may have had further rows of them.
  for (const auto& [id, status] : selector_.failures()) End(id, status);
  UpdateScheduler();
}

void EngineCore::FailStep(const StepInFlight& step, const Status& status) {
  LogError(fmt::format("a step failed: {}", status.ToString()));
  for (const scheduler::PlanEntry& entry : step.plan->entries) {
    const Sequence* sequence = requests_.Find(entry.id);
    if (sequence == nullptr) continue;
    End(sequence->request->id,
        {status.code(), fmt::format("the step of this request failed: {}", status.message())});
  }
  UpdateScheduler();
}

void EngineCore::FailRunner(const Status& status) {
  // CollectStep has put its step behind those that are still in flight.
  const auto cause = suspects_.OnFailure(std::span(steps_).first(num_in_flight_ + 1));
  for (const auto& [id, failure] : selector_.failures()) End(id, failure);
  ForgetStepsInFlight(selector_.results());
  if (cause) {
    End(*cause,
        {StatusCode::kInternal,
         fmt::format("the model's runner failed {} times in a row while it computed this "
                     "request, the last times this request alone ({}): do not send it again",
                     Suspects::kFailuresToEnd, status.message())});
    keeper_.OnProgress();
  }
  LoseRunner(status);
}

void EngineCore::CheckRunner() {
  if (keeper_.runner() == nullptr || num_in_flight_ > 0) return;
  const Status failure = keeper_.runner()->failure();
  if (failure.ok()) return;
  ForgetStepsInFlight({});
  LoseRunner(failure);
}

void EngineCore::LoseRunner(const Status& status) {
  keeper_.Lose(status, Clock::now());
  if (!health().ok()) EndAll(health());
}

void EngineCore::FinishRestart(Result<std::unique_ptr<ModelRunner>> made) {
  keeper_.Finish(std::move(made), Clock::now());
  if (!health().ok()) EndAll(health());
  if (keeper_.runner() != nullptr) MakeSteps();
}

void EngineCore::Abandon(const Status& status) {
  if (keeper_.runner() != nullptr) keeper_.runner()->Abandon();
  ForgetStepsInFlight({});
  EndAll(status);
}

void EngineCore::ForgetStepsInFlight(std::span<const scheduler::SequenceResult> results) {
  num_in_flight_ = 0;
  EndSequences(scheduler_.PreemptAll(results));
  if (!results.empty()) AdvanceGroups();
  speculator_.Abandon();
}

void EngineCore::UpdateScheduler() {
  EndSequences(scheduler_.Update(selector_.results()));
  AdvanceGroups();
}

void EngineCore::AdvanceGroups() {
  for (const RequestId id : selector_.ready_groups()) {
    Request* request = requests_.Find(id);
    if (request == nullptr) continue;
    const auto moves = request->group->Advance(*request, requests_);
    if (moves.ok() && !moves->empty()) {
      scheduler_.ContinueBeams(*moves);
    } else {
      End(id, moves.status());
    }
  }
}

void EngineCore::EndSequences(std::span<const SequenceId> ended) {
  for (const SequenceId id : ended) {
    Request& request = requests_.Remove(id);
    if (request.open_sequences.empty()) End(request.id, OkStatus());
  }
}

void StepSizes::Add(uint64_t num_sequences) {
  // The bounds are the powers of two: 2^i is the i-th.
  const auto bucket = static_cast<size_t>(std::bit_width(std::max<uint64_t>(1, num_sequences) - 1));
  ++counts.at(std::min(bucket, counts.size() - 1));
  sum += num_sequences;
}

void StepSizes::Add(const StepSizes& other) {
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  sum += other.sum;
}

EngineStats EngineCore::stats() const {
  EngineStats stats = counters_;
  stats.running_sequences = scheduler_.num_running();
  stats.waiting_sequences = scheduler_.num_waiting();
  stats.free_blocks = scheduler_.blocks().num_free();
  stats.total_blocks = scheduler_.blocks().num_blocks();
  stats.generated_tokens = selector_.num_tokens();
  stats.preemptions = static_cast<uint64_t>(scheduler_.num_preemptions());
  stats.restarts = keeper_.num_restarts();
  stats.restart_seconds = keeper_.restart_seconds();
  stats.restarting = restarting() ? 1 : 0;
  stats.drafted_tokens = speculator_.num_drafted();
  stats.accepted_tokens = speculator_.num_accepted();
  return stats;
}

}  // namespace dray::engine
