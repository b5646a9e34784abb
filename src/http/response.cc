// Response bytes.
#include "http/response.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace dray::http {
namespace {

struct StatusName {
  int status;
  std::string_view phrase;
};

constexpr StatusName kStatusNames[] = {
    {100, "Continue"},
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {207, "Multi-Status"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Request Entity Too Large"},
    {414, "Request-URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {424, "Failed Dependency"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

void AppendClean(std::string& out, std::string_view text) {
  std::transform(text.begin(), text.end(), std::back_inserter(out), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f ? ' ' : c;
  });
}

void AppendLine(std::string& out, std::string_view name, std::string_view value) {
  AppendClean(out, name);
  out += ": ";
  AppendClean(out, value);
  out += "\r\n";
}

}  // namespace

std::string_view ReasonPhrase(int status) {
  for (const StatusName& entry : kStatusNames) {
    if (entry.status == status) return entry.phrase;
  }
  return "Unknown";
}

std::string SerializeHead(const ResponseHead& head, BodyFraming framing, size_t body_bytes) {
  std::string out = fmt::format("HTTP/1.1 {} ", head.status);
  AppendClean(out, head.reason.empty() ? ReasonPhrase(head.status) : std::string_view(head.reason));
  out += "\r\n";
  for (const auto& [name, value] : head.headers.fields()) AppendLine(out, name, value);
  // A 204 has no body, and must not speak of one.
  if (head.status != 204 && framing == BodyFraming::kLength) {
    AppendLine(out, "Content-Length", fmt::format("{}", body_bytes));
  }
  if (framing == BodyFraming::kChunked) AppendLine(out, "Transfer-Encoding", "chunked");
  AppendLine(out, "Connection",
             head.persistence == Persistence::kKeepAlive ? "keep-alive" : "close");
  return out + "\r\n";
}

std::string SerializeChunk(std::string_view data) {
  return fmt::format("{:x}\r\n{}\r\n", data.size(), data);
}

}  // namespace dray::http
