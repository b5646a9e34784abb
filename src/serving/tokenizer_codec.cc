#include "serving/tokenizer_codec.h"

#include <algorithm>
#include <utility>

#include "tokenizer/stream_decoder.h"

namespace dray::serving {
namespace {

using tokenizer::StreamDecoder;
using tokenizer::Tokenizer;

tokenizer::DecodeOptions MakeDecodeOptions(SpecialTokens special_tokens) {
  return {.skip_special_tokens = special_tokens == SpecialTokens::kSkip};
}

class TokenizerStream final : public TextStream {
 public:
  TokenizerStream(const Tokenizer& tokenizer, SpecialTokens special_tokens,
                  std::span<const int32_t> prompt)
      : decoder_(tokenizer, MakeDecodeOptions(special_tokens), prompt) {}

  std::string Push(int32_t id) override { return decoder_.Push(id); }
  std::string Flush() override { return decoder_.Finish(); }

 private:
  StreamDecoder decoder_;
};

class TokenizerCodec final : public TextCodec {
 public:
  explicit TokenizerCodec(std::unique_ptr<Tokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {
    for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id) {
      const auto text = tokenizer_->TokenText(id);
      // A byte that cannot be shown decodes to U+FFFD, which is three.
      if (text) max_token_bytes_ = std::max(max_token_bytes_, 3 * text->size());
    }
  }

  Result<std::vector<int32_t>> EncodePrompt(std::string_view text,
                                            const CancelCheck& is_cancelled) const override {
    return tokenizer_->Encode(text, {.add_special_tokens = true, .is_cancelled = is_cancelled});
  }
  Result<std::vector<int32_t>> EncodePlain(std::string_view text) const override {
    return tokenizer_->Encode(text, {.add_special_tokens = false});
  }
  std::string TokenText(int32_t id) const override {
    return tokenizer_->Decode(std::span(&id, 1), {.skip_special_tokens = false});
  }
  bool IsSpecial(int32_t id) const override { return tokenizer_->IsSpecial(id); }

  std::unique_ptr<TextStream> NewStream(SpecialTokens special_tokens,
                                        std::span<const int32_t> prompt) const override {
    return std::make_unique<TokenizerStream>(*tokenizer_, special_tokens, prompt);
  }

  size_t max_token_bytes() const override { return max_token_bytes_; }

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
  size_t max_token_bytes_ = 1;
};

}  // namespace

std::unique_ptr<TextCodec> MakeTokenizerCodec(std::unique_ptr<tokenizer::Tokenizer> tokenizer) {
  return std::make_unique<TokenizerCodec>(std::move(tokenizer));
}

}  // namespace dray::serving
