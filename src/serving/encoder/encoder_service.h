// The part of an encoder's model that knows texts: from a call to the token ids that its engine takes.
//
// Threads: any.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/encoder/encoder_engine.h"
#include "serving/encoder/encode_call.h"
#include "serving/text_codec.h"
#include "tokenizer/tokenizer.h"

namespace dray::serving {

// A call as the engine takes it.
struct PreparedEncode {
  engine::EncodeRequest request;
  std::vector<int64_t> num_tokens;  // [input]
};

class EncoderService {
 public:
  // `output` is what a request gets that does not say what it wants.
  EncoderService(std::shared_ptr<engine::EncoderEngine> engine,
                 std::unique_ptr<tokenizer::Tokenizer> tokenizer, engine::SentenceConfig sentence,
                 engine::EncodeOutput output);

  // Tokenizes the inputs, and cuts or refuses those that are too long; kCancelled once `is_cancelled`,
  // asked every few ms, says true. Also refuses answers of too many numbers.
  OrReason<PreparedEncode> Prepare(const EncodeCall& call, const CancelCheck& is_cancelled) const;

  engine::EncoderEngine& engine() const { return *engine_; }
  const std::shared_ptr<engine::EncoderEngine>& shared_engine() const { return engine_; }
  engine::EncodeOutput default_output() const { return output_; }
  const engine::EncoderLimits& limits() const { return engine_->limits(); }
  const engine::ClassifierConfig* classifier() const { return engine_->classifier(); }

 private:
  OrReason<engine::EncodeText> Encode(const InputText& input, const EncodeCall& call,
                                      const CancelCheck& is_cancelled) const;
  engine::EncodeText FromTokens(const InputTokens& tokens, TooLong too_long) const;
  // The text as sentence-transformers gives it to the tokenizer.
  std::string Spell(const std::string& text) const;

  const std::shared_ptr<engine::EncoderEngine> engine_;
  const std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  const engine::SentenceConfig sentence_;
  const engine::EncodeOutput output_;
};

}  // namespace dray::serving
