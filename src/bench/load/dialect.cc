#include "bench/load/dialect.h"

#include <fmt/format.h>

namespace dray::bench {
namespace {

const Json* FindPath(const Json& json, std::string_view first, std::string_view second) {
  const Json* inner = json.Find(first);
  return inner == nullptr ? nullptr : inner->Find(second);
}

// The number of tokens that the server reports. Numbers that no answer can have are ignored.
std::optional<int64_t> CountAt(const Json& json, std::string_view first, std::string_view second) {
  constexpr int64_t kMostTokens = int64_t{1} << 32;
  const Json* value = FindPath(json, first, second);
  const auto count = value == nullptr ? std::nullopt : value->AsInt64();
  return count && *count >= 0 && *count <= kMostTokens ? count : std::nullopt;
}

// The message in {"error": {"message": ...}} or {"error": "..."}, else the error's JSON.
std::optional<std::string> ErrorIn(const Json& json) {
  const Json* error = json.Find("error");
  if (error == nullptr || error->is_null()) return std::nullopt;
  const Json* message = error->Find("message");
  if (message == nullptr) message = error;
  return message->AsString() != nullptr ? *message->AsString() : message->Dump();
}

Json OpenAiBody(const CallOptions& options, const std::string& prompt) {
  Json body = Json::MakeObject();
  if (!options.model.empty()) body.Set("model", options.model);
  if (options.api == Api::kOpenAiChat) {
    Json messages = Json::MakeArray();
    messages.Append(Json::MakeObject({{"role", "user"}, {"content", prompt}}));
    body.Set("messages", std::move(messages));
  } else {
    body.Set("prompt", prompt);
  }
  body.Set("max_tokens", options.new_tokens);
  body.Set("temperature", 0);
  if (options.ignore_eos) body.Set("ignore_eos", true);
  const bool streamed = options.delivery == Delivery::kStreamed;
  body.Set("stream", streamed);
  if (streamed) body.Set("stream_options", Json::MakeObject({{"include_usage", true}}));
  return body;
}

Json InputsBody(const CallOptions& options, const std::string& prompt) {
  Json parameters =
      Json::MakeObject({{"max_new_tokens", options.new_tokens}, {"do_sample", false}});
  const bool streamed = options.delivery == Delivery::kStreamed;
  if (!streamed || options.api == Api::kTgi) parameters.Set("details", true);
  if (options.ignore_eos && options.api == Api::kLmi) parameters.Set("ignore_eos_token", true);
  Json body = Json::MakeObject({{"inputs", prompt}, {"parameters", std::move(parameters)}});
  if (!options.model.empty()) body.Set("model_name", options.model);
  if (options.api == Api::kLmi) body.Set("stream", streamed);
  return body;
}

bool HasText(const Json* value) {
  return value != nullptr && value->AsString() != nullptr && !value->AsString()->empty();
}

// The text is in choices[0].text, .delta.content or .message.content.
Result<ReplyEvent> ReadOpenAi(const Json& json) {
  ReplyEvent event;
  event.completion_tokens = CountAt(json, "usage", "completion_tokens");
  event.prompt_tokens = CountAt(json, "usage", "prompt_tokens");
  const Json* choices = json.Find("choices");
  const Json::Array* list = choices == nullptr ? nullptr : choices->AsArray();
  if (list == nullptr) return Status(StatusCode::kCorrupt, "an answer without \"choices\"");
  if (list->empty()) return event;
  const Json& choice = list->front();
  // Reasoning models stream their reasoning in a field of another name.
  const bool has_text = HasText(choice.Find("text")) ||
                        HasText(FindPath(choice, "delta", "content")) ||
                        HasText(FindPath(choice, "delta", "reasoning_content")) ||
                        HasText(FindPath(choice, "message", "content"));
  event.tokens = has_text ? 1 : 0;
  return event;
}

// Reads {"token": ...} lines, {"generated_text": ...}, or a list with one of the latter.
Result<ReplyEvent> ReadInputs(const Json& json) {
  const Json* object = &json;
  if (const Json::Array* list = json.AsArray(); list != nullptr && list->size() == 1) {
    object = &list->front();
  }
  const Json* token = object->Find("token");
  const Json* text = object->Find("generated_text");
  if (token == nullptr && text == nullptr) {
    return Status(StatusCode::kCorrupt, "an answer without \"token\" or \"generated_text\"");
  }
  ReplyEvent event;
  event.tokens = token != nullptr && token->is_object() ? 1 : 0;
  event.completion_tokens = CountAt(*object, "details", "generated_tokens");
  return event;
}

}  // namespace

Result<Api> ParseApi(std::string_view name) {
  if (name == "openai") return Api::kOpenAi;
  if (name == "openai-chat") return Api::kOpenAiChat;
  if (name == "lmi" || name == "djl") return Api::kLmi;
  if (name == "tgi") return Api::kTgi;
  return Status(
      StatusCode::kInvalidArgument,
      fmt::format("--api {}: it must be one of openai, openai-chat, lmi, djl, tgi", name));
}

std::string_view Name(Api api) {
  switch (api) {
    case Api::kOpenAi:
      return "openai";
    case Api::kOpenAiChat:
      return "openai-chat";
    case Api::kLmi:
      return "lmi";
    case Api::kTgi:
      return "tgi";
  }
  return "unknown";
}

std::string_view TargetOf(const CallOptions& options) {
  switch (options.api) {
    case Api::kOpenAi:
      return "/v1/completions";
    case Api::kOpenAiChat:
      return "/v1/chat/completions";
    case Api::kLmi:
      return "/invocations";
    case Api::kTgi:
      return options.delivery == Delivery::kStreamed ? "/generate_stream" : "/generate";
  }
  return "/";
}

std::string MakeBody(const CallOptions& options, const std::string& prompt) {
  const bool openai = options.api == Api::kOpenAi || options.api == Api::kOpenAiChat;
  return (openai ? OpenAiBody(options, prompt) : InputsBody(options, prompt)).Dump();
}

Result<ReplyEvent> ReadEvent(Api api, const Json& json) {
  if (auto error = ErrorIn(json)) {
    ReplyEvent event;
    event.error = std::move(error);
    return event;
  }
  const bool openai = api == Api::kOpenAi || api == Api::kOpenAiChat;
  return openai ? ReadOpenAi(json) : ReadInputs(json);
}

}  // namespace dray::bench
