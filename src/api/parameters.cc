#include "api/parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "base/check.h"

namespace dray::api {
namespace {

using Text = std::string_view;

Status Invalid(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

Status Read(Text spelling, Json& value, bool& out) {
  const auto read = value.AsBool();
  if (!read) return WrongKind(spelling, value, "true or false");
  out = *read;
  return OkStatus();
}

Status Read(Text spelling, Json& value, int64_t& out) {
  const auto read = value.AsInt64();
  if (!read) return WrongKind(spelling, value, "a whole number");
  out = *read;
  return OkStatus();
}

Status Read(Text spelling, Json& value, double& out) {
  const auto read = value.AsDouble();
  if (!read) return WrongKind(spelling, value, "a number");
  out = *read;
  return OkStatus();
}

template <typename T>
Status Read(Text spelling, Json& value, std::optional<T>& out) {
  return Read(spelling, value, out.emplace());
}

// A list of strings, or one string. It is moved rather than copied, since sizes are checked later.
Status Read(Text spelling, Json& value, std::vector<std::string>& out) {
  if (std::string* one = value.AsString()) {
    out.push_back(std::move(*one));
    return OkStatus();
  }
  Json::Array* const list = value.AsArray();
  if (list == nullptr) return WrongKind(spelling, value, "a list of strings");
  for (Json& entry : *list) {
    std::string* const text = entry.AsString();
    if (text == nullptr) return WrongKind(spelling, entry, "a list of strings");
    out.push_back(std::move(*text));
  }
  return OkStatus();
}

Status ReadTokenId(Text spelling, const Json& value, Text kind, int32_t& out) {
  const auto id = value.AsInt64();
  if (!id || *id < 0 || *id > INT32_MAX) return WrongKind(spelling, value, kind);
  out = static_cast<int32_t>(*id);
  return OkStatus();
}

Status Read(Text spelling, Json& value, std::optional<int32_t>& out) {
  return ReadTokenId(spelling, value, "a token id", out.emplace());
}

// A list of token ids, or one.
Status Read(Text spelling, Json& value, std::vector<int32_t>& out) {
  const auto append = [&](const Json& entry) {
    return ReadTokenId(spelling, entry, "a list of token ids", out.emplace_back());
  };
  const Json::Array* const list = value.AsArray();
  if (list == nullptr) return append(value);
  for (const Json& entry : *list) DRAY_RETURN_IF_ERROR(append(entry));
  return OkStatus();
}

// No answer is padded. Only groups of beams use the token, and check it.
Status ReadPadToken(Text spelling, Json& value, PartialCall& out) {
  int64_t id = 0;
  DRAY_RETURN_IF_ERROR(Read(spelling, value, id));
  if (id >= 0 && id <= INT32_MAX) out.call.request.params.pad_token_id = static_cast<int32_t>(id);
  return OkStatus();
}

// A whole number from 0 up.
Status ReadNatural(Text spelling, Json& value, int64_t& out) {
  DRAY_RETURN_IF_ERROR(Read(spelling, value, out));
  if (out >= 0) return OkStatus();
  return Invalid(fmt::format("parameter \"{}\" is {}; it must be at least 0", spelling, out));
}

Status ReadSeed(Text spelling, Json& value, PartialCall& out) {
  int64_t seed = 0;
  DRAY_RETURN_IF_ERROR(ReadNatural(spelling, value, seed));
  out.call.request.params.seed = static_cast<uint64_t>(seed);
  return OkStatus();
}

Status ReadTopNTokens(Text spelling, Json& value, PartialCall& out) {
  return ReadNatural(spelling, value, out.call.top_n_tokens);
}

Status ReadFormat(Text spelling, Json& value, PartialCall& out) {
  const std::string* const text = value.AsString();
  if (text == nullptr)
    return WrongKind(spelling, value, fmt::format("one of {}", settings::kOutputFormats));
  out.call.output_format = settings::ParseOutputFormat(*text);
  if (out.call.output_format) return OkStatus();
  return Invalid(fmt::format("parameter \"{}\" is \"{}\"; it must be one of {}", spelling,
                             text->substr(0, 100), settings::kOutputFormats));
}

Status ReadSkipSpecialTokens(Text spelling, Json& value, PartialCall& out) {
  bool skip = true;
  DRAY_RETURN_IF_ERROR(Read(spelling, value, skip));
  out.call.request.special_tokens =
      skip ? serving::SpecialTokens::kSkip : serving::SpecialTokens::kKeep;
  return OkStatus();
}

// true, false or "never".
Status ReadEarlyStopping(Text spelling, Json& value, PartialCall& out) {
  sampling::EarlyStopping& early_stopping = out.call.request.params.early_stopping;
  const std::string* const text = value.AsString();
  if (text != nullptr && *text == "never") {
    early_stopping = sampling::EarlyStopping::kNever;
    return OkStatus();
  }
  const auto flag = value.AsBool();
  if (!flag) return WrongKind(spelling, value, "true, false or \"never\"");
  early_stopping = *flag ? sampling::EarlyStopping::kYes : sampling::EarlyStopping::kNo;
  return OkStatus();
}

// Parameters of other servers, of which one value means what happens here anyway.
Status ReadTrueOnly(Text spelling, Json& value, PartialCall&) {
  bool flag = true;
  DRAY_RETURN_IF_ERROR(Read(spelling, value, flag));
  if (flag) return OkStatus();
  return Invalid(fmt::format("parameter \"{}\" must be true in this build", spelling));
}

// The reader of a parameter that goes straight into a field.
#define DRAY_FIELD(field) \
  [](Text spelling, Json& value, PartialCall& out) { return Read(spelling, value, out.field); }

constexpr Parameter kParameters[] = {
    {"do_sample", "true, false", "sample, rather than take the likeliest token",
     DRAY_FIELD(do_sample)},
    {"temperature", "0 to 100", "logits are divided by it", DRAY_FIELD(temperature)},
    {"top_k", "-1 up", "sample among so many likeliest tokens; 0 and -1: among all",
     DRAY_FIELD(call.request.params.top_k)},
    {"top_p", "0 to 1", "sample among the likeliest tokens up to this probability",
     DRAY_FIELD(call.request.params.top_p)},
    {"typical_p", "above 0 to 1",
     "sample among the tokens whose surprise is nearest the expected one, up to this probability",
     DRAY_FIELD(call.request.params.typical_p)},
    {"min_p", "0 to 1",
     "sample among tokens of at least this share of the likeliest one's probability",
     DRAY_FIELD(call.request.params.min_p)},
    {"repetition_penalty", "0.01 to 100", "over prompt and answer; above 1: repeat less",
     DRAY_FIELD(call.request.params.repetition_penalty)},
    {"presence_penalty", "-2 to 2", "over the answer; once for each token that occurred",
     DRAY_FIELD(call.request.params.presence_penalty)},
    {"frequency_penalty", "-2 to 2", "over the answer; once for each occurrence",
     DRAY_FIELD(call.request.params.frequency_penalty)},
    {"seed", "0 up", "makes sampling repeatable", ReadSeed},
    {"max_new_tokens", "1 up to what the context holds", "at most so many tokens",
     DRAY_FIELD(call.request.max_new_tokens)},
    {"min_new_tokens", "0 up to `max_new_tokens`", "no end token before so many",
     DRAY_FIELD(call.request.params.min_new_tokens)},
    {"max_length", "more than the prompt has", "at most so many tokens, the prompt's included",
     DRAY_FIELD(call.request.max_length)},
    {"truncate", "1 up", "keep only so many tokens of the prompt, the last ones",
     DRAY_FIELD(call.request.truncate)},
    {"stop_strings", "at most 16, of 1 to 256 bytes", "texts that end the answer; left out of it",
     DRAY_FIELD(call.request.params.stop_strings)},
    {"stop_token_ids", "at most 256", "tokens that end the answer",
     DRAY_FIELD(call.request.params.stop_token_ids)},
    {"include_stop_str_in_output", "true, false", "leave such a text in the answer",
     DRAY_FIELD(call.request.params.include_stop_str_in_output)},
    {"bad_words", "at most 128, of 1 to 1024 bytes and 64 tokens", "texts that must not occur",
     DRAY_FIELD(call.request.bad_words)},
    {"no_repeat_ngram_size", "0 up", "above 0: no sequence of so many tokens occurs twice",
     DRAY_FIELD(call.request.params.no_repeat_ngram_size)},
    {"suppress_tokens", "at most 1024", "tokens that are never chosen",
     DRAY_FIELD(call.request.params.suppress_tokens)},
    {"begin_suppress_tokens", "at most 1024", "tokens that are not chosen as the first one",
     DRAY_FIELD(call.request.params.begin_suppress_tokens)},
    {"forced_bos_token_id", "a token id", "the token that follows a prompt of one token",
     DRAY_FIELD(call.request.params.forced_bos_token_id)},
    {"forced_eos_token_id", "a token id", "the last token of an answer of `max_new_tokens`",
     DRAY_FIELD(call.request.params.forced_eos_token_id)},
    {"ignore_eos", "true, false", "go on after the model's end token",
     DRAY_FIELD(call.request.params.ignore_eos)},
    {"n", "1 to `best_of`", "so many answers", DRAY_FIELD(n)},
    {"best_of", "1 to 16", "generate so many, and answer with the likeliest of them",
     DRAY_FIELD(best_of)},
    {"details", "true, false", "tokens, log-probabilities, and why the answer ended",
     DRAY_FIELD(call.details)},
    {"return_full_text", "true, false", "the prompt before the answer",
     DRAY_FIELD(call.return_full_text)},
    {"decoder_input_details", "true, false", "with `details`: the prompt's tokens too",
     DRAY_FIELD(call.decoder_input_details)},
    {"top_n_tokens", "0 to 20", "with `details`: so many likeliest tokens at each place",
     ReadTopNTokens},
    {"num_logprobs", "0 to 20", "log-probabilities of so many likeliest tokens",
     DRAY_FIELD(logprobs)},
    {"prompt_logprobs", "0 to 20", "the same for the prompt's tokens",
     DRAY_FIELD(call.request.params.prompt_logprobs)},
    {"skip_special_tokens", "true, false", "leave special tokens out of the text",
     ReadSkipSpecialTokens},
    {"output_format", settings::kOutputFormats, "how the answer is written", ReadFormat},
    {"num_beams", "1 to 64", "above 1: beam search with so many beams",
     DRAY_FIELD(call.request.params.num_beams)},
    {"length_penalty", "-5 to 5", "of beam search; above 0: prefer long answers",
     DRAY_FIELD(call.request.params.length_penalty)},
    {"early_stopping", "true, false, `never`",
     "of beam search; when to stop looking for better answers", ReadEarlyStopping},
    {"num_beam_groups", "a divisor of `num_beams`", "groups of beams that find different answers",
     DRAY_FIELD(call.request.params.num_beam_groups)},
    {"diversity_penalty", "0 to 10000",
     "of groups; taken from the score of a token for each beam of earlier groups that chose it",
     DRAY_FIELD(call.request.params.diversity_penalty)},
    {"sibling_diversity_rate", "-10000 to 10000",
     "added k times to the score of a beam's k-th continuation",
     DRAY_FIELD(call.request.params.sibling_diversity_rate)},
    {"penalty_alpha", "0 to 1", "above 0: contrastive search among the `top_k` likeliest tokens",
     DRAY_FIELD(call.request.params.penalty_alpha)},
    {"use_cache", "true", "keys and values are always kept", ReadTrueOnly},
    {"pad_token_id", "a token id", "no answer is padded", ReadPadToken},
    {"spaces_between_special_tokens", "true", "special tokens are set apart", ReadTrueOnly},
};
#undef DRAY_FIELD

}  // namespace

Status WrongKind(Text spelling, const Json& value, Text kind) {
  return Invalid(
      fmt::format("parameter \"{}\" must be {}, not {}", spelling, kind,
                  value.is_number() ? fmt::format("{}", value.Dump()) : value.KindName()));
}

std::span<const Parameter> ParameterTable() { return kParameters; }

const Parameter& FindParameter(Text name) {
  const auto* const row =
      std::find_if(std::begin(kParameters), std::end(kParameters),
                   [&](const Parameter& parameter) { return parameter.name == name; });
  DRAY_CHECK(row != std::end(kParameters));
  return *row;
}

Status ReadParameters(std::span<const ParameterSpelling> spellings, Json::Object& parameters,
                      PartialCall& out) {
  // By spelling; the last member of each name.
  std::vector<Json*> values(spellings.size(), nullptr);
  for (auto& [name, value] : parameters) {
    const auto known = std::find_if(
        spellings.begin(), spellings.end(),
        [&name = name](const ParameterSpelling& spelling) { return spelling.spelling == name; });
    if (known == spellings.end()) {
      std::vector<Text> names;
      for (const ParameterSpelling& spelling : spellings) names.push_back(spelling.spelling);
      return Invalid(fmt::format("parameter \"{}\" is not known; the parameters are {}",
                                 name.substr(0, 100), fmt::join(names, ", ")));
    }
    values[static_cast<size_t>(known - spellings.begin())] = &value;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == nullptr || values[i]->is_null()) continue;
    DRAY_RETURN_IF_ERROR(
        FindParameter(spellings[i].name).read(spellings[i].spelling, *values[i], out));
  }
  return OkStatus();
}

std::string SpellParameter(std::span<const ParameterSpelling> spellings, Text name) {
  for (const ParameterSpelling& spelling : spellings) {
    if (spelling.name == name) return sampling::QuoteParam(spelling.spelling);
  }
  return sampling::QuoteParam(name);
}

}  // namespace dray::api
