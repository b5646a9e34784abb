#include "engine/encoder/encoder_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/log.h"
#include "engine/runner/cache_size.h"
#include "engine/validate.h"

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
                                                            const EncoderOptions& options) {
  const model::ModelConfig& config = model->description.config;
  DRAY_RETURN_IF_ERROR(CheckKind(config, model::ModelKind::kEncoder));
  Parts parts;
  parts.limits = LimitsOf(config, sentence);
  parts.pass_limits = PassLimits(*model, parts.limits.max_tokens, options);
  DRAY_ASSIGN_OR_RETURN(parts.ranks, EncoderRanks::Make(*model, parts.pass_limits));
  DRAY_ASSIGN_OR_RETURN(
      parts.vectors,
      model::TextVectors::Make(sentence, config.stack.hidden, *model->ranks.front().backend,
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
  return EncoderRanks::WorkingBytes(model, PassLimits(model, longest, options));
}

EncoderEngine::EncoderEngine(Parts parts)
    : model_(std::move(parts.model)),
      backend_(*model_->ranks.front().backend),
      vectors_(std::move(parts.vectors)),
      limits_(parts.limits),
      pass_limits_(parts.pass_limits),
      ranks_(std::move(parts.ranks)),
      queue_(parts.pass_limits.max_batch_tokens, parts.pass_limits.max_texts) {
  batch_.Reserve(parts.pass_limits);
  thread_ = std::thread([this] { Loop(); });
}

EncoderEngine::~EncoderEngine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_all();
  thread_.join();
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
  if (!healthy_) return Status(StatusCode::kUnavailable, "the model's weights are damaged");
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
  return healthy_;
}

void EncoderEngine::Loop() {
  backend_.AdoptThread();
  while (TakeInbox()) RunPass();
  const Status over(StatusCode::kCancelled, "the server is shutting down");
  for (const auto& job : queue_.RemoveAll()) job->sink->OnEnd(over);
}

bool EncoderEngine::TakeInbox() {
  std::vector<EncodeJob> jobs;
  std::vector<RequestId> cancelled;
  bool stopping = false;
  {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] {
      return stopping_ || !inbox_.empty() || !cancelled_.empty() || !queue_.empty();
    });
    jobs.swap(inbox_);
    cancelled.swap(cancelled_);
    stopping = stopping_;
  }
  for (EncodeJob& job : jobs) queue_.Add(std::move(job));
  for (const RequestId id : cancelled) {
    if (const auto job = queue_.Remove(id)) {
      job->sink->OnEnd({StatusCode::kCancelled, "the request was cancelled"});
    }
  }
  return !stopping;
}

void EncoderEngine::RunPass() {
  const std::vector<EncodeQueue::Place> places = queue_.TakePass();
  Publish(places);
  if (places.empty()) return;
  for (const EncodeQueue::Place& place : places) {
    if (place.text_idx == 0) place.job->sink->OnStart();
  }
  Status failure;
  std::vector<std::vector<float>> numbers;
  try {
    auto computed = Compute(places);
    failure = computed.status();
    if (computed.ok()) numbers = std::move(*computed);
  } catch (const std::exception& error) {
    // Only the allocator throws in a pass. Its requests end, and the engine goes on.
    failure = {StatusCode::kInternal, fmt::format("the pass failed: {}", error.what())};
  }
  if (!failure.ok()) {
    LogError(fmt::format("encoder pass failed: {}", failure.message()));
    if (failure.code() == StatusCode::kCorrupt) {
      const std::lock_guard lock(mutex_);
      healthy_ = false;
    }
    Fail(places, failure);
    if (ranks_ != nullptr && ranks_->has_ended()) ReplaceRanks();
    return;
  }
  for (size_t i = 0; i < places.size(); ++i) {
    places[i].job->sink->OnText(places[i].text_idx, std::move(numbers[i]));
    if (places[i].is_last()) places[i].job->sink->OnEnd(OkStatus());
  }
}

void EncoderEngine::ReplaceRanks() {
  ranks_.reset();
  auto ranks = EncoderRanks::Make(*model_, pass_limits_);
  if (ranks.ok()) {
    ranks_ = std::move(*ranks);
    LogInfo("the encoder's ranks were replaced");
    return;
  }
  LogError(fmt::format("the encoder's ranks could not be replaced: {}", ranks.status().message()));
  const std::lock_guard lock(mutex_);
  healthy_ = false;
}

void EncoderEngine::Fail(const std::vector<EncodeQueue::Place>& places, const Status& status) {
  for (size_t i = 0; i < places.size(); ++i) {
    const auto& job = places[i].job;
    const bool is_first =
        std::none_of(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(i),
                     [&](const EncodeQueue::Place& before) { return before.job == job; });
    if (!is_first) continue;
    queue_.Remove(job->id);
    job->sink->OnEnd(status);
  }
}

Result<std::vector<std::vector<float>>> EncoderEngine::Compute(
    const std::vector<EncodeQueue::Place>& places) {
  batch_.Clear();
  for (const EncodeQueue::Place& place : places) {
    const EncodeText& text = place.text();
    batch_.ids.insert(batch_.ids.end(), text.ids.begin(), text.ids.end());
    batch_.types.insert(batch_.types.end(), text.types.begin(), text.types.end());
    batch_.lengths.push_back(static_cast<int32_t>(text.ids.size()));
  }
  const auto hidden = static_cast<size_t>(limits_.hidden);
  std::vector<float> states, vectors, classes;
  kernels::StepTurn turn(backend_, static_cast<int64_t>(batch_.ids.size()));
  if (ranks_ == nullptr) return Status(StatusCode::kUnavailable, "the encoder's ranks have ended");
  DRAY_RETURN_IF_ERROR(ranks_->Forward(batch_));
  const bool wants_vectors = Wants(places, EncodeOutput::kVector);
  if (wants_vectors || Wants(places, EncodeOutput::kStates)) {
    states.resize(batch_.ids.size() * hidden);
    DRAY_RETURN_IF_ERROR(ranks_->first().States(states));
  }
  if (wants_vectors) {
    DRAY_ASSIGN_OR_RETURN(vectors, vectors_->Run(states, batch_.lengths));
  }
  if (Wants(places, EncodeOutput::kClasses)) {
    classes.resize(places.size() * static_cast<size_t>(limits_.num_labels));
    DRAY_RETURN_IF_ERROR(ranks_->first().ClassOutputs(classes));
  }
  DRAY_RETURN_IF_ERROR(turn.Finish());
  // What was computed with lost pages must not become an answer.
  for (const RankModel& rank : model_->ranks) {
    if (rank.artifact != nullptr) DRAY_RETURN_IF_ERROR(rank.artifact->CheckIntact());
  }
  std::vector<std::vector<float>> numbers;
  auto state = states.begin();
  for (size_t i = 0; i < places.size(); ++i) {
    const EncodeOutput output = places[i].job->request.output;
    const auto count = static_cast<std::ptrdiff_t>(places[i].text().ids.size() * hidden);
    if (output == EncodeOutput::kVector) numbers.push_back(PartOf(vectors, i, places.size()));
    if (output == EncodeOutput::kClasses) numbers.push_back(PartOf(classes, i, places.size()));
    if (output == EncodeOutput::kStates) numbers.emplace_back(state, state + count);
    if (!states.empty()) state += count;
  }
  return numbers;
}

void EncoderEngine::Publish(const std::vector<EncodeQueue::Place>& places) {
  const std::lock_guard lock(mutex_);
  stats_.waiting_sequences = queue_.size() + static_cast<int64_t>(inbox_.size());
  stats_.running_sequences = static_cast<int64_t>(places.size());
  if (places.empty()) return;
  ++stats_.steps;
  stats_.step_sizes.Add(places.size());
  for (const EncodeQueue::Place& place : places) stats_.prompt_tokens += place.text().ids.size();
}

}  // namespace dray::engine
