#include "tokenizer/stream_decoder.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/text/utf8.h"
#include "tokenizer/tokenizer_parts.h"

namespace dray::tokenizer {
namespace {

// How many of the prompt's last tokens are context. A decoder looks back over one token (blanks
// between words, repeated tokens), or over the bytes of one character, which are at most four.
constexpr size_t kContextTokens = 8;

}  // namespace

// The tokenizer's decoder at work on one text. It is the end of its own chain of stages: the text
// that has not been handed out yet.
class StreamDecoder::Run : public TokenSink {
 public:
  Run(const Tokenizer& tokenizer, const DecodeOptions& options, Flow flow)
      : tokenizer_(tokenizer),
        options_(options),
        stages_(tokenizer.parts_->decoder.NewStages(*this, flow)) {}

  // The text of this token, or nothing if it has no part in the text.
  std::optional<std::string_view> ShownText(int32_t id) const {
    if (options_.skip_special_tokens && tokenizer_.IsSpecial(id)) return std::nullopt;
    return tokenizer_.TokenText(id);
  }

  std::string Push(int32_t id) {
    if (const auto token = ShownText(id)) first().Token(*token);
    return std::exchange(text_, {});
  }

  std::string End() {
    first().Finish();
    return std::exchange(text_, {});
  }

  // The last of `ids` that have a part in the text, at most kContextTokens of them.
  std::vector<int32_t> Context(std::span<const int32_t> ids) const {
    std::vector<int32_t> context;
    for (size_t i = ids.size(); i > 0 && context.size() < kContextTokens; --i) {
      if (ShownText(ids[i - 1])) context.push_back(ids[i - 1]);
    }
    std::reverse(context.begin(), context.end());
    return context;
  }

  void Token(std::string_view token) override { text_ += token; }
  void Part(std::string_view part) override { text_ += part; }
  void Finish() override {}

 private:
  TokenSink& first() { return stages_.empty() ? *this : *stages_.back(); }

  const Tokenizer& tokenizer_;
  const DecodeOptions options_;
  std::string text_;
  std::vector<std::unique_ptr<TokenSink>> stages_;
};

std::string Tokenizer::Decode(std::span<const int32_t> ids, const DecodeOptions& options) const {
  StreamDecoder::Run run(*this, options, Flow::kWholeTokens);
  std::string text;
  for (const int32_t id : ids) text += run.Push(id);
  text += run.End();
  return text;
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, const DecodeOptions& options,
                             std::span<const int32_t> before)
    : run_(std::make_unique<Run>(tokenizer, options, Flow::kParts)) {
  // A second run that ends after the prompt tells what this one holds back.
  Run prompt(tokenizer, options, Flow::kParts);
  for (const int32_t id : run_->Context(before)) {
    run_->Push(id);
    prompt.Push(id);
  }
  if (!before.empty()) owed_ = prompt.End();
}

StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder& StreamDecoder::operator=(StreamDecoder&&) noexcept = default;
StreamDecoder::~StreamDecoder() = default;

std::string StreamDecoder::NewPart(std::string text) {
  size_t same = 0;
  while (same < text.size() && same < owed_.size()) {
    const size_t bytes = DecodeChar(text, same).bytes;
    if (text.compare(same, bytes, owed_, same, bytes) != 0) {
      owed_.clear();  // new tokens gave these characters another end: they are new
      break;
    }
    same += bytes;
  }
  owed_.erase(0, same);
  return text.erase(0, same);
}

std::string StreamDecoder::Push(int32_t id) { return NewPart(run_->Push(id)); }

std::string StreamDecoder::Finish() { return NewPart(run_->End()); }

}  // namespace dray::tokenizer
