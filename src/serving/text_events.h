// A text request and the events that answer it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"
#include "sampling/params.h"
#include "sampling/token_result.h"
#include "serving/reasons.h"
#include "serving/text_codec.h"

namespace dray::serving {

// DJLServing's.
inline constexpr int64_t kDefaultPriority = 3;

struct TextRequest {
  // The prompt; not empty.
  std::string text;
  // max_new_tokens and bad_words are taken from below.
  sampling::SamplingParams params;
  // Absent: the default, or what the model's context has left if that is less.
  std::optional<int64_t> max_new_tokens;
  // Prompt and new tokens together, or, if the model is an encoder-decoder, the answer with the token
  // before it; used if max_new_tokens is absent.
  std::optional<int64_t> max_length;
  // Keep only so many tokens of the prompt, its last ones.
  std::optional<int64_t> truncate;
  std::vector<std::string> bad_words;
  SpecialTokens special_tokens = SpecialTokens::kSkip;
  // Of requests that wait, those of the lowest number go first.
  int64_t priority = kDefaultPriority;
};

// One of the likeliest tokens at a place, with its own text.
struct TopToken {
  sampling::TokenLogprob token;
  std::string text;
};

struct TextToken {
  int32_t id = 0;
  // What the token adds to the sequence's text. A token that completes no character, or whose text
  // may be the beginning of a stop string, adds nothing, and a later one adds more: the texts of a
  // sequence's tokens, one after another, are the generated text.
  std::string text;
  // Absent: not asked for, or (the prompt's first token) there is none.
  std::optional<float> logprob;
  bool special = false;
  std::vector<TopToken> tops;
};

// The prompt's tokens; only if the request has prompt_logprobs.
struct PromptTextEvent {
  std::vector<TextToken> tokens;
};

// New tokens of one sequence, at least one unless `finish` is set. With `finish` it is the
// sequence's last event, and its last token is the sequence's last.
struct SequenceTextEvent {
  int sequence_idx = 0;
  int64_t num_prompt_tokens = 0;
  std::vector<TextToken> tokens;
  std::optional<sampling::FinishReason> finish;
  // With `finish`, of beam search: the sequence's score.
  std::optional<float> beam_score = {};
  // With `finish` only: text that belongs to a token that was already reported. Usually empty.
  std::string tail_text;
};

// Always the last event, exactly one for each accepted request.
struct EndEvent {
  // Nothing: every sequence has ended.
  std::optional<Reason> failure;

  Status status() const { return failure ? ToStatus(*failure) : OkStatus(); }
};

using TextEvent = std::variant<PromptTextEvent, SequenceTextEvent, EndEvent>;

// Receives the events of one request, in order, on the engine's thread; must return quickly, and
// may cancel the request.
class TextSink {
 public:
  virtual ~TextSink() = default;
  virtual void OnEvent(TextEvent event) = 0;
  // Whether nobody waits for the events any more. Asked, on the caller's thread, while the prompt is tokenized.
  virtual bool cancelled() const { return false; }
};

}  // namespace dray::serving
