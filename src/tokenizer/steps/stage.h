// What the stages of decoders have in common; decoder_stages.cc and byte_stages.cc define them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tokenizer/steps/decoder_stages.h"

namespace dray::tokenizer {

class Stage : public TokenSink {
 public:
  static constexpr bool kTakesCutTokens = false;
  explicit Stage(TokenSink& next) : next_(next) {}

 protected:
  TokenSink& next() { return next_; }

 private:
  TokenSink& next_;
};

// A stage that needs whole tokens: parts are collected, and are a token once there are no more.
class WholeTokenStage : public Stage {
 public:
  using Stage::Stage;
  void Part(std::string_view part) final {
    collected_ = true;
    parts_ += part;
  }
  void Finish() final {
    if (collected_) Token(parts_);
    FinishTokens();
    next().Finish();
  }

 protected:
  virtual void FinishTokens() {}

 private:
  bool collected_ = false;
  std::string parts_;
};

// A step that is its options alone.
template <typename StageType, typename Options>
class SimpleStep : public DecoderStep {
 public:
  explicit SimpleStep(Options options) : options_(std::move(options)) {}
  std::unique_ptr<TokenSink> NewStage(TokenSink& next, Flow) const override {
    return std::make_unique<StageType>(next, options_);
  }
  bool takes_cut_tokens() const override { return StageType::kTakesCutTokens; }

 private:
  Options options_;
};

struct NoOptions {};

template <typename StageType, typename Options>
DecoderStepPtr MakeStep(Options options) {
  return std::make_unique<SimpleStep<StageType, Options>>(std::move(options));
}

}  // namespace dray::tokenizer
