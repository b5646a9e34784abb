#include "engine/encoder/encoder_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/log.h"
#include "engine/runner/cache_size.h"
#include "engine/runner/make_runner.h"
#include "engine/validate.h"
#include "kernels/make_backend.h"

namespace dray::engine {
namespace {

EncoderLimits LimitsOf(const model::ModelConfig& config, const SentenceConfig& sentence) {
  const int64_t positions = config.stack.max_positions;
  return {.vocab_size = config.vocab_size,
          .num_token_types = config.stack.num_token_types,
          .max_tokens = std::min(positions, sentence.max_tokens.value_or(positions)),
          .hidden = config.stack.hidden,
          .vector_size = sentence.vector_size(config.stack.hidden),
          .num_labels = config.classifier ? config.classifier->num_labels() : 0};
}

// Matrix products reach their full speed with a few hundred rows. With more, the activations of a pass
// no longer stay in the processors' shared cache: BERT's base shape lost 14 % in f32 and 10 % in bf16
// from 512 tokens to 1024. Inputs that are rounded to 8 bits take a quarter of the room, and gained.
int64_t PassTokens(const kernels::WeightForm& format) {
  const bool rounds_inputs =
      kernels::IsInteger(format.format) && format.inputs == kernels::Inputs::kRounded;
  return rounds_inputs ? 1024 : 512;
}

// The ranks of a pipeline that are threads compute further passes while vectors are made, so the vectors have a
// backend of their own.
Result<std::shared_ptr<kernels::Backend>> BackendOfVectors(const LoadedModel& model) {
  if (model.num_stages == 1 || model.launcher != nullptr) return model.ranks.front().backend;
  DRAY_ASSIGN_OR_RETURN(auto backend,
                        kernels::MakeBackend({.cpu = {.num_threads = 1, .pin_threads = false}}));
  return std::shared_ptr<kernels::Backend>(std::move(backend));
}

bool Wants(const std::vector<EncodeQueue::Place>& places, EncodeOutput output) {
  return std::any_of(places.begin(), places.end(), [&](const EncodeQueue::Place& place) {
    return place.job->request.output == output;
  });
}

// Text i of `texts` equal parts of `numbers`.
std::vector<float> PartOf(const std::vector<float>& numbers, size_t i, size_t texts) {
  const size_t size = numbers.size() / texts;
  const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(i * size);
  return {begin, begin + static_cast<std::ptrdiff_t>(size)};
}

}  // namespace

Result<std::unique_ptr<EncoderEngine>> EncoderEngine::Start(std::shared_ptr<LoadedModel> model,
                                                            const SentenceConfig& sentence,
                                                            const EncoderOptions& options,
                                                            const RunnerMaker& make_runner) {
  const model::ModelConfig& config = model->description.config;
  DRAY_RETURN_IF_ERROR(CheckKind(config, model::ModelKind::kEncoder));
  Parts parts;
  parts.limits = LimitsOf(config, sentence);
  parts.pass_limits = PassLimits(*model, parts.limits.max_tokens, options);
  parts.keeper = std::make_unique<RunnerKeeper>(options.max_restarts_per_hour);
  const auto make = [model, make_runner, spec = EncoderSpec(parts.pass_limits)] {
    return make_runner(*model, spec);
  };
  DRAY_RETURN_IF_ERROR(parts.keeper->Start(make));
  DRAY_ASSIGN_OR_RETURN(parts.backend, BackendOfVectors(*model));
  DRAY_ASSIGN_OR_RETURN(parts.vectors,
                        model::TextVectors::Make(sentence, config.stack.hidden, *parts.backend,
                                                 {.forbid_pickle = options.forbid_pickle}));
  parts.model = std::move(model);
  return std::unique_ptr<EncoderEngine>(new EncoderEngine(std::move(parts)));
}

model::EncoderLimits EncoderEngine::PassLimits(const LoadedModel& model, int64_t longest_text,
                                               const EncoderOptions& options) {
  const int64_t wanted =
      options.max_batch_tokens > 0 ? options.max_batch_tokens : PassTokens(model.format);
  return {.max_batch_tokens = std::max(wanted, longest_text),
          .max_texts = options.max_texts,
          .kv_dtype = options.kv_dtype.value_or(KvDTypeBeside(model.table_format.format))};
}

int64_t EncoderEngine::WorkingBytes(const LoadedModel& model, const SentenceConfig& sentence,
                                    const EncoderOptions& options) {
  const int64_t longest = LimitsOf(model.description.config, sentence).max_tokens;
  return EncoderWorkingBytes(model, PassLimits(model, longest, options));
}

EncoderEngine::EncoderEngine(Parts parts)
    : model_(std::move(parts.model)),
      backend_(std::move(parts.backend)),
      vectors_(std::move(parts.vectors)),
      limits_(parts.limits),
      passes_(parts.keeper->runner()->max_steps_in_flight()),
      keeper_(std::move(parts.keeper)),
      queue_(parts.pass_limits.max_batch_tokens, parts.pass_limits.max_texts),
      restarts_([this] {
        const std::lock_guard lock(mutex_);
        arrived_.notify_all();
      }) {
  for (auto& pass : passes_) {
    pass = std::make_unique<Pass>();
    pass->step.Reserve(EncoderSpec(parts.pass_limits));
  }
  keeper_->Watch([this] {
    const std::lock_guard lock(mutex_);
    runner_failed_ = true;
    arrived_.notify_all();
  });
  thread_ = std::thread([this] { Loop(); });
}

EncoderEngine::~EncoderEngine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_all();
  thread_.join();
  restarts_.Stop();
  keeper_->Watch({});
}

Status EncoderEngine::Validate(const EncodeRequest& request) const {
  if (request.texts.empty()) return {StatusCode::kInvalidArgument, "the request has no texts"};
  if (request.output == EncodeOutput::kClasses && limits_.num_labels == 0) {
    return {StatusCode::kUnsupported,
            fmt::format("this {} model has no classes: its architecture is not one for sequence "
                        "classification",
                        model_->description.config.family)};
  }
  for (const EncodeText& text : request.texts) {
    DRAY_RETURN_IF_ERROR(ValidateTokens(text.ids, limits_.vocab_size));
    if (static_cast<int64_t>(text.ids.size()) > limits_.max_tokens) {
      return {
          StatusCode::kInvalidArgument,
          fmt::format("a text has {} tokens, but the model takes at most {}: shorten or truncate "
                      "it",
                      text.ids.size(), limits_.max_tokens)};
    }
    if (limits_.num_token_types == 0) continue;
    const bool are_types = text.types.size() == text.ids.size() &&
                           std::all_of(text.types.begin(), text.types.end(), [&](int32_t type) {
                             return type >= 0 && type < limits_.num_token_types;
                           });
    if (!are_types) {
      return {StatusCode::kInvalidArgument,
              fmt::format("a text's tokens must have types below {}, as the model has no others",
                          limits_.num_token_types)};
    }
  }
  return OkStatus();
}

Result<RequestId> EncoderEngine::Submit(EncodeRequest request, std::shared_ptr<EncodeSink> sink) {
  DRAY_RETURN_IF_ERROR(Validate(request));
  const std::lock_guard lock(mutex_);
  if (stopping_) return Status(StatusCode::kUnavailable, "the engine is ending");
  if (!health_.ok()) return health_;
  const RequestId id(++last_id_);
  inbox_.push_back({.id = id, .request = std::move(request), .sink = std::move(sink)});
  ++stats_.waiting_sequences;
  arrived_.notify_one();
  return id;
}

void EncoderEngine::Cancel(RequestId id) {
  const std::lock_guard lock(mutex_);
  cancelled_.push_back(id);
  arrived_.notify_one();
}

EngineStats EncoderEngine::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

bool EncoderEngine::healthy() const {
  const std::lock_guard lock(mutex_);
  return health_.ok();
}

void EncoderEngine::Loop() {
  backend_->AdoptThread();
  while (TakeInbox()) {
    while (num_in_flight_ < passes_.size() && SubmitPass()) {
    }
    if (num_in_flight_ > 0) CollectPass();
    if (auto restart = keeper_->TakeRestart()) restarts_.Start(std::move(*restart));
  }
  if (keeper_->runner() != nullptr) keeper_->runner()->Abandon();
  EndAll({StatusCode::kCancelled, "the server is shutting down"});
}

bool EncoderEngine::TakeInbox() {
  // Requests that are over are not kept while the engine sleeps.
  for (size_t i = num_in_flight_; i < passes_.size(); ++i) passes_[i]->places.clear();
  Publish();
  std::vector<EncodeJob> jobs;
  std::vector<RequestId> cancelled;
  bool stopping = false, runner_failed = false;
  const auto has_work = [this] {
    return num_in_flight_ > 0 || (!queue_.empty() && !keeper_->restarting());
  };
  {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] {
      return stopping_ || !inbox_.empty() || !cancelled_.empty() || runner_failed_ ||
             restarts_.done() || has_work();
    });
    jobs.swap(inbox_);
    cancelled.swap(cancelled_);
    stopping = stopping_;
    runner_failed = std::exchange(runner_failed_, false);
  }
  for (EncodeJob& job : jobs) queue_.Add(std::move(job));
  for (const RequestId id : cancelled) CancelJob(id);
  // With a pass in flight, the failure comes with its results.
  ModelRunner* const runner = keeper_->runner();
  if (runner_failed && runner != nullptr && num_in_flight_ == 0 && !runner->failure().ok()) {
    LoseRunner(runner->failure(), {});
  }
  if (restarts_.done()) keeper_->Finish(restarts_.Take(), RunnerKeeper::Clock::now());
  if (!keeper_->health().ok()) {
    Publish();
    EndAll(keeper_->health());
  }
  return !stopping;
}

void EncoderEngine::CancelJob(RequestId id) {
  auto job = queue_.Remove(id);
  for (size_t i = 0; i < num_in_flight_; ++i) {
    for (const EncodeQueue::Place& place : passes_[i]->places) {
      if (place.job->id == id) job = place.job;
    }
  }
  if (job != nullptr) End(*job, {StatusCode::kCancelled, "the request was cancelled"});
}

bool EncoderEngine::SubmitPass() {
  if (keeper_->runner() == nullptr) return false;
  Pass& pass = *passes_[num_in_flight_];
  pass.places = queue_.TakePass();
  if (pass.places.empty()) return false;
  pass.step.Clear();
  model::EncoderBatch& texts = pass.step.sources.texts;
  const bool has_types = limits_.num_token_types > 0;
  for (const EncodeQueue::Place& place : pass.places) {
    const EncodeText& text = place.text();
    texts.ids.insert(texts.ids.end(), text.ids.begin(), text.ids.end());
    if (has_types) texts.types.insert(texts.types.end(), text.types.begin(), text.types.end());
    texts.lengths.push_back(static_cast<int32_t>(text.ids.size()));
  }
  WantNumbers({.states = Wants(pass.places, EncodeOutput::kVector) ||
                         Wants(pass.places, EncodeOutput::kStates),
               .classes = Wants(pass.places, EncodeOutput::kClasses)},
              pass.step);
  ++num_steps_;
  ++num_in_flight_;
  step_sizes_.Add(pass.places.size());
  num_tokens_ += texts.ids.size();
  Publish();
  for (const EncodeQueue::Place& place : pass.places) {
    if (!std::exchange(place.job->started, true)) place.job->sink->OnStart();
  }
  keeper_->runner()->Submit(pass.step);
  return true;
}

void EncoderEngine::CollectPass() {
  const Pass& pass = *passes_.front();
  StepPiece end;
  Numbers numbers;
  try {
    end = CollectNumbers(*keeper_->runner(), pass.step, model_->description.config, computed_);
    if (end.status.ok()) {
      auto divided = Divide(pass);
      end.status = divided.status();
      end.scope = FailureScope::kStep;
      if (divided.ok()) numbers = std::move(*divided);
    }
  } catch (const std::exception& error) {
    // Only the allocator throws in a pass. The requests of all passes end, and the engine goes on.
    keeper_->runner()->Abandon();
    const Status failure(StatusCode::kInternal, fmt::format("the pass failed: {}", error.what()));
    LogError(failure.message());
    const size_t num_lost = std::exchange(num_in_flight_, 0);
    for (size_t i = 0; i < num_lost; ++i) Fail(*passes_[i], failure);
    return;
  }
  if (!end.status.ok() && end.scope == FailureScope::kRunner) {
    const size_t num_lost = std::exchange(num_in_flight_, 0);
    return LoseRunner(end.status, std::span(passes_).first(num_lost));
  }
  keeper_->OnProgress();
  // The memory of this pass is now free for the next one.
  std::rotate(passes_.begin(), passes_.begin() + 1,
              passes_.begin() + static_cast<std::ptrdiff_t>(num_in_flight_--));
  if (end.status.ok()) return Finish(pass, std::move(numbers));
  LogError(fmt::format("encoder pass failed: {}", end.status.message()));
  Fail(pass, end.status);
}

Result<EncoderEngine::Numbers> EncoderEngine::Divide(const Pass& pass) {
  const std::vector<EncodeQueue::Place>& places = pass.places;
  const auto hidden = static_cast<size_t>(limits_.hidden);
  std::vector<float> vectors;
  if (Wants(places, EncodeOutput::kVector)) {
    kernels::StepTurn turn(*backend_, pass.step.num_tokens());
    DRAY_ASSIGN_OR_RETURN(vectors,
                          vectors_->Run(computed_.states, pass.step.sources.texts.lengths));
    DRAY_RETURN_IF_ERROR(turn.Finish());
  }
  Numbers numbers;
  auto state = computed_.states.begin();
  for (size_t i = 0; i < places.size(); ++i) {
    const EncodeOutput output = places[i].job->request.output;
    const auto count = static_cast<std::ptrdiff_t>(places[i].text().ids.size() * hidden);
    if (output == EncodeOutput::kVector) numbers.push_back(PartOf(vectors, i, places.size()));
    if (output == EncodeOutput::kClasses) {
      numbers.push_back(PartOf(computed_.classes, i, places.size()));
    }
    if (output == EncodeOutput::kStates) numbers.emplace_back(state, state + count);
    if (!computed_.states.empty()) state += count;
  }
  return numbers;
}

void EncoderEngine::Finish(const Pass& pass, Numbers numbers) {
  for (size_t i = 0; i < pass.places.size(); ++i) {
    const EncodeQueue::Place& place = pass.places[i];
    if (place.job->ended) continue;
    place.job->sink->OnText(place.text_idx, std::move(numbers[i]));
    if (place.is_last()) End(*place.job, OkStatus());
  }
}

void EncoderEngine::Fail(const Pass& pass, const Status& status) {
  for (const EncodeQueue::Place& place : pass.places) {
    queue_.Remove(place.job->id);
    End(*place.job, status);
  }
}

void EncoderEngine::LoseRunner(const Status& status, std::span<const std::unique_ptr<Pass>> lost) {
  const auto now = RunnerKeeper::Clock::now();
  const bool begins_anew = keeper_->runner()->replaceable();
  // Threads keep nothing from one pass to the next, so others can take their place, unless the weights are not
  // what they were.
  const bool are_threads = model_->launcher == nullptr;
  if (are_threads && status.code() != StatusCode::kCorrupt) {
    keeper_->Replace(status, now);
  } else {
    keeper_->Lose(status, now);
  }
  Publish();
  const bool recompute = begins_anew && keeper_->health().ok();
  for (auto pass = lost.rbegin(); pass != lost.rend(); ++pass) {
    if (recompute) {
      Recompute(**pass, status);
    } else {
      Fail(**pass, status);
    }
  }
}

void EncoderEngine::Recompute(const Pass& pass, const Status& status) {
  const uint64_t restart = keeper_->num_restarts();
  for (auto place = pass.places.rbegin(); place != pass.places.rend(); ++place) {
    EncodeJob& job = *place->job;
    if (job.ended) continue;
    if (job.lost_with == 0) job.lost_with = restart;
    if (job.lost_with == restart) {
      queue_.PutBack(place->job, place->text_idx);
      continue;
    }
    queue_.Remove(job.id);
    End(job, {status.code(),
              fmt::format("the model's runner failed twice while it computed this request ({}): "
                          "send it again later, and not if that happens again",
                          status.message())});
  }
}

void EncoderEngine::End(EncodeJob& job, const Status& status) {
  if (!std::exchange(job.ended, true)) job.sink->OnEnd(status);
}

void EncoderEngine::EndAll(const Status& status) {
  const size_t num_lost = std::exchange(num_in_flight_, 0);
  for (size_t i = 0; i < num_lost; ++i) Fail(*passes_[i], status);
  for (const auto& job : queue_.RemoveAll()) End(*job, status);
}

void EncoderEngine::Publish() {
  size_t num_texts = 0;
  for (size_t i = 0; i < num_in_flight_; ++i) num_texts += passes_[i]->places.size();
  const std::lock_guard lock(mutex_);
  stats_.waiting_sequences = queue_.size() + static_cast<int64_t>(inbox_.size());
  stats_.running_sequences = static_cast<int64_t>(num_texts);
  stats_.steps = num_steps_;
  stats_.step_sizes = step_sizes_;
  stats_.prompt_tokens = num_tokens_;
  stats_.restarts = keeper_->num_restarts();
  stats_.restart_seconds = keeper_->restart_seconds();
  stats_.restarting = keeper_->restarting() ? 1 : 0;
  health_ = keeper_->health();
}

}  // namespace dray::engine
