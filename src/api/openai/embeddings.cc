#include "api/openai/embeddings.h"

#include <fmt/format.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/encoder/encode_body.h"
#include "api/encoder/encode_reply.h"
#include "api/encoder/numbers.h"
#include "api/openai/openai_errors.h"
#include "serving/encoder/encoder_service.h"

namespace dray::api {
namespace {

using serving::EncodeAnswer;
using serving::EncodeCall;
using serving::InputTokens;

enum class Encoding { kFloat, kBase64 };

struct EmbeddingsCall {
  std::string model;
  EncodeCall encode;
  Encoding encoding = Encoding::kFloat;
  std::optional<int64_t> dimensions;
};

Status Invalid(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

Result<InputTokens> ReadTokens(const Json::Array& list) {
  InputTokens tokens;
  for (const Json& one : list) {
    const auto id = one.AsInt64();
    if (!id || *id < 0 || *id > std::numeric_limits<int32_t>::max()) {
      return Invalid("\"input\" has a token that is not a token id");
    }
    tokens.push_back(static_cast<int32_t>(*id));
  }
  if (tokens.empty()) return Invalid("\"input\" has a list of no tokens");
  return tokens;
}

// A string, a list of strings, a list of token ids, or a list of such lists.
Status ReadInput(Json& value, std::vector<serving::EncodeInput>& inputs) {
  Json::Array* const list = value.AsArray();
  if (list == nullptr || list->empty() || list->front().is_string()) {
    return ReadTexts("input", value, EmptyText::kRefuse, inputs);
  }
  if (list->front().is_number()) {
    DRAY_ASSIGN_OR_RETURN(InputTokens tokens, ReadTokens(*list));
    inputs.emplace_back(std::move(tokens));
    return OkStatus();
  }
  if (list->size() > kMaxTexts) {
    return Invalid(fmt::format("\"input\" has {} texts; send 1 to {}", list->size(), kMaxTexts));
  }
  for (const Json& one : *list) {
    const Json::Array* const ids = one.AsArray();
    if (ids == nullptr)
      return Invalid("\"input\" must have strings only, or lists of token ids only");
    DRAY_ASSIGN_OR_RETURN(InputTokens tokens, ReadTokens(*ids));
    inputs.emplace_back(std::move(tokens));
  }
  return OkStatus();
}

Result<EmbeddingsCall> ReadCall(const std::string& body) {
  DRAY_ASSIGN_OR_RETURN(Json json, ParseEncodeBody(body));
  EmbeddingsCall call;
  call.encode.too_long = serving::TooLong::kRefuse;
  if (const Json* model = json.Find("model"); model != nullptr && !model->is_null()) {
    const std::string* const name = model->AsString();
    if (name == nullptr) return Invalid("\"model\" must be a string");
    call.model = *name;
  }
  if (const Json* format = json.Find("encoding_format"); format != nullptr && !format->is_null()) {
    const std::string* const name = format->AsString();
    if (name == nullptr || (*name != "float" && *name != "base64")) {
      return Invalid("\"encoding_format\" must be float or base64");
    }
    if (*name == "base64") call.encoding = Encoding::kBase64;
  }
  if (const Json* size = json.Find("dimensions"); size != nullptr && !size->is_null()) {
    call.dimensions = size->AsInt64();
    if (!call.dimensions) return Invalid("\"dimensions\" must be a whole number");
  }
  DRAY_ASSIGN_OR_RETURN(Json * input, RequireMember(json, "input"));
  DRAY_RETURN_IF_ERROR(ReadInput(*input, call.encode.inputs));
  return call;
}

std::string WriteAnswer(const EncodeAnswer& answer, const std::string& model, Encoding encoding) {
  std::string out = R"({"object":"list","data":[)";
  for (size_t i = 0; i < answer.numbers.size(); ++i) {
    if (i > 0) out += ',';
    out += fmt::format(R"({{"object":"embedding","index":{},"embedding":)", i);
    if (encoding == Encoding::kBase64) {
      out += '"' + ToBase64(answer.numbers[i]) + '"';
    } else {
      AppendNumbers(answer.numbers[i], out);
    }
    out += '}';
  }
  out += fmt::format(R"(],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})",
                     Json(model).Dump(), answer.total_tokens(), answer.total_tokens());
  return out;
}

class EmbeddingsService {
 public:
  EmbeddingsService(serving::ModelRepository& models, TaskQueue& tasks)
      : models_(models), tasks_(tasks) {}

  void Answer(http::Request& request, const http::ResponderPtr& responder) const {
    auto call = ReadCall(request.body);
    http::BodyLease lease = request.DropBody();
    if (!call.ok()) return Refuse(responder, serving::Reason(call.status()));
    const std::string name = call->model.empty() ? models_.OnlyName() : call->model;
    if (name.empty()) return Refuse(responder, Reason("\"model\" is missing"));
    const auto model = models_.Find(name, "");
    if (!model.ok()) return Refuse(responder, model.reason());
    if (const auto refusal = (*model)->RefuseUnread()) return Refuse(responder, *refusal);
    const serving::EncoderService* const encoder = (*model)->encoder();
    const bool is_cut = encoder != nullptr && call->dimensions &&
                        *call->dimensions != encoder->limits().vector_size;
    if (is_cut) {
      return Refuse(responder,
                    Reason(fmt::format("\"dimensions\" is {}; the vectors of this model have {} "
                                       "numbers, and it does not support fewer",
                                       *call->dimensions, encoder->limits().vector_size)));
    }
    StartEncoding(
        {.responder = responder,
         .tasks = tasks_,
         .write =
             [name, encoding = call->encoding](const EncodeAnswer& answer) {
               return JsonAnswer(WriteAnswer(answer, name, encoding));
             },
         .refuse =
             [](const serving::Reason& reason) { return ToResponse(MakeOpenAiError(reason)); },
         .lease = std::move(lease)},
        call->encode, **model);
  }

 private:
  static serving::Reason Reason(std::string message) { return Invalid(std::move(message)); }
  static void Refuse(const http::ResponderPtr& responder, const serving::Reason& reason) {
    responder->Send(ToResponse(MakeOpenAiError(reason)));
  }

  serving::ModelRepository& models_;
  TaskQueue& tasks_;
};

}  // namespace

void RegisterEmbeddingsRoute(http::Router& router, serving::ModelRepository& models,
                             TaskQueue& tasks) {
  const auto service = std::make_shared<EmbeddingsService>(models, tasks);
  router.Add("POST", "/v1/embeddings",
             [service, &tasks](http::Request request, http::ResponderPtr responder) {
               const TaskSize size = TaskSizeOf(request.body.size());
               auto shared = std::make_shared<http::Request>(std::move(request));
               tasks.Add(size, [service, shared, responder = std::move(responder)] {
                 if (!responder->cancelled()) service->Answer(*shared, responder);
               });
             });
}

}  // namespace dray::api
