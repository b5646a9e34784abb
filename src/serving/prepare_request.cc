#include "serving/prepare_request.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "engine/validate.h"
#include "tokenizer/text/utf8.h"

namespace dray::serving {
namespace {

// A longer prompt is refused before it is tokenized, unless the model's context has room for it.
constexpr size_t kMinPromptBytesLimit = size_t{1} << 20;
constexpr double kNoMax = std::numeric_limits<double>::infinity();

OrReason<std::vector<int32_t>> EncodePrompt(const TextRequest& request, const TextCodec& codec,
                                            const engine::EngineLimits& limits,
                                            const CancelCheck& is_cancelled) {
  const int64_t context = limits.max_context_tokens;
  const size_t max_bytes =
      std::max(kMinPromptBytesLimit,
               static_cast<size_t>(context) * std::max<size_t>(1, codec.max_token_bytes()));
  if (request.text.size() > max_bytes) {
    return Reason(PromptTooLarge{request.text.size(), max_bytes, context});
  }
  if (request.truncate && *request.truncate < 1) {
    return Reason(
        sampling::NumberOutOfRange{"truncate", static_cast<double>(*request.truncate), 1, kNoMax});
  }
  // JSON is checked by its parser, plain text and forms are not.
  if (!tokenizer::IsValidUtf8(request.text)) {
    return Reason(Status(StatusCode::kInvalidArgument, "the text is not UTF-8"));
  }
  auto encoded = codec.EncodePrompt(request.text, is_cancelled);
  if (!encoded.ok()) return Reason(encoded.status());
  std::vector<int32_t> prompt = std::move(encoded).value();
  if (request.truncate && prompt.size() > static_cast<uint64_t>(*request.truncate)) {
    prompt.erase(prompt.begin(), prompt.end() - static_cast<std::ptrdiff_t>(*request.truncate));
  }
  if (prompt.empty()) return Reason(PromptEmpty{});
  return prompt;
}

// How many new tokens the request may have, in a context that has room for some.
OrReason<int64_t> DecideNewTokens(const TextRequest& request, int64_t num_prompt_tokens,
                                  const engine::EngineLimits& limits,
                                  int64_t default_max_new_tokens) {
  const int64_t context_tokens = limits.max_context_tokens;
  const int64_t room = context_tokens - num_prompt_tokens;
  if (room < 1) return Reason(PromptTooLong{num_prompt_tokens, context_tokens});
  if (request.max_new_tokens) {
    if (*request.max_new_tokens <= room) return *request.max_new_tokens;
    return Reason(NewTokensTooMany{num_prompt_tokens, *request.max_new_tokens, context_tokens});
  }
  if (!request.max_length) return std::min(room, default_max_new_tokens);
  // As transformers counts: the answer of an encoder-decoder begins with one token that is given.
  const int64_t num_before = limits.encodes_prompt ? 1 : num_prompt_tokens;
  if (*request.max_length > num_before) {
    return std::min(room, *request.max_length - num_before);
  }
  return Reason(MaxLengthTooShort{*request.max_length, num_before, !limits.encodes_prompt});
}

// What of the bad words can be refused without a tokenizer.
std::optional<sampling::ParamProblem> CheckBadWords(const std::vector<std::string>& words,
                                                    const sampling::ParamLimits& limits) {
  // Each becomes two sequences of tokens.
  const int64_t max_words = limits.max_bad_words / 2;
  if (words.size() > static_cast<size_t>(max_words)) {
    return sampling::TooManyEntries{"bad_words", words.size(), max_words};
  }
  for (const std::string& word : words) {
    if (!word.empty() && word.size() <= static_cast<size_t>(limits.max_bad_word_bytes)) continue;
    return sampling::WrongEntrySize{"bad_words", sampling::WrongEntrySize::Unit::kBytes,
                                    word.size(), limits.max_bad_word_bytes};
  }
  return std::nullopt;
}

Status AddBadWords(const std::vector<std::string>& words, const TextCodec& codec,
                   sampling::SamplingParams& params) {
  params.bad_words.clear();
  for (const std::string& word : words) {
    // Inside a text most tokenizers know a word by the space before it.
    for (const std::string& spelling : {word, " " + word}) {
      DRAY_ASSIGN_OR_RETURN(std::vector<int32_t> ids, codec.EncodePlain(spelling));
      const bool known = std::find(params.bad_words.begin(), params.bad_words.end(), ids) !=
                         params.bad_words.end();
      if (!ids.empty() && !known) params.bad_words.push_back(std::move(ids));
    }
  }
  return OkStatus();
}

}  // namespace

OrReason<engine::GenerateRequest> PrepareRequest(const TextRequest& request, const TextCodec& codec,
                                                 const engine::EngineLimits& limits,
                                                 int64_t default_max_new_tokens,
                                                 const CancelCheck& is_cancelled) {
  sampling::ParamLimits param_limits;
  if (const auto problem = CheckBadWords(request.bad_words, param_limits)) return Reason(*problem);
  auto prompt = EncodePrompt(request, codec, limits, is_cancelled);
  if (!prompt.ok()) return prompt.reason();
  const auto num_prompt_tokens = static_cast<int64_t>(prompt->size());
  const auto max_new_tokens =
      DecideNewTokens(request, num_prompt_tokens, limits, default_max_new_tokens);
  if (!max_new_tokens.ok()) return max_new_tokens.reason();
  engine::GenerateRequest prepared{std::move(*prompt), request.params};
  prepared.params.max_new_tokens = *max_new_tokens;
  const Status scores = engine::CheckPromptLogprobs(prepared.params, limits);
  if (!scores.ok()) return Reason(scores);
  const Status status = AddBadWords(request.bad_words, codec, prepared.params);
  if (!status.ok()) return Reason(status);
  param_limits.vocab_size = limits.vocab_size;
  param_limits.max_new_tokens = limits.max_context_tokens - num_prompt_tokens;
  if (const auto problem = sampling::FindProblem(prepared.params, param_limits)) {
    return Reason(*problem);
  }
  sampling::ChooseSeed(prepared.params);
  return prepared;
}

}  // namespace dray::serving
