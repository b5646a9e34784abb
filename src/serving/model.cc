// Admission: what is checked, in which order, before a request reaches the engine.
#include "serving/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

namespace dray::serving {
namespace {

// How often requests are looked at for being late; timeouts are seconds.
constexpr std::chrono::milliseconds kWatchInterval{50};
// A longer prompt is refused before it is tokenized, unless the model's context has room for it.
constexpr size_t kMinPromptBytesLimit = size_t{1} << 20;

}  // namespace

uint64_t RandomSeed() {
  std::random_device device;
  return (uint64_t{device()} << 20) ^ device();
}

Model::Model(ModelOptions options, std::unique_ptr<engine::Engine> engine,
             std::unique_ptr<TextCodec> codec)
    : options_(std::move(options)),
      in_flight_(std::make_shared<std::atomic<int64_t>>(0)),
      codec_(std::move(codec)),
      engine_(std::move(engine)),
      watcher_([this] { Watch(); }) {}

Model::~Model() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  watcher_.join();
  // Before the codec, which its last events still use.
  engine_.reset();
}

Status Model::Admit() const {
  if (draining_) {
    return Status(StatusCode::kUnavailable,
                  fmt::format("model \"{}\" is shutting down", options_.name));
  }
  if (*in_flight_ >= options_.max_running + options_.job_queue_size) {
    return Status(StatusCode::kUnavailable,
                  fmt::format("Worker queue capacity exceeded for model: {}", options_.name));
  }
  return OkStatus();
}

Result<std::shared_ptr<Generation>> Model::Submit(const TextRequest& request,
                                                  std::shared_ptr<TextSink> sink) {
  DRAY_RETURN_IF_ERROR(Admit());
  sampling::SamplingParams params = request.params;
  DRAY_ASSIGN_OR_RETURN(std::vector<int32_t> prompt, EncodePrompt(request));
  DRAY_RETURN_IF_ERROR(CheckLengths(request, static_cast<int64_t>(prompt.size()), params));
  DRAY_RETURN_IF_ERROR(AddBadWords(request, params));
  const engine::EngineLimits limits = engine_->limits();
  sampling::ParamLimits param_limits;
  param_limits.vocab_size = limits.vocab_size;
  param_limits.max_new_tokens = limits.max_context_tokens - static_cast<int64_t>(prompt.size());
  DRAY_RETURN_IF_ERROR(sampling::Validate(params, param_limits));
  if (!sampling::IsGreedy(params) && !params.seed) params.seed = RandomSeed();

  auto generation = std::make_shared<Generation>(Generation::Setup{
      .engine = engine_.get(),
      .codec = codec_.get(),
      .sink = std::move(sink),
      .params = params,
      .prompt = prompt,
      .special_tokens = request.special_tokens,
      .eos_token_ids = options_.eos_token_ids,
      .in_flight = in_flight_,
  });
  auto id = engine_->Submit({std::move(prompt), std::move(params)}, generation);
  if (!id.ok()) {
    --*in_flight_;
    return id.status();
  }
  generation->SetId(*id);
  const std::lock_guard lock(mutex_);
  watched_.push_back(generation);
  return generation;
}

Result<std::vector<int32_t>> Model::EncodePrompt(const TextRequest& request) const {
  const auto context = static_cast<size_t>(engine_->limits().max_context_tokens);
  const size_t max_bytes =
      std::max(kMinPromptBytesLimit, context * std::max<size_t>(1, codec_->max_token_bytes()));
  if (request.text.size() > max_bytes) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("the prompt has {} bytes; no more than {} can fit into this model's "
                              "context of {} tokens; shorten it",
                              request.text.size(), max_bytes, context));
  }
  DRAY_ASSIGN_OR_RETURN(std::vector<int32_t> prompt, codec_->EncodePrompt(request.text));
  if (request.truncate) {
    if (*request.truncate < 1) {
      return Status(
          StatusCode::kInvalidArgument,
          fmt::format("parameter \"truncate\" is {}; it must be at least 1", *request.truncate));
    }
    const auto keep = static_cast<uint64_t>(*request.truncate);
    if (prompt.size() > keep) {
      prompt.erase(prompt.begin(), prompt.end() - static_cast<std::ptrdiff_t>(keep));
    }
  }
  if (prompt.empty()) {
    return Status(StatusCode::kInvalidArgument, "the prompt has no tokens; send some text");
  }
  return prompt;
}

Status Model::CheckLengths(const TextRequest& request, int64_t num_prompt_tokens,
                           sampling::SamplingParams& params) const {
  const int64_t context = engine_->limits().max_context_tokens;
  const int64_t room = context - num_prompt_tokens;
  if (room < 1) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("the prompt has {} tokens; this model's context holds {} tokens, "
                              "prompt and new ones together; shorten the prompt, or set "
                              "\"truncate\"",
                              num_prompt_tokens, context));
  }
  if (request.max_new_tokens) {
    params.max_new_tokens = *request.max_new_tokens;
  } else if (request.max_length) {
    params.max_new_tokens = std::min(room, *request.max_length - num_prompt_tokens);
    if (params.max_new_tokens < 1) {
      return Status(StatusCode::kInvalidArgument,
                    fmt::format("parameter \"max_length\" is {}, but the prompt alone has {} "
                                "tokens; raise it, or set \"max_new_tokens\"",
                                *request.max_length, num_prompt_tokens));
    }
  } else {
    params.max_new_tokens = std::min(room, options_.default_max_new_tokens);
  }
  if (params.max_new_tokens > room) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("the prompt has {} tokens and \"max_new_tokens\" asks for {} more; "
                              "this model's context holds {} together; ask for at most {}",
                              num_prompt_tokens, params.max_new_tokens, context, room));
  }
  return OkStatus();
}

Status Model::AddBadWords(const TextRequest& request, sampling::SamplingParams& params) const {
  const sampling::ParamLimits limits;
  if (request.bad_words.size() > static_cast<size_t>(limits.max_bad_words) / 2) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("parameter \"bad_words\" has {} entries; at most {} are allowed",
                              request.bad_words.size(), limits.max_bad_words / 2));
  }
  params.bad_words.clear();
  for (const std::string& word : request.bad_words) {
    if (word.empty()) {
      return Status(StatusCode::kInvalidArgument, "parameter \"bad_words\" has an empty entry");
    }
    // Inside a text most tokenizers know a word by the space before it.
    for (const std::string& spelling : {word, " " + word}) {
      DRAY_ASSIGN_OR_RETURN(std::vector<int32_t> ids, codec_->EncodePlain(spelling));
      const bool known = std::find(params.bad_words.begin(), params.bad_words.end(), ids) !=
                         params.bad_words.end();
      if (!ids.empty() && !known) params.bad_words.push_back(std::move(ids));
    }
  }
  return OkStatus();
}

void Model::BeginDrain() {
  draining_ = true;
  engine_->BeginDrain();
}

void Model::Watch() {
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, kWatchInterval, [this] { return stop_; })) {
    // Those that are over, and those that nobody holds.
    std::erase_if(watched_, [](const std::weak_ptr<Generation>& weak) {
      const auto generation = weak.lock();
      return generation == nullptr || generation->over();
    });
    const auto now = Generation::Clock::now();
    for (const std::weak_ptr<Generation>& weak : watched_) {
      if (const auto generation = weak.lock()) {
        generation->CancelIfLate(now, options_.predict_timeout, options_.chunked_read_timeout);
      }
    }
  }
}

}  // namespace dray::serving
