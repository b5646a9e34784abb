#include "api/djl/djl_answers.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "http/grammar.h"

namespace dray::api {
namespace {

constexpr std::string_view kCustomAttributes = "X-Amzn-SageMaker-Custom-Attributes";

std::string FindAttribute(std::string_view attributes, std::string_view name) {
  while (!attributes.empty()) {
    const size_t end = std::min(attributes.find(';'), attributes.size());
    const std::string_view pair = attributes.substr(0, end);
    attributes.remove_prefix(std::min(end + 1, attributes.size()));
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    if (http::EqualsIgnoreCase(http::Trim(pair.substr(0, equals)), name)) {
      return std::string(http::Trim(pair.substr(equals + 1)));
    }
  }
  return "";
}

}  // namespace

void SendDjlError(const http::ResponderPtr& responder, const DjlError& error) {
  responder->Send(ToResponse(error));
}

void SendDjlJson(const http::ResponderPtr& responder, int status, const Json& body) {
  http::Response response;
  response.head.status = status;
  if (status >= 400) response.head.persistence = http::Persistence::kClose;
  response.head.headers.Add("Content-Type", "application/json");
  response.body = body.Dump(2) + "\n";
  responder->Send(std::move(response));
}

std::string FindDjlProperty(const http::Request& request, std::string_view name) {
  const std::string* query = request.QueryParameter(name);
  if (query != nullptr && !query->empty()) return *query;
  if (const std::string* header = request.headers.Find(name)) return *header;
  const std::string* attributes = request.headers.Find(kCustomAttributes);
  return attributes == nullptr ? "" : FindAttribute(*attributes, name);
}

}  // namespace dray::api
