#include "api/djl/writers/handler_writer.h"

#include <utility>
#include <variant>

namespace dray::api {

using settings::OutputFormat;

namespace {

std::string_view ContentType(OutputFormat format) {
  switch (format) {
    case OutputFormat::kJsonLines:
    case OutputFormat::kThirdPartyLines:
      return "application/jsonlines";
    case OutputFormat::kServerSentEvents:
      return "text/event-stream";
    case OutputFormat::kPlainText:
      return "text/plain; charset=utf-8";
    case OutputFormat::kCsv:
      return "text/csv";
    case OutputFormat::kByRequest:
    case OutputFormat::kJson:
    case OutputFormat::kThirdParty:
      break;
  }
  return "application/json";
}

// Whether a handler would have found the reason in the request. The front finds the others: models that are missing
// or not ready, full queues, ends of the server, and time-outs.
struct OfRequest {
  bool operator()(const Status& status) const {
    return status.code() == StatusCode::kInvalidArgument ||
           status.code() == StatusCode::kUnsupported;
  }
  bool operator()(const serving::ModelUnknown&) const { return false; }
  bool operator()(const serving::ModelNotReady&) const { return false; }
  bool operator()(const serving::ModelDraining&) const { return false; }
  bool operator()(const serving::NoWorkers&) const { return false; }
  bool operator()(const serving::QueueFull&) const { return false; }
  bool operator()(const serving::TimedOut&) const { return false; }
  template <typename Other>
  bool operator()(const Other&) const {
    return true;
  }
};

}  // namespace

http::Response HandlerWriter::Failure(const serving::Reason& reason) {
  if (std::visit(OfRequest{}, reason)) {
    if (auto answer = RequestFailure(reason)) {
      options_.errors->CountAnswer(answer->head.status);
      return *std::move(answer);
    }
  }
  return options_.errors->Answer(reason);
}

std::optional<http::Response> HandlerWriter::RequestFailure(const serving::Reason&) {
  return std::nullopt;
}

http::ResponseHead HandlerWriter::StreamHead() { return MakeResponse("").head; }

http::Response HandlerWriter::MakeResponse(std::string body) const {
  http::Response response;
  response.head.headers.Add("Content-Type", std::string(ContentType(options_.format)));
  response.body = std::move(body);
  return response;
}

std::string HandlerWriter::FrameLine(const std::string& line) const {
  if (options_.format == OutputFormat::kServerSentEvents) return "data: " + line + "\n\n";
  return line + "\n";
}

std::string AnswerText(const InputResult& result, const SequenceResult& sequence,
                       const GenerateCall& call) {
  return call.return_full_text ? result.input + sequence.text : sequence.text;
}

std::string_view FinishName(const SequenceResult& sequence) {
  if (!sequence.finish) return "error";
  switch (*sequence.finish) {
    case sampling::FinishReason::kLength:
      return "length";
    case sampling::FinishReason::kEosToken:
      return "eos_token";
    case sampling::FinishReason::kStopToken:
    case sampling::FinishReason::kStopString:
      break;
  }
  return "stop_sequence";
}

}  // namespace dray::api
