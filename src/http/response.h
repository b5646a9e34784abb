// What goes back: a whole response, or the head of one whose body is streamed.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/request.h"

namespace dray::http {

// Whether the connection may carry another request after this answer.
enum class Persistence { kKeepAlive, kClose };

struct ResponseHead {
  int status = 200;
  // The phrase behind the status; "": the status's own.
  std::string reason = {};
  // Without Content-Length, Transfer-Encoding and Connection, which the server adds.
  Headers headers;
  // kKeepAlive is a wish: the client, or the server's drain, may close all the same.
  Persistence persistence = Persistence::kKeepAlive;
  // How much of the time until this head the model took, if one worked for it.
  std::optional<double> model_seconds = {};
};

struct Response {
  ResponseHead head;
  std::string body;
};

// The phrase of the status line; "Unknown" for a status without a name of its own.
std::string_view ReasonPhrase(int status);

// How the body's end is marked on the wire.
enum class BodyFraming { kLength, kChunked, kUntilClose };

// The status line and the headers with their empty line. Bytes that would break a header's line are
// replaced by spaces, so that no value from outside can add a header. `body_bytes` counts with
// kLength only.
std::string SerializeHead(const ResponseHead& head, BodyFraming framing, size_t body_bytes);

// One chunk of a chunked body; `data` must not be empty, for that would end the body.
std::string SerializeChunk(std::string_view data);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace dray::http
