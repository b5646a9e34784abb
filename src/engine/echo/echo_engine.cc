// The thread takes what has arrived, sends the tokens that are due, and sleeps until the next token
// is due or something arrives.
#include "engine/echo/echo_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "engine/engine_inbox.h"

namespace dray::engine {
namespace {

using Clock = std::chrono::steady_clock;
using sampling::FinishReason;

bool Contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// One request, from its first token to its end.
class EchoRequest {
 public:
  explicit EchoRequest(Submission submission)
      : id_(submission.id),
        request_(std::move(submission.request)),
        sink_(std::move(submission.sink)) {}

  RequestId id() const { return id_; }
  int64_t num_sequences() const { return request_.params.n; }
  int64_t num_prompt_tokens() const { return static_cast<int64_t>(request_.prompt.size()); }
  bool begun() const { return num_tokens_ > 0; }
  bool over() const { return over_; }
  Clock::time_point due() const { return due_; }
  void SetDue(Clock::time_point due) { due_ = due; }

  // Sends the next token of every sequence; if it is the last one, also the end of the request.
  void Step(int32_t end_token);
  void End(const Status& status) {
    over_ = true;
    sink_->OnEvent(RequestEndEvent{status});
  }

 private:
  void Begin();
  int32_t NextToken(int32_t end_token) const;
  std::optional<FinishReason> ReasonToEnd(int32_t token, int32_t end_token) const;

  const RequestId id_;
  const GenerateRequest request_;
  const std::shared_ptr<EventSink> sink_;
  int64_t num_tokens_ = 0;  // of each sequence, as all are equal
  bool over_ = false;
  Clock::time_point due_ = Clock::time_point::min();
};

void EchoRequest::Begin() {
  sink_->OnStart();
  if (!request_.params.prompt_logprobs) return;
  PromptEvent event;
  event.logprobs.resize(request_.prompt.size() - 1);
  for (size_t i = 1; *request_.params.prompt_logprobs > 0 && i < request_.prompt.size(); ++i) {
    event.tops.push_back({{.id = request_.prompt[i]}});
  }
  sink_->OnEvent(std::move(event));
}

int32_t EchoRequest::NextToken(int32_t end_token) const {
  const bool may_end = !request_.params.ignore_eos && num_tokens_ >= request_.params.min_new_tokens;
  if (may_end && num_tokens_ >= num_prompt_tokens()) return end_token;
  return request_.prompt[static_cast<size_t>(num_tokens_ % num_prompt_tokens())];
}

std::optional<FinishReason> EchoRequest::ReasonToEnd(int32_t token, int32_t end_token) const {
  const sampling::SamplingParams& params = request_.params;
  if (token == end_token && !params.ignore_eos) return FinishReason::kEosToken;
  if (Contains(params.stop_token_ids, token) && num_tokens_ > params.min_new_tokens) {
    return FinishReason::kStopToken;
  }
  if (num_tokens_ >= params.max_new_tokens) return FinishReason::kLength;
  return std::nullopt;
}

void EchoRequest::Step(int32_t end_token) {
  if (!begun()) Begin();
  TokenEvent event;
  event.token.id = NextToken(end_token);
  if (request_.params.num_logprobs.value_or(0) > 0) event.tops.push_back(event.token);
  ++num_tokens_;
  const auto reason = ReasonToEnd(event.token.id, end_token);
  for (int i = 0; i < num_sequences(); ++i) {
    event.sequence_idx = i;
    sink_->OnEvent(event);
    if (reason) sink_->OnEvent(SequenceEndEvent{.sequence_idx = i, .reason = *reason});
  }
  if (reason) End(OkStatus());
}

class EchoEngine final : public Engine {
 public:
  explicit EchoEngine(const EchoOptions& options)
      : options_(options), thread_([this] { Loop(); }) {}

  ~EchoEngine() override {
    inbox_.Stop();
    thread_.join();
  }

  Result<RequestId> Submit(GenerateRequest request, std::shared_ptr<EventSink> sink) override {
    return inbox_.Submit(std::move(request), std::move(sink));
  }
  void Cancel(RequestId id) override { inbox_.Cancel(id); }

  EngineLimits limits() const override {
    return {.vocab_size = options_.vocab_size,
            .max_context_tokens = options_.max_context_tokens,
            .cache_bytes = 0};
  }

  EngineStats stats() const override { return inbox_.stats(); }
  bool healthy() const override { return true; }

 private:
  void Loop();
  bool TakeInbox();
  void Step();
  void EndAll(const Status& status);

  const EchoOptions options_;

  EngineInbox inbox_;

  // Used by the engine's thread only.
  EngineInbox::Contents taken_;
  std::vector<std::unique_ptr<EchoRequest>> requests_;
  EngineStats stats_;
  // When the next token is due; max: there is no request.
  Clock::time_point next_due_ = Clock::time_point::max();
  std::thread thread_;
};

void EchoEngine::Loop() {
  while (TakeInbox()) {
    try {
      Step();
    } catch (const std::exception& error) {
      // Only the allocator throws in a step. All requests end, and the engine goes on.
      LogError(fmt::format("engine step failed: {}", error.what()));
      EndAll({StatusCode::kInternal, fmt::format("the step failed: {}", error.what())});
    }
  }
  EndAll({StatusCode::kCancelled, "the server is shutting down"});
}

// Moves what has arrived to the requests; sleeps until a token is due. Returns false when the thread
// must end.
bool EchoEngine::TakeInbox() {
  stats_.running_sequences = 0;
  for (const auto& request : requests_) stats_.running_sequences += request->num_sequences();
  inbox_.Publish(stats_, OkStatus());
  const bool may_sleep = requests_.empty() || options_.token_interval.count() > 0;
  inbox_.Take(taken_, may_sleep ? next_due_ : Clock::time_point::min(), [] { return false; });
  for (Submission& taken : taken_.submissions) {
    requests_.push_back(std::make_unique<EchoRequest>(std::move(taken)));
  }
  for (const RequestId id : taken_.cancellations) {
    const auto found = std::find_if(requests_.begin(), requests_.end(),
                                    [id](const auto& request) { return request->id() == id; });
    if (found == requests_.end()) continue;
    (*found)->End({StatusCode::kCancelled, "the request was cancelled"});
    requests_.erase(found);
  }
  return !taken_.stopping;
}

// Sends the tokens that are due.
void EchoEngine::Step() {
  const Clock::time_point now = Clock::now();
  uint64_t num_sequences = 0;
  next_due_ = Clock::time_point::max();
  for (const auto& request : requests_) {
    if (request->due() <= now) {
      if (!request->begun()) {
        stats_.prompt_tokens += static_cast<uint64_t>(request->num_prompt_tokens());
      }
      num_sequences += static_cast<uint64_t>(request->num_sequences());
      request->Step(options_.end_token);
      request->SetDue(now + options_.token_interval);
    }
    if (!request->over()) next_due_ = std::min(next_due_, request->due());
  }
  std::erase_if(requests_, [](const auto& request) { return request->over(); });
  if (num_sequences == 0) return;
  ++stats_.steps;
  stats_.step_sizes.Add(num_sequences);
  stats_.generated_tokens += num_sequences;
}

void EchoEngine::EndAll(const Status& status) {
  for (const auto& request : requests_) {
    if (!request->over()) request->End(status);
  }
  requests_.clear();
  next_due_ = Clock::time_point::max();
}

}  // namespace

std::unique_ptr<Engine> StartEchoEngine(const EchoOptions& options) {
  return std::make_unique<EchoEngine>(options);
}

}  // namespace dray::engine
