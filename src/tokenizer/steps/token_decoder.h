// The `decoder` of tokenizer.json: how token texts become text again. Each step is a transducer: it
// takes tokens one at a time and passes on what is certain, so that a stream and a whole decode are
// the same code and give the same text.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/json_node.h"

namespace dray::tokenizer {

// Where a step's output goes: the next step, or the text.
class TokenSink {
 public:
  virtual ~TokenSink() = default;
  // One whole token.
  virtual void Token(std::string_view token) = 0;
  // A further part (whole characters) of the one token that there is: no Token call comes
  // before or after.
  virtual void Part(std::string_view part) = 0;
  // There is no more.
  virtual void Finish() = 0;
};

// One step, without state; NewStage makes the state of one text. `next` must outlive it.
class DecoderStep {
 public:
  virtual ~DecoderStep() = default;
  virtual std::unique_ptr<TokenSink> NewStage(TokenSink& next) const = 0;
};

class TokenDecoder {
 public:
  // What the reference does for a tokenizer without a decoder: tokens with blanks between them.
  TokenDecoder();
  static Result<TokenDecoder> Load(const JsonNode& node);

  // A chain of stages in front of `out`, the first step's last in the list. Must not
  // outlive the decoder.
  std::vector<std::unique_ptr<TokenSink>> NewStages(TokenSink& out) const;

 private:
  std::vector<std::unique_ptr<const DecoderStep>> steps_;
};

}  // namespace dray::tokenizer
