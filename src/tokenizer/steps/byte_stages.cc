// The decoder's steps that make bytes and then characters of tokens: ByteLevel and ByteFallback.
#include <optional>
#include <utility>

#include "tokenizer/steps/decoder_stages.h"
#include "tokenizer/steps/stage.h"
#include "tokenizer/text/byte_level.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

class ByteLevelStage : public Stage {
 public:
  ByteLevelStage(TokenSink& next, const NoOptions&) : Stage(next) {}

  void Token(std::string_view token) override {
    if (!AppendFromByteLevel(token, bytes_)) bytes_ += token;
    Emit();
  }
  void Part(std::string_view part) override { parts_ += part; }
  void Finish() override {
    if (!parts_.empty()) Token(parts_);
    next().Part(bytes_.empty() ? std::string_view() : kReplacementUtf8);
    next().Finish();
  }

 private:
  // Passes on all but a character's first bytes at the end.
  void Emit() {
    std::string text;
    size_t pos = 0;
    while (pos < bytes_.size()) {
      const Utf8Step step = NextUtf8(std::string_view{bytes_}.substr(pos));
      if (step.kind == Utf8Step::Kind::kIncomplete) break;
      if (step.kind == Utf8Step::Kind::kChar) {
        text.append(bytes_, pos, step.length);
      } else {
        text += kReplacementUtf8;
      }
      pos += step.length;
    }
    bytes_.erase(0, pos);
    next().Part(text);
  }

  std::string parts_;
  std::string bytes_;  // the first bytes of a character
};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The byte of a token <0xNN>. A plus sign may stand for the first digit, as in the reference.
std::optional<char> ByteOfToken(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const int high = token[3] == '+' ? 0 : HexDigit(token[3]);
  const int low = HexDigit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

// Joins byte tokens to characters.
class ByteFallbackStage : public WholeTokenStage {
 public:
  ByteFallbackStage(TokenSink& next, Flow flow) : WholeTokenStage(next), flow_(flow) {}

  void Token(std::string_view token) override {
    const auto byte = ByteOfToken(token);
    if (!byte) {
      FinishTokens();
      next().Token(token);
      return;
    }
    bytes_ += *byte;
    if (flow_ == Flow::kParts) PassOnCharacters();
  }

 private:
  // Keeps nothing but the first bytes of a character.
  void PassOnCharacters() {
    while (!bytes_.empty()) {
      const Utf8Step step = NextUtf8(bytes_);
      if (step.kind == Utf8Step::Kind::kIncomplete) return;
      PassOn(std::string_view{bytes_}.substr(0, step.length));
      bytes_.erase(0, step.length);
    }
  }
  void FinishTokens() override {
    if (!bytes_.empty()) PassOn(bytes_);
    bytes_.clear();
    token_begun_ = false;
  }
  // All characters of a run are one token; the bytes of none are a token each.
  void PassOn(std::string_view bytes) {
    const bool valid = IsValidUtf8(bytes);
    if (valid) token_begun_ ? next().More(bytes) : next().Token(bytes);
    for (size_t i = 0; !valid && i < bytes.size(); ++i) next().Token(kReplacementUtf8);
    token_begun_ = valid;
  }

  const Flow flow_;
  std::string bytes_;         // that have not been passed on
  bool token_begun_ = false;  // characters of this run have been passed on
};

class ByteFallbackStep : public DecoderStep {
 public:
  std::unique_ptr<TokenSink> NewStage(TokenSink& next, Flow flow) const override {
    return std::make_unique<ByteFallbackStage>(next, flow);
  }
};

}  // namespace

DecoderStepPtr NewByteLevelDecoder() { return MakeStep<ByteLevelStage>(NoOptions{}); }
DecoderStepPtr NewByteFallbackDecoder() { return std::make_unique<ByteFallbackStep>(); }

}  // namespace dray::tokenizer
