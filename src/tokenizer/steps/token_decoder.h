// The `decoder` of tokenizer.json: how token texts become text again. Each step takes tokens one at a
// time and passes on what is certain, so that a stream and a whole decode run the same code.
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
  // A further part (whole characters) of the last call's token. Only for the stages of steps that
  // take cut tokens, and for the text.
  virtual void More(std::string_view part) { Token(part); }
  // A further part (whole characters) of the one token that there is: no Token call comes
  // before or after.
  virtual void Part(std::string_view part) = 0;
  // There is no more.
  virtual void Finish() = 0;
};

// How much a step passes on at a time.
enum class Flow {
  // Whole tokens, as the reference does. The characters of a run of byte tokens (<0xE2>, <0x82>,
  // <0xAC>) come at its end: only then is it known whether the run is UTF-8, and if it is not, each
  // of its tokens becomes U+FFFD.
  kWholeTokens,
  // What is complete, at once: each character of byte tokens (bytes that belong to none become
  // U+FFFD), a word before its suffix.
  kParts,
};

// One step, without state; NewStage makes the state of one text. `next` must outlive it.
class DecoderStep {
 public:
  virtual ~DecoderStep() = default;
  virtual std::unique_ptr<TokenSink> NewStage(TokenSink& next, Flow flow) const = 0;
  // Whether this step makes the same of a token that comes in parts, by TokenSink::More.
  virtual bool takes_cut_tokens() const { return false; }
};

class TokenDecoder {
 public:
  // What the reference does for a tokenizer without a decoder: tokens with blanks between them.
  TokenDecoder();
  static Result<TokenDecoder> Load(const JsonNode& node);

  // A chain of stages in front of `out`, the first step's last in the list. Must not outlive the
  // decoder. In front of a step that does not take cut tokens the flow is kWholeTokens.
  std::vector<std::unique_ptr<TokenSink>> NewStages(TokenSink& out, Flow flow) const;

 private:
  std::vector<std::unique_ptr<const DecoderStep>> steps_;
};

}  // namespace dray::tokenizer
