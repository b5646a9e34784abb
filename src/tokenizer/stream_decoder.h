// Token ids to text while they are generated: a character is shown as soon as it is complete, and
// nothing is shown that the prompt says already.
//
//   StreamDecoder stream(*tokenizer, {}, prompt_ids);
//   for (int32_t id : new_ids) out << stream.Push(id);
//   out << stream.Finish();
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "tokenizer/tokenizer.h"

namespace dray::tokenizer {

// One per stream, used by one thread at a time; the tokenizer must outlive it. The pieces are whole
// characters. Joined they are what Decode gives, with one exception: Decode shows a run of byte
// tokens (<0x0A>) that is no UTF-8 as U+FFFD throughout, and a stream has shown the run's complete
// characters by then, so that only the bytes that belong to none become U+FFFD.
class StreamDecoder {
 public:
  // The text of tokens that follow `before`, the prompt. The prompt's last tokens count as context:
  // a blank between words stays, and a character that begins in the prompt is completed. Their own
  // text is never given out.
  StreamDecoder(const Tokenizer& tokenizer, const DecodeOptions& options,
                std::span<const int32_t> before = {});
  StreamDecoder(StreamDecoder&&) noexcept;
  StreamDecoder& operator=(StreamDecoder&&) noexcept;
  ~StreamDecoder();

  // The text that is certain after this id; often empty in the middle of a character.
  std::string Push(int32_t id);
  // What is still held back. Call once, last.
  std::string Finish();

 private:
  friend class Tokenizer;  // Decode is a run, too

  // `text` without what belongs to the prompt.
  std::string NewPart(std::string text);

  class Run;
  std::unique_ptr<Run> run_;
  // The text that the prompt's last tokens still owe: what the run held back after them. The run's
  // next output begins with it, unless new tokens turn it into something else.
  std::string owed_;
};

}  // namespace dray::tokenizer
