// Log-probabilities are -(token id) / 1000, so that tests can foretell them.
#include "serving/testing/fakes.h"

#include <algorithm>
#include <utility>

namespace dray::serving {
namespace {

class ByteStream final : public TextStream {
 public:
  explicit ByteStream(SpecialTokens special_tokens) : special_tokens_(special_tokens) {}

  std::string Push(int32_t id) override {
    if (id == ByteCodec::kEnd) return special_tokens_ == SpecialTokens::kKeep ? "<end>" : "";
    bytes_.push_back(static_cast<char>(id));
    return bytes_.size() < Length(bytes_[0]) ? "" : std::exchange(bytes_, {});
  }
  std::string Flush() override { return bytes_.empty() ? "" : "\xEF\xBF\xBD"; }

 private:
  static size_t Length(char lead) {
    const auto byte = static_cast<unsigned char>(lead);
    return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
  }
  const SpecialTokens special_tokens_;
  std::string bytes_;
};

sampling::TokenLogprob Scored(int32_t id) { return {id, -static_cast<float>(id) / 1000.0F}; }

}  // namespace

Result<std::vector<int32_t>> ByteCodec::EncodePrompt(std::string_view text,
                                                     const CancelCheck& is_cancelled) const {
  if (is_cancelled && is_cancelled()) return Status(StatusCode::kCancelled, "not wanted");
  return EncodePlain(text);
}

Result<std::vector<int32_t>> ByteCodec::EncodePlain(std::string_view text) const {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

std::string ByteCodec::TokenText(int32_t id) const {
  if (id == kEnd) return "<end>";
  return id < 0x80 ? std::string(1, static_cast<char>(id)) : "\xEF\xBF\xBD";
}

std::unique_ptr<TextStream> ByteCodec::NewStream(SpecialTokens special_tokens,
                                                 std::span<const int32_t>) const {
  return std::make_unique<ByteStream>(special_tokens);
}

FakeEngine::FakeEngine(Options options)
    : options_(std::move(options)), thread_([this] { Run(); }) {}

FakeEngine::~FakeEngine() {
  stop_ = true;
  thread_.join();
  for (auto& [id, request] : requests_) {
    request->sink->OnEvent(
        engine::RequestEndEvent{Status(StatusCode::kCancelled, "the engine has stopped")});
  }
}

Result<RequestId> FakeEngine::Submit(engine::GenerateRequest request,
                                     std::shared_ptr<engine::EventSink> sink) {
  const std::lock_guard lock(mutex_);
  if (static_cast<int64_t>(requests_.size()) >= options_.max_requests) {
    return Status(StatusCode::kUnavailable, "the engine's queue is full");
  }
  ++num_submitted_;
  last_request_ = request;
  auto entry = std::make_shared<Request>();
  entry->ended.resize(static_cast<size_t>(request.params.n));
  entry->request = std::move(request);
  entry->sink = std::move(sink);
  const RequestId id(++last_id_);
  requests_.emplace(id, std::move(entry));
  return id;
}

void FakeEngine::Cancel(RequestId id) {
  const std::lock_guard lock(mutex_);
  const auto found = requests_.find(id);
  if (found != requests_.end()) found->second->cancelled = true;
}

engine::EngineLimits FakeEngine::limits() const {
  return {.vocab_size = ByteCodec::kVocabSize, .max_context_tokens = options_.max_context_tokens};
}

engine::EngineStats FakeEngine::stats() const {
  engine::EngineStats stats;
  stats.running_sequences = num_live();
  stats.restarting = restarting_ ? 1 : 0;
  return stats;
}

int64_t FakeEngine::num_live() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(requests_.size());
}

engine::GenerateRequest FakeEngine::last_request() const {
  const std::lock_guard lock(mutex_);
  return last_request_;
}

void FakeEngine::Run() {
  while (!stop_) {
    std::map<RequestId, std::shared_ptr<Request>> now;
    {
      const std::lock_guard lock(mutex_);
      now = requests_;
    }
    for (const auto& [id, request] : now) {
      if (!Step(*request)) continue;
      const std::lock_guard lock(mutex_);
      requests_.erase(id);
    }
    std::this_thread::sleep_for(options_.step);
  }
}

bool FakeEngine::Step(Request& request) {
  if (request.cancelled) {
    ++num_cancelled_;
    request.sink->OnEvent(engine::RequestEndEvent{Status(StatusCode::kCancelled, "cancelled")});
    return true;
  }
  if (paused_) return false;
  if (!options_.failure.ok() && request.step >= options_.failure_after) {
    request.sink->OnEvent(engine::RequestEndEvent{options_.failure});
    return true;
  }
  if (request.step == 0 && request.request.params.prompt_logprobs) {
    engine::PromptEvent event;
    for (size_t i = 1; i < request.request.prompt.size(); ++i) {
      event.logprobs.push_back(Scored(request.request.prompt[i]).logprob);
    }
    request.sink->OnEvent(std::move(event));
  }
  for (int i = 0; i < request.request.params.n; ++i) StepSequence(request, i);
  ++request.step;
  if (std::find(request.ended.begin(), request.ended.end(), false) != request.ended.end()) {
    return false;
  }
  request.sink->OnEvent(engine::RequestEndEvent{});
  return true;
}

void FakeEngine::StepSequence(Request& request, int sequence_idx) {
  const auto index = static_cast<size_t>(sequence_idx);
  if (request.ended[index]) return;
  const auto& prompt = request.request.prompt;
  const sampling::SamplingParams& params = request.request.params;
  const auto step = static_cast<size_t>(request.step);
  const int32_t id = options_.next_token
                         ? options_.next_token(request.request, sequence_idx, request.step)
                         : (step < prompt.size() ? prompt[step] : ByteCodec::kEnd);
  engine::TokenEvent event{.sequence_idx = sequence_idx, .token = Scored(id), .tops = {}};
  for (int64_t i = 0; i < params.num_logprobs.value_or(0); ++i) {
    event.tops.push_back(Scored('a' + static_cast<int32_t>(i)));
  }
  request.sink->OnEvent(std::move(event));
  const auto end = [&](sampling::FinishReason reason) {
    request.ended[index] = true;
    engine::SequenceEndEvent ended{sequence_idx, reason};
    if (sampling::UsesBeams(params)) ended.beam_score = -1.5F - static_cast<float>(sequence_idx);
    request.sink->OnEvent(ended);
  };
  const auto& stops = params.stop_token_ids;
  if (id == ByteCodec::kEnd && !params.ignore_eos) return end(sampling::FinishReason::kEosToken);
  if (std::find(stops.begin(), stops.end(), id) != stops.end()) {
    return end(sampling::FinishReason::kStopToken);
  }
  if (request.step + 1 >= params.max_new_tokens) end(sampling::FinishReason::kLength);
}

}  // namespace dray::serving
