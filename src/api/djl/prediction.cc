#include "api/djl/prediction.h"

#include <fmt/format.h>

#include <initializer_list>
#include <utility>

#include "api/djl/adapters/adapters.h"
#include "api/djl/djl_answers.h"
#include "api/djl/djl_body.h"
#include "api/djl/djl_call.h"
#include "api/djl/djl_form.h"
#include "api/djl/errors/djl_errors.h"
#include "api/djl/writers/djl_writer.h"
#include "api/reply.h"
#include "base/parse/parse_number.h"

namespace dray::api {
namespace {

using serving::ModelOptions;
using settings::AnswerShape;
using settings::OutputFormat;

bool IsText(std::string_view media) { return http::EqualsIgnoreCase(media, "text/plain"); }
bool IsCsv(std::string_view media) { return http::EqualsIgnoreCase(media, "text/csv"); }
// Without a type, a body is JSON. One line of application/jsonlines is JSON, too.
bool IsJson(std::string_view media) {
  return media.empty() || http::EqualsIgnoreCase(media, "application/json") ||
         http::EqualsIgnoreCase(media, "application/jsonlines");
}

// Whether the handlers of this shape answered the errors of a request themselves (HandlerWriter::RequestFailure).
bool HandlersAnswerErrors(AnswerShape shape) {
  return settings::IsOfTransformers(shape) || shape == AnswerShape::kPieces ||
         shape == AnswerShape::kAsync;
}

// Whether a client asks for CSV. As in DJLServing, JSON goes first.
bool AcceptsCsvAlone(std::string_view accept) {
  const auto names = [accept](std::string_view media) {
    return accept.find(media) != std::string_view::npos;
  };
  return names("text/csv") && !names("application/json") && !names("*/*");
}

// Of everything in the call that can be long.
size_t TextBytes(const GenerateCall& call) {
  size_t bytes = 0;
  for (const auto* texts :
       {&call.inputs, &call.request.bad_words, &call.request.params.stop_strings}) {
    for (const std::string& text : *texts) bytes += text.size();
  }
  return bytes;
}

// The request's property "priority".
Result<int64_t> ReadPriority(const http::Request& request) {
  constexpr int64_t kMaxPriority = 9;
  const std::string text = FindDjlProperty(request, "priority");
  if (text.empty()) return serving::kDefaultPriority;
  const auto number = ParseInt64(text);
  if (number && *number >= 1 && *number <= kMaxPriority) return *number;
  return Status(StatusCode::kInvalidArgument,
                fmt::format("priority is \"{}\"; it must be 1 (first) to {}", text.substr(0, 100),
                            kMaxPriority));
}

class Predictor {
 public:
  Predictor(http::Request& request, const http::ResponderPtr& responder,
            serving::ServedModel& model, PredictionState& state)
      : request_(request),
        responder_(responder),
        model_(model),
        options_(model.options()),
        sessions_(state.sessions),
        errors_(state.errors) {}

  void Run() {
    const std::string type = HeaderOf("Content-Type");
    const std::string_view media = http::MediaType(type);
    const bool is_json = IsJson(media);
    if (!is_json && !IsText(media) && !IsCsv(media) && !http::IsForm(type)) {
      return RefuseMedia(media);
    }
    if (is_json && options_.stateful_sessions && AnswerSessionRequest()) return;
    const Status session = CheckSession();
    if (!session.ok()) return Fail(session);
    auto call = ReadCall(type);
    lease_ = request_.DropBody();
    if (!call.ok()) return Fail(call.status());
    // A text is never longer than the JSON that it came in, so this only gives back.
    lease_.Resize(TextBytes(*call));
    const std::string adapter = FindAdapter(request_);
    if (!adapter.empty()) call->adapter = adapter;
    if (!call->adapter.empty()) return RefuseAdapter(call->adapter);
    const auto priority = ReadPriority(request_);
    if (!priority.ok()) return Fail(priority.status());
    call->request.priority = *priority;
    // The answer of an encoder-decoder does not continue the prompt.
    if (model_.limits().encodes_prompt) call->return_full_text = false;
    if (options_.faster_transformer_beams) {
      call->request.params.beam_rules = sampling::BeamRules::kFasterTransformer;
    }
    Start(std::move(call).value());
  }

 private:
  Delivery DefaultDelivery() const {
    return options_.stream_by_default ? Delivery::kStreamed : Delivery::kWhole;
  }

  // "" if it is absent.
  std::string HeaderOf(std::string_view name) const {
    const std::string* const header = request_.headers.Find(name);
    return header == nullptr ? "" : *header;
  }

  Result<GenerateCall> ReadCall(const std::string& type) {
    const CallReader reader(options_.answer_shape, DefaultDelivery());
    if (http::IsForm(type)) {
      DRAY_ASSIGN_OR_RETURN(auto form, http::ParseForm(type, request_.body));
      return MakeDjlFormCall(std::move(form), reader);
    }
    if (IsCsv(http::MediaType(type))) return reader.ReadCsv(request_.body);
    if (IsText(http::MediaType(type))) return reader.ReadText(std::move(request_.body));
    if (request_.body.empty()) {
      return InvalidBody("the request has no body; send {\"inputs\": \"some text\"}");
    }
    return reader.ReadJson(request_.body);
  }

  // {"requestType": "NEW_SESSION" or "CLOSE"}. False: the request is none of these.
  bool AnswerSessionRequest() {
    // No such request is longer, and no other request should be parsed twice.
    constexpr size_t kMaxBytes = 1024;
    const std::string& body = request_.body;
    if (body.size() > kMaxBytes || body.find("\"requestType\"") == std::string::npos) return false;
    const auto json = ParseBody(body);
    if (!json.ok() || json->AsObject() == nullptr) return false;
    const Json* const type = json->Find("requestType");
    if (type == nullptr || json->Find("inputs") != nullptr) return false;
    const std::string* const name = type->AsString();
    if (name != nullptr && *name == kNewSession) {
      OpenSession();
    } else if (name != nullptr && *name == "CLOSE") {
      CloseSession();
    } else {
      Fail(InvalidBody("\"requestType\" must be NEW_SESSION or CLOSE"));
    }
    return true;
  }

  void OpenSession() {
    const auto session = sessions_.Create(SessionTable::Clock::now(), options_.session_lifetime);
    if (!session.ok()) return Fail(session.status());
    const std::string value = session->id + "; Expires=" + FormatUtc(session->expires);
    SendResult(fmt::format("Session {} created", session->id),
               {{kSessionHeader, value}, {kNewSessionHeader, value}});
  }

  void CloseSession() {
    const std::string id = HeaderOf(kSessionHeader);
    const Status closed = sessions_.Close(id);
    if (!closed.ok()) return Fail(closed);
    SendResult(fmt::format("Session {} closed", id), {{kClosedSessionHeader, id}});
  }

  using HeaderList = std::initializer_list<std::pair<std::string_view, std::string>>;
  void SendResult(const std::string& result, HeaderList headers) {
    http::Response response;
    response.head.headers.Add("Content-Type", "application/json");
    for (const auto& [name, value] : headers) response.head.headers.Add(std::string(name), value);
    response.body = Json::MakeObject({{"result", result}}).Dump() + "\n";
    responder_->Send(std::move(response));
  }

  Status CheckSession() {
    const std::string* const id = request_.headers.Find(kSessionHeader);
    if (id == nullptr || *id == kNewSession) return OkStatus();
    if (!options_.stateful_sessions) {
      return InvalidBody(
          fmt::format("header {} is not accepted, since stateful sessions are off; "
                      "set option.enable_stateful_sessions=true",
                      kSessionHeader));
    }
    return sessions_.Find(*id, SessionTable::Clock::now());
  }

  std::unique_ptr<ReplyWriter> MakeWriter(OutputFormat format) {
    return MakeDjlWriter({.shape = options_.answer_shape,
                          .format = format,
                          .tgi_compat = options_.tgi_compat,
                          .errors = errors_});
  }

  void Fail(const Status& status) {
    responder_->Send(MakeWriter(DefaultDelivery() == Delivery::kStreamed ||
                                        options_.answer_shape == AnswerShape::kPieces
                                    ? OutputFormat::kJsonLines
                                    : OutputFormat::kJson)
                         ->Failure(status));
  }

  // Handlers found unknown adapters themselves, so the answer is a handler's in every shape.
  void RefuseAdapter(const std::string& adapter) {
    const Status status = UnknownAdapter(adapter);
    if (HandlersAnswerErrors(options_.answer_shape)) return Fail(status);
    http::Response response;
    response.head.status = 424;
    response.head.persistence = http::Persistence::kClose;
    response.head.headers.Add("Content-Type", "application/json");
    response.body =
        Json::MakeObject({{"error", status.message()}, {"code", response.head.status}}).Dump() +
        "\n";
    errors_->CountAnswer(response.head.status);
    responder_->Send(std::move(response));
  }

  void RefuseMedia(std::string_view media) {
    SendDjlError(responder_,
                 {415, "BadRequestException",
                  fmt::format("Content-Type \"{}\" is not accepted; send application/json, "
                              "text/plain, text/csv or a form",
                              media.substr(0, 100))});
  }

  // kByRequest is decided here.
  OutputFormat FormatOf(const GenerateCall& call, Delivery delivery) const {
    const OutputFormat format = call.output_format.value_or(options_.output_format);
    if (format != OutputFormat::kByRequest) return format;
    if (delivery == Delivery::kStreamed) {
      return options_.tgi_compat ? OutputFormat::kServerSentEvents : OutputFormat::kJsonLines;
    }
    const std::string accept = HeaderOf("Accept");
    // The asynchronous handlers write JSON alone.
    if (options_.answer_shape != AnswerShape::kAsync && AcceptsCsvAlone(accept)) {
      return OutputFormat::kCsv;
    }
    const bool wants_text =
        settings::IsOfTransformers(options_.answer_shape) && IsText(http::MediaType(accept));
    return wants_text ? OutputFormat::kPlainText : OutputFormat::kJson;
  }

  // Whether the answer is a stream, if its format leaves that open. As in DJLServing, several inputs whose
  // tokens have no place in the lines of a stream are answered whole, whatever the request says.
  bool WantsStream(const GenerateCall& call) const {
    if (options_.answer_shape == AnswerShape::kPieces) return true;
    if (!call.stream.value_or(options_.stream_by_default)) return false;
    return call.inputs.size() == 1 ||
           StreamsSeveralInputs(options_.answer_shape, OutputFormat::kJsonLines);
  }

  void Start(GenerateCall call) {
    const bool wants_stream = WantsStream(call);
    const OutputFormat format =
        FormatOf(call, wants_stream ? Delivery::kStreamed : Delivery::kWhole);
    const Delivery delivery = settings::IsStreamed(format).value_or(wants_stream)
                                  ? Delivery::kStreamed
                                  : Delivery::kWhole;
    if (delivery == Delivery::kStreamed && sampling::UsesBeams(call.request.params)) {
      return responder_->Send(errors_->Answer(DjlError{
          400, "BadRequestException",
          "beam search has no tokens to stream before it is done: leave out \"num_beams\", or have "
          "the answer whole (\"stream\": false, \"output_formatter\": \"json\")",
          ErrorKind::kBadRequest}));
    }
    const bool one_input =
        call.inputs.size() == 1 || StreamsSeveralInputs(options_.answer_shape, format);
    if (delivery == Delivery::kStreamed && (!one_input || call.request.params.n > 1)) {
      return responder_->Send(errors_->Answer(DjlError{
          400, "BadRequestException",
          "a streamed answer has one sequence: send one input, and neither \"n\" nor \"best_of\" "
          "above 1, or have it answered whole (\"stream\": false, \"output_formatter\": \"json\")",
          ErrorKind::kBadRequest}));
    }
    Reply::Start({.responder = responder_,
                  .call = std::move(call),
                  .delivery = delivery,
                  .writer = MakeWriter(format),
                  .text_lease = std::move(lease_)},
                 model_);
  }

  http::Request& request_;
  const http::ResponderPtr& responder_;
  http::BodyLease lease_;  // what the call's texts take of the server's memory for bodies
  serving::ServedModel& model_;
  const ModelOptions& options_;
  SessionTable& sessions_;
  const std::shared_ptr<ErrorPolicy>& errors_;
};

}  // namespace

void Predict(http::Request& request, const http::ResponderPtr& responder,
             serving::ServedModel& model, PredictionState& state) {
  Predictor(request, responder, model, state).Run();
}

}  // namespace dray::api
