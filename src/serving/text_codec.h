// What serving needs of a tokenizer. An interface, so that the road from text to text can be tested
// without one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace dray::serving {

// Whether special tokens (end of text, padding, ...) show in decoded text.
enum class SpecialTokens { kSkip, kKeep };

// Whether the result of long work is not wanted any more. May be empty: it is wanted.
using CancelCheck = std::function<bool()>;

// Turns the tokens of one sequence into text, as they come.
class TextStream {
 public:
  virtual ~TextStream() = default;
  // The text that this token adds: whole characters, maybe none yet.
  virtual std::string Push(int32_t id) = 0;
  // The rest, at the sequence's end; unfinished characters become U+FFFD.
  virtual std::string Flush() = 0;
};

// Threads: any, at the same time.
class TextCodec {
 public:
  virtual ~TextCodec() = default;

  // With the tokens that the model expects around a prompt; kCancelled once `is_cancelled`, asked every few ms, says
  // true.
  virtual Result<std::vector<int32_t>> EncodePrompt(std::string_view text,
                                                    const CancelCheck& is_cancelled) const = 0;
  // Without such tokens.
  virtual Result<std::vector<int32_t>> EncodePlain(std::string_view text) const = 0;
  // One token by itself.
  virtual std::string TokenText(int32_t id) const = 0;
  virtual bool IsSpecial(int32_t id) const = 0;
  // The stream of a sequence that goes on from `prompt`, whose own text it leaves out.
  virtual std::unique_ptr<TextStream> NewStream(SpecialTokens special_tokens,
                                                std::span<const int32_t> prompt) const = 0;
  // At least as many bytes of text as one token can stand for.
  virtual size_t max_token_bytes() const = 0;
};

}  // namespace dray::serving
