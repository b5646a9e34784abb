#include "api/djl/djl_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string_view>
#include <utility>

namespace dray::api {
namespace {

constexpr std::string_view kCustomAttributes = "X-Amzn-SageMaker-Custom-Attributes";

// A version 4 UUID.
std::string RandomRequestId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  const uint64_t high = (random() & 0xFFFFFFFFFFFF0FFFU) | 0x4000U;
  const uint64_t low = (random() & 0x3FFFFFFFFFFFFFFFU) | 0x8000000000000000U;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xFFFF,
                     high & 0xFFFF, low >> 48, low & 0xFFFFFFFFFFFFU);
}

void AddHeaders(http::Headers& to, const http::Headers& from) {
  for (const auto& [name, value] : from.fields()) to.Add(name, value);
}

std::string FindAttribute(std::string_view attributes, std::string_view name) {
  while (!attributes.empty()) {
    const size_t end = std::min(attributes.find(';'), attributes.size());
    const std::string_view pair = attributes.substr(0, end);
    attributes.remove_prefix(std::min(end + 1, attributes.size()));
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    if (http::EqualsIgnoreCase(pair.substr(0, equals), name)) {
      return std::string(pair.substr(equals + 1));
    }
  }
  return "";
}

}  // namespace

http::Headers DjlAnswers::CommonHeaders(const http::Request* request) const {
  constexpr size_t kMaxIdBytes = 256;
  const std::string* id = request == nullptr ? nullptr : request->headers.Find(request_id_header_);
  http::Headers headers;
  headers.Add("x-request-id", id == nullptr ? RandomRequestId() : id->substr(0, kMaxIdBytes));
  headers.Add("Pragma", "no-cache");
  headers.Add("Cache-Control", "no-cache; no-store, must-revalidate, private");
  headers.Add("Expires", "Thu, 01 Jan 1970 00:00:00 UTC");
  return headers;
}

http::Response DjlAnswers::MakeError(const http::Request* request, const DjlError& error) const {
  http::Response response = ToResponse(error);
  AddHeaders(response.head.headers, CommonHeaders(request));
  return response;
}

void DjlAnswers::SendError(const http::Request& request, const http::ResponderPtr& responder,
                           const DjlError& error) const {
  responder->Send(MakeError(&request, error));
}

void DjlAnswers::SendJson(const http::Request& request, const http::ResponderPtr& responder,
                          int status, const Json& body) const {
  http::Response response;
  response.head.status = status;
  if (status >= 400) response.head.persistence = http::Persistence::kClose;
  response.head.headers.Add("Content-Type", "application/json");
  AddHeaders(response.head.headers, CommonHeaders(&request));
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
