#include "serving/encoder/encoder_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tokenizer/text/unicode.h"
#include "tokenizer/text/utf8.h"

namespace dray::serving {
namespace {

using engine::EncodeOutput;
using engine::EncodeText;

// A longer text is refused before it is tokenized.
constexpr size_t kMaxTextBytes = size_t{1} << 20;
// Of one answer: 256 MB as floats, and some 700 MB as JSON.
constexpr int64_t kMaxNumbers = int64_t{64} << 20;

std::string Lowered(std::string_view text) {
  std::string lower;
  for (size_t at = 0; at < text.size();) {
    const auto next = tokenizer::DecodeChar(text, at);
    tokenizer::AppendLowercase(next.code, lower);
    at += next.bytes;
  }
  return lower;
}

int64_t NumbersOf(const EncodeText& text, EncodeOutput output,
                  const engine::EncoderLimits& limits) {
  switch (output) {
    case EncodeOutput::kVector:
      return limits.vector_size;
    case EncodeOutput::kStates:
      return static_cast<int64_t>(text.ids.size()) * limits.hidden;
    case EncodeOutput::kClasses:
      break;
  }
  return limits.num_labels;
}

}  // namespace

EncoderService::EncoderService(std::shared_ptr<engine::EncoderEngine> engine,
                               std::unique_ptr<tokenizer::Tokenizer> tokenizer,
                               engine::SentenceConfig sentence, engine::EncodeOutput output)
    : engine_(std::move(engine)),
      tokenizer_(std::move(tokenizer)),
      sentence_(std::move(sentence)),
      output_(output) {}

std::string EncoderService::Spell(const std::string& text) const {
  const std::string whole = sentence_.prompt + text;
  return sentence_.lower_case ? Lowered(tokenizer::ReplaceInvalidUtf8(whole)) : whole;
}

OrReason<EncodeText> EncoderService::Encode(const InputText& input, const EncodeCall& call,
                                            const CancelCheck& is_cancelled) const {
  const auto max_tokens = static_cast<size_t>(limits().max_tokens);
  const size_t bytes = input.text.size() + (input.second ? input.second->size() : 0);
  if (bytes > kMaxTextBytes) {
    return Reason(PromptTooLarge{bytes, kMaxTextBytes, limits().max_tokens});
  }
  tokenizer::EncodeOptions options;
  options.is_cancelled = is_cancelled;
  if (call.too_long == TooLong::kTruncate) options.truncation = {.max_ids = max_tokens};
  const bool is_sentence = call.output == EncodeOutput::kVector && !input.second;
  // As in transformers, an empty second text is none.
  const bool is_pair = input.second && !input.second->empty();
  auto encoded =
      is_pair ? tokenizer_->EncodePair(input.text, *input.second, options)
              : tokenizer_->EncodeTyped(is_sentence ? Spell(input.text) : input.text, options);
  if (!encoded.ok()) return Reason(encoded.status());
  if (encoded->ids.size() > max_tokens) {
    return Reason(TextTooLong{static_cast<int64_t>(encoded->ids.size()), limits().max_tokens});
  }
  return EncodeText{std::move(encoded->ids), std::move(encoded->type_ids)};
}

EncodeText EncoderService::FromTokens(const InputTokens& tokens, TooLong too_long) const {
  const auto max_tokens = static_cast<size_t>(limits().max_tokens);
  EncodeText text = {.ids = tokens, .types = {}};
  if (too_long == TooLong::kTruncate) text.ids.resize(std::min(text.ids.size(), max_tokens));
  text.types.assign(text.ids.size(), 0);
  return text;
}

OrReason<PreparedEncode> EncoderService::Prepare(const EncodeCall& call,
                                                 const CancelCheck& is_cancelled) const {
  PreparedEncode prepared;
  prepared.request.output = call.output;
  int64_t numbers = 0;
  for (const EncodeInput& input : call.inputs) {
    EncodeText text;
    if (const auto* tokens = std::get_if<InputTokens>(&input)) {
      text = FromTokens(*tokens, call.too_long);
    } else {
      auto encoded = Encode(std::get<InputText>(input), call, is_cancelled);
      if (!encoded.ok()) return encoded.reason();
      text = std::move(*encoded);
    }
    if (text.ids.empty()) return Reason(PromptEmpty{});
    if (text.ids.size() > static_cast<size_t>(limits().max_tokens)) {
      return Reason(TextTooLong{static_cast<int64_t>(text.ids.size()), limits().max_tokens});
    }
    numbers += NumbersOf(text, call.output, limits());
    if (numbers > kMaxNumbers) {
      return Reason(Status(
          StatusCode::kInvalidArgument,
          fmt::format("the answer would have more than {} numbers: send fewer or shorter texts",
                      kMaxNumbers)));
    }
    prepared.num_tokens.push_back(static_cast<int64_t>(text.ids.size()));
    prepared.request.texts.push_back(std::move(text));
  }
  return prepared;
}

}  // namespace dray::serving
