#include "serving/echo/character_codec.h"

#include <string>
#include <vector>

#include "tokenizer/text/utf8.h"

namespace dray::serving {
namespace {

std::string TextOf(int32_t id) {
  if (id == kCharacterEndToken) return "<end>";
  std::string text;
  AppendUtf8(static_cast<char32_t>(id), text);
  return text;
}

// A token is a whole character, so no text ever waits for the next token.
class CharacterStream final : public TextStream {
 public:
  explicit CharacterStream(SpecialTokens special_tokens) : special_tokens_(special_tokens) {}

  std::string Push(int32_t id) override {
    const bool is_left_out = id == kCharacterEndToken && special_tokens_ == SpecialTokens::kSkip;
    return is_left_out ? "" : TextOf(id);
  }
  std::string Flush() override { return ""; }

 private:
  const SpecialTokens special_tokens_;
};

class CharacterCodec final : public TextCodec {
 public:
  Result<std::vector<int32_t>> EncodePrompt(std::string_view text,
                                            const CancelCheck&) const override {
    return EncodePlain(text);
  }

  Result<std::vector<int32_t>> EncodePlain(std::string_view text) const override {
    std::vector<int32_t> ids;
    while (!text.empty()) {
      using tokenizer::Utf8Step;
      const Utf8Step step = tokenizer::NextUtf8(text);
      const char32_t code = step.kind == Utf8Step::Kind::kChar ? tokenizer::DecodeChar(text, 0).code
                                                               : tokenizer::kReplacementChar;
      ids.push_back(static_cast<int32_t>(code));
      text.remove_prefix(step.length);
    }
    return ids;
  }

  std::string TokenText(int32_t id) const override { return TextOf(id); }
  bool IsSpecial(int32_t id) const override { return id == kCharacterEndToken; }

  std::unique_ptr<TextStream> NewStream(SpecialTokens special_tokens,
                                        std::span<const int32_t>) const override {
    return std::make_unique<CharacterStream>(special_tokens);
  }

  size_t max_token_bytes() const override { return 4; }  // of UTF-8
};

}  // namespace

std::unique_ptr<TextCodec> MakeCharacterCodec() { return std::make_unique<CharacterCodec>(); }

}  // namespace dray::serving
