// The engine as the rest of the server sees it: token ids go in, token events come out. It has no
// text: stop strings and detokenisation belong to serving/.
//
// Threads: Submit, Cancel, stats and limits may be called from any thread. Events of one request
// arrive in order on the engine's own thread; a sink must return quickly and must not call back
// into the engine, except Cancel and Submit.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "sampling/params.h"
#include "sampling/token_result.h"

namespace dray::engine {

struct GenerateRequest {
  // At least one token; ids below the model's vocabulary size. Without the token that stands before the
  // answer of an encoder-decoder.
  std::vector<int32_t> prompt;
  // Stop strings and include_stop_str_in_output are ignored here.
  sampling::SamplingParams params;
};

// The prompt has been read; only for requests with prompt_logprobs. logprobs[i] belongs to prompt
// token i + 1: the first has none. tops[i] are the likeliest tokens at that place, if asked for.
struct PromptEvent {
  std::vector<float> logprobs;
  std::vector<std::vector<sampling::TokenLogprob>> tops;
};

// One new token of sequence `sequence_idx` (0 <= sequence_idx < n). Its log-probability is 0 unless
// num_logprobs asks for it. The tokens of beam search come when the search is done, sequence by
// sequence.
struct TokenEvent {
  int sequence_idx = 0;
  sampling::TokenLogprob token;
  std::vector<sampling::TokenLogprob> tops;
};

// One sequence has ended; the end or stop token, if any, came as the TokenEvent before.
struct SequenceEndEvent {
  int sequence_idx = 0;
  sampling::FinishReason reason = sampling::FinishReason::kLength;
  // Of beam search: the sum of the tokens' scores / length^length_penalty.
  std::optional<float> beam_score = {};
};

// The request is over, with an error or (ok) because its last sequence ended. Always the last
// event, exactly one for each accepted request, also for a cancelled one (kCancelled).
struct RequestEndEvent {
  Status status;
};

using Event = std::variant<PromptEvent, TokenEvent, SequenceEndEvent, RequestEndEvent>;

// Receives the events of one request.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void OnEvent(Event event) = 0;
  // The first step that computes tokens of the request begins. Called once, before the events.
  virtual void OnStart() {}
};

// What a request may ask of this engine.
struct EngineLimits {
  int64_t vocab_size = 0;
  // Prompt and new tokens together.
  int64_t max_context_tokens = 0;
  // The memory of its key/value cache, including that of a draft model.
  int64_t cache_bytes = 0;
  // Whether the model is an encoder-decoder: the prompt is a text for the encoder, and the answer does
  // not continue it.
  bool encodes_prompt = false;
};

// Upper bounds of the classes by which steps are counted. One more class without a bound follows them.
inline constexpr std::array<double, 11> kStepSizeBounds = {1,  2,   4,   8,   16,  32,
                                                           64, 128, 256, 512, 1024};

// How many sequences each step computed.
struct StepSizes {
  std::array<uint64_t, kStepSizeBounds.size() + 1> counts{};
  uint64_t sum = 0;

  void Add(uint64_t num_sequences);
  void Add(const StepSizes& other);
};

struct EngineStats {
  int64_t running_sequences = 0;
  int64_t waiting_sequences = 0;
  int64_t free_blocks = 0;
  int64_t total_blocks = 0;
  uint64_t steps = 0;
  StepSizes step_sizes;
  uint64_t prompt_tokens = 0;
  uint64_t generated_tokens = 0;
  uint64_t preemptions = 0;
  // How often a failed runner was replaced, how long that took in all, and whether it is being
  // replaced now (0 or 1 for one engine): recovery/runner_keeper.h.
  uint64_t restarts = 0;
  double restart_seconds = 0;
  int64_t restarting = 0;
  // Tokens that were guessed, and those of them that were accepted (speculation/drafter.h).
  uint64_t drafted_tokens = 0;
  uint64_t accepted_tokens = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Accepts a request that Validate (validate.h) finds nothing wrong with, and returns its id.
  // kUnavailable if the engine is ending or not healthy. A refused request causes no event. How many
  // requests there may be is for the caller to limit (serving/admission.h).
  virtual Result<RequestId> Submit(GenerateRequest request, std::shared_ptr<EventSink> sink) = 0;
  // Ends the request soon, with a RequestEndEvent of kCancelled. Does nothing if the request is
  // over already.
  virtual void Cancel(RequestId id) = 0;

  virtual EngineLimits limits() const = 0;
  virtual EngineStats stats() const = 0;
  // False once the model's runner has failed for good (recovery/runner_keeper.h). All requests have
  // ended then, and Submit refuses new ones. While a failed runner is being replaced, the engine is
  // healthy, takes requests, and computes nothing.
  virtual bool healthy() const = 0;
};

}  // namespace dray::engine
