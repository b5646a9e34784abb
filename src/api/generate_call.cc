// See generate_call.h. Null stands for an absent parameter, as in the clients that send every one.
#include "api/generate_call.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace dray::api {
namespace {

using serving::OutputFormat;

// What is read and then decided on together with the rest.
struct Draft {
  GenerateCall call;
  std::optional<bool> do_sample;
  std::optional<double> temperature;
  std::optional<int64_t> n;
  std::optional<int64_t> best_of;
  std::optional<int64_t> logprobs;
};

Status Invalid(std::string message) {
  return Status(StatusCode::kInvalidArgument, std::move(message));
}

Status WrongKind(std::string_view name, const Json& value, std::string_view kind) {
  return Invalid(
      fmt::format("parameter \"{}\" must be {}, not {}", name, kind,
                  value.is_number() ? fmt::format("{}", value.Dump()) : value.KindName()));
}

struct Parameter {
  std::string_view name;
  Status (*read)(std::string_view name, const Json& value, Draft& draft);
};
using Name = std::string_view;

Status Read(Name name, const Json& value, bool& out) {
  const auto read = value.AsBool();
  if (!read) return WrongKind(name, value, "true or false");
  out = *read;
  return OkStatus();
}

Status Read(Name name, const Json& value, int64_t& out) {
  const auto read = value.AsInt64();
  if (!read) return WrongKind(name, value, "a whole number");
  out = *read;
  return OkStatus();
}

Status Read(Name name, const Json& value, double& out) {
  const auto read = value.AsDouble();
  if (!read) return WrongKind(name, value, "a number");
  out = *read;
  return OkStatus();
}

template <typename T>
Status Read(Name name, const Json& value, std::optional<T>& out) {
  return Read(name, value, out.emplace());
}

// A list of strings, or one string. Counts are checked by Validate; this bounds the copy.
constexpr size_t kMaxListEntries = 1024;
Status Read(Name name, const Json& value, std::vector<std::string>& out) {
  if (const std::string* one = value.AsString()) {
    out.push_back(*one);
    return OkStatus();
  }
  const Json::Array* list = value.AsArray();
  if (list == nullptr) return WrongKind(name, value, "a list of strings");
  if (list->size() > kMaxListEntries) {
    return Invalid(fmt::format("parameter \"{}\" has {} entries; at most {} are allowed", name,
                               list->size(), kMaxListEntries));
  }
  for (const Json& entry : *list) {
    const std::string* text = entry.AsString();
    if (text == nullptr) return WrongKind(name, entry, "a list of strings");
    out.push_back(*text);
  }
  return OkStatus();
}

Status ReadTokenIds(Name name, const Json& value, Draft& draft) {
  const Json::Array* list = value.AsArray();
  if (list == nullptr) return WrongKind(name, value, "a list of token ids");
  if (list->size() > kMaxListEntries) {
    return Invalid(fmt::format("parameter \"{}\" has {} entries; at most {} are allowed", name,
                               list->size(), kMaxListEntries));
  }
  for (const Json& entry : *list) {
    const auto id = entry.AsInt64();
    if (!id || *id < 0 || *id > INT32_MAX) return WrongKind(name, entry, "a list of token ids");
    draft.call.request.params.stop_token_ids.push_back(static_cast<int32_t>(*id));
  }
  return OkStatus();
}

Status ReadSeed(Name name, const Json& value, Draft& draft) {
  int64_t seed = 0;
  DRAY_RETURN_IF_ERROR(Read(name, value, seed));
  if (seed < 0) {
    return Invalid(fmt::format("parameter \"{}\" is {}; it must be at least 0", name, seed));
  }
  draft.call.request.params.seed = static_cast<uint64_t>(seed);
  return OkStatus();
}

Status ReadFormat(Name name, const Json& value, Draft& draft) {
  const std::string* text = value.AsString();
  if (text == nullptr) return WrongKind(name, value, "json, jsonlines or sse");
  if (*text == "json") {
    draft.call.output_format = OutputFormat::kJson;
  } else if (*text == "jsonlines") {
    draft.call.output_format = OutputFormat::kJsonLines;
  } else if (*text == "sse") {
    draft.call.output_format = OutputFormat::kServerSentEvents;
  } else {
    return Invalid(
        fmt::format("parameter \"{}\" is \"{}\"; it must be json, jsonlines or sse", name, *text));
  }
  return OkStatus();
}

Status ReadSkipSpecialTokens(Name name, const Json& value, Draft& draft) {
  bool skip = true;
  DRAY_RETURN_IF_ERROR(Read(name, value, skip));
  draft.call.request.special_tokens =
      skip ? serving::SpecialTokens::kSkip : serving::SpecialTokens::kKeep;
  return OkStatus();
}

// Parameters of other backends, whose one value here is what happens anyway.
Status ReadNumBeams(Name name, const Json& value, Draft&) {
  int64_t beams = 1;
  DRAY_RETURN_IF_ERROR(Read(name, value, beams));
  if (beams == 1) return OkStatus();
  return Invalid("parameter \"num_beams\" must be 1: beam search is not in this build yet");
}

template <bool kOnly>
Status ReadFixedBool(Name name, const Json& value, Draft&) {
  bool flag = kOnly;
  DRAY_RETURN_IF_ERROR(Read(name, value, flag));
  if (flag == kOnly) return OkStatus();
  return Invalid(fmt::format("parameter \"{}\" must be {} in this build", name, kOnly));
}

Status ReadLengthPenalty(Name name, const Json& value, Draft&) {
  double penalty = 1;
  DRAY_RETURN_IF_ERROR(Read(name, value, penalty));
  if (penalty == 1) return OkStatus();
  return Invalid("parameter \"length_penalty\" must be 1: beam search is not in this build yet");
}

// A parameter that is read straight into a field.
#define DRAY_FIELD(name, field)                                                         \
  {                                                                                     \
    name, [](Name n, const Json& v, Draft& d) -> Status { return Read(n, v, d.field); } \
  }

constexpr Parameter kParameters[] = {
    DRAY_FIELD("do_sample", do_sample),
    DRAY_FIELD("temperature", temperature),
    DRAY_FIELD("top_k", call.request.params.top_k),
    DRAY_FIELD("top_p", call.request.params.top_p),
    DRAY_FIELD("typical_p", call.request.params.typical_p),
    DRAY_FIELD("min_p", call.request.params.min_p),
    DRAY_FIELD("repetition_penalty", call.request.params.repetition_penalty),
    DRAY_FIELD("presence_penalty", call.request.params.presence_penalty),
    DRAY_FIELD("frequency_penalty", call.request.params.frequency_penalty),
    {"seed", ReadSeed},
    {"manual_seed", ReadSeed},
    DRAY_FIELD("max_new_tokens", call.request.max_new_tokens),
    DRAY_FIELD("min_new_tokens", call.request.params.min_new_tokens),
    DRAY_FIELD("max_length", call.request.max_length),
    DRAY_FIELD("truncate", call.request.truncate),
    DRAY_FIELD("stop_sequences", call.request.params.stop_strings),
    DRAY_FIELD("stop", call.request.params.stop_strings),
    {"stop_token_ids", ReadTokenIds},
    DRAY_FIELD("include_stop_str_in_output", call.request.params.include_stop_str_in_output),
    DRAY_FIELD("bad_words", call.request.bad_words),
    DRAY_FIELD("bad_sequences", call.request.bad_words),
    DRAY_FIELD("ignore_eos_token", call.request.params.ignore_eos),
    DRAY_FIELD("n", n),
    DRAY_FIELD("best_of", best_of),
    DRAY_FIELD("details", call.details),
    DRAY_FIELD("return_full_text", call.return_full_text),
    DRAY_FIELD("decoder_input_details", call.decoder_input_details),
    DRAY_FIELD("top_n_tokens", call.top_n_tokens),
    DRAY_FIELD("logprobs", logprobs),
    DRAY_FIELD("prompt_logprobs", call.request.params.prompt_logprobs),
    {"skip_special_tokens", ReadSkipSpecialTokens},
    {"output_formatter", ReadFormat},
    {"num_beams", ReadNumBeams},
    {"length_penalty", ReadLengthPenalty},
    {"early_stopping", ReadFixedBool<false>},
    {"spaces_between_special_tokens", ReadFixedBool<true>},
};
#undef DRAY_FIELD

Status ReadParameters(const Json& parameters, Draft& draft) {
  const Json::Object* object = parameters.AsObject();
  if (object == nullptr) {
    return Invalid(fmt::format("\"parameters\" must be an object, not {}", parameters.KindName()));
  }
  for (const auto& [name, value] : *object) {
    const auto* const known =
        std::find_if(std::begin(kParameters), std::end(kParameters),
                     [&name = name](const Parameter& parameter) { return parameter.name == name; });
    if (known == std::end(kParameters)) {
      return Invalid(fmt::format("parameter \"{}\" is not known; the parameters are {}",
                                 name.substr(0, 100), fmt::join(ParameterNames(), ", ")));
    }
    // Of two equal names the last counts, as in most JSON readers.
    if (value.is_null() || parameters.Find(name) != &value) continue;
    DRAY_RETURN_IF_ERROR(known->read(known->name, value, draft));
  }
  return OkStatus();
}

Status ReadInputs(const Json* inputs, GenerateCall& call) {
  if (inputs == nullptr || inputs->is_null()) {
    return Invalid("the request has no \"inputs\"; send {\"inputs\": \"some text\"}");
  }
  if (const std::string* text = inputs->AsString()) {
    call.inputs.push_back(*text);
  } else if (const Json::Array* list = inputs->AsArray()) {
    call.shape = InputShape::kList;
    if (list->empty() || list->size() > kMaxInputs) {
      return Invalid(
          fmt::format("\"inputs\" has {} entries; it must have 1 to {}", list->size(), kMaxInputs));
    }
    for (const Json& entry : *list) {
      const std::string* one = entry.AsString();
      if (one == nullptr) {
        return Invalid(fmt::format("\"inputs\" must hold strings, not {}", entry.KindName()));
      }
      call.inputs.push_back(*one);
    }
  } else {
    return Invalid(fmt::format("\"inputs\" must be a string or a list of strings, not {}",
                               inputs->KindName()));
  }
  for (const std::string& text : call.inputs) {
    if (text.empty()) return Invalid("\"inputs\" holds an empty string; send some text");
  }
  return OkStatus();
}

// Whether to sample, as DJLServing decides it: "do_sample" if it is given, else whether there
// is a temperature.
void DecideSampling(Draft& draft) {
  sampling::SamplingParams& params = draft.call.request.params;
  if (draft.temperature) params.temperature = *draft.temperature;
  params.do_sample = draft.do_sample.value_or(draft.temperature.value_or(0) != 0);
}

Status DecideCounts(Draft& draft) {
  GenerateCall& call = draft.call;
  sampling::SamplingParams& params = call.request.params;
  call.num_returned = draft.n.value_or(draft.best_of.value_or(1));
  params.n = draft.best_of.value_or(call.num_returned);
  if (call.num_returned < 1 || params.n < call.num_returned) {
    return Invalid(
        fmt::format("parameter \"n\" is {} and \"best_of\" is {}; n must be at least 1 "
                    "and at most best_of",
                    call.num_returned, params.n));
  }
  if (call.top_n_tokens < 0) {
    return Invalid(
        fmt::format("parameter \"top_n_tokens\" is {}; it must be at least 0", call.top_n_tokens));
  }
  if (draft.logprobs) params.num_logprobs = std::max(*draft.logprobs, call.top_n_tokens);
  if (call.top_n_tokens > 0)
    params.num_logprobs = std::max(call.top_n_tokens, draft.logprobs.value_or(0));
  // Every token is answered with its log-probability, and the best sequence is known by their sum.
  if (!params.num_logprobs) params.num_logprobs = 0;
  if (call.decoder_input_details && !params.prompt_logprobs) params.prompt_logprobs = 0;
  return OkStatus();
}

Status CheckFields(const Json::Object& object) {
  for (const auto& [name, value] : object) {
    if (name == "inputs" || name == "parameters" || name == "stream") continue;
    if (name == "messages" || name == "prompt") {
      return Invalid(
          fmt::format("field \"{}\" is of an API that is not in this build yet; send "
                      "\"inputs\"",
                      name));
    }
    return Invalid(
        fmt::format("field \"{}\" is not known; the fields are inputs, parameters, stream",
                    name.substr(0, 100)));
  }
  return OkStatus();
}

}  // namespace

Result<GenerateCall> ParseGenerateCall(std::string_view json) {
  const auto body = Json::Parse(json, {.max_depth = kMaxJsonDepth});
  if (!body.ok()) return body.status().WithPrefix("the request's body is not JSON");
  const Json::Object* object = body->AsObject();
  if (object == nullptr) {
    return Invalid(
        fmt::format("the request's body must be a JSON object with the field "
                    "\"inputs\", not {}",
                    body->KindName()));
  }
  DRAY_RETURN_IF_ERROR(CheckFields(*object));
  Draft draft;
  DRAY_RETURN_IF_ERROR(ReadInputs(body->Find("inputs"), draft.call));
  if (const Json* stream = body->Find("stream"); stream != nullptr && !stream->is_null()) {
    draft.call.stream = stream->AsBool();
    if (!draft.call.stream) {
      return Invalid(fmt::format("\"stream\" must be true or false, not {}", stream->KindName()));
    }
  }
  if (const Json* parameters = body->Find("parameters");
      parameters != nullptr && !parameters->is_null()) {
    DRAY_RETURN_IF_ERROR(ReadParameters(*parameters, draft));
  }
  DecideSampling(draft);
  DRAY_RETURN_IF_ERROR(DecideCounts(draft));
  return std::move(draft.call);
}

Result<GenerateCall> MakeTextCall(std::string text) {
  if (text.empty()) return Invalid("the request has no text");
  GenerateCall call;
  call.shape = InputShape::kList;
  call.inputs.push_back(std::move(text));
  call.request.params.num_logprobs = 0;
  return call;
}

std::vector<std::string_view> ParameterNames() {
  std::vector<std::string_view> names;
  for (const Parameter& parameter : kParameters) names.push_back(parameter.name);
  return names;
}

std::string WithRequestNames(std::string message) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"\"stop_strings\"", "\"stop_sequences\""},
      {"\"num_logprobs\"", "\"top_n_tokens\" or \"logprobs\""},
  };
  for (const auto& [ours, theirs] : kNames) {
    const size_t at = message.find(ours);
    if (at != std::string::npos) message.replace(at, ours.size(), theirs);
  }
  return message;
}

}  // namespace dray::api
