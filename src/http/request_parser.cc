// See request_parser.h. Every method either moves the state on or calls Fail, which is final.
#include "http/request_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/parse/parse_number.h"

namespace dray::http {
namespace {

// A longer chunk-size line, or more digits, cannot be a size that we accept.
constexpr size_t kMaxChunkSizeDigits = 16;
constexpr size_t kMaxMethodBytes = 32;

bool IsTokenChar(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

bool IsVisibleAscii(char c) { return c > ' ' && c < 0x7f; }

// Tab, space, visible ASCII and the bytes above ASCII.
bool IsFieldChar(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Whether a comma-separated list such as Connection's holds `token`.
bool ListHolds(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    if (EqualsIgnoreCase(Trim(list.substr(0, end)), token)) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

bool IsHostChar(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return c != '\0' && std::string_view(".-_:[]%~!$&'()*+;=").find(c) != std::string_view::npos;
}

}  // namespace

size_t RequestParser::Consume(std::string_view bytes) {
  size_t used = 0;
  while (used < bytes.size() && !done() && !failed()) {
    const std::string_view rest = bytes.substr(used);
    const bool in_data = state_ == State::kFixedBody || state_ == State::kChunkData;
    used += in_data ? ConsumeBody(rest) : ConsumeLine(rest);
  }
  return used;
}

size_t RequestParser::ConsumeLine(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    ++head_bytes_;
    if (carriage_return_) {
      if (c != '\n') {
        Fail(400, "a carriage return must be followed by a line feed");
        return i + 1;
      }
      carriage_return_ = false;
      const std::string line = std::exchange(line_, {});
      OnLine(line);
      return i + 1;
    }
    if (c == '\n') {
      Fail(400, "a line must end with a carriage return and a line feed, not a line feed alone");
      return i + 1;
    }
    if (c == '\r') {
      carriage_return_ = true;
      continue;
    }
    line_.push_back(c);
    CheckLineSizes();
    if (failed()) return i + 1;
  }
  return bytes.size();
}

void RequestParser::CheckLineSizes() {
  switch (state_) {
    case State::kRequestLine:
      // The line's other parts are short, so whatever is this long is the target's fault.
      if (line_.size() > limits_.max_target_bytes + kMaxMethodBytes + sizeof(" HTTP/1.1 ")) {
        Fail(414,
             fmt::format("the request target is longer than {} bytes", limits_.max_target_bytes));
      }
      return;
    case State::kChunkSize:
      if (line_.size() > kMaxChunkSizeDigits) Fail(400, "the chunk size line is too long");
      return;
    case State::kChunkEnd:
      Fail(400, "a chunk's data must be followed by an empty line");
      return;
    default:
      if (line_.size() > limits_.max_header_line_bytes) {
        Fail(431,
             fmt::format("a header line is longer than {} bytes", limits_.max_header_line_bytes));
      } else if (head_bytes_ > limits_.max_header_block_bytes) {
        Fail(431, fmt::format("the header block is longer than {} bytes",
                              limits_.max_header_block_bytes));
      }
  }
}

void RequestParser::OnLine(std::string_view line) {
  switch (state_) {
    case State::kRequestLine:
      // One empty line before a request is allowed: old clients end a body with it.
      if (line.empty() && head_bytes_ == 2) return;
      OnRequestLine(line);
      return;
    case State::kHeaders:
      if (line.empty()) return OnHeadEnd();
      OnHeaderLine(line);
      return;
    case State::kChunkSize:
      OnChunkSizeLine(line);
      return;
    case State::kChunkEnd:
      state_ = State::kChunkSize;
      // Chunk framing does not count as header bytes; max_chunks and the line limits bound it.
      head_bytes_ = 0;
      return;
    default:  // kTrailers: read under the header limits, checked and dropped
      if (line.empty()) {
        state_ = State::kDone;
        return;
      }
      OnHeaderLine(line);
      return;
  }
}

void RequestParser::OnRequestLine(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return Fail(400, "the request line must be: method, space, target, space, version");
  }
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!IsToken(method) || method.size() > kMaxMethodBytes) {
    return Fail(400, "the request's method is not a token");
  }
  if (version == "HTTP/1.1" || version == "HTTP/1.0") {
    request_.minor_version = version.back() - '0';
  } else if (version.size() == 8 && version.starts_with("HTTP/")) {
    return Fail(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
  } else {
    return Fail(400, "the request line does not end with an HTTP version");
  }
  if (target.size() > limits_.max_target_bytes) {
    return Fail(
        414, fmt::format("the request target is longer than {} bytes", limits_.max_target_bytes));
  }
  request_.method = method;
  OnTarget(target);
}

void RequestParser::OnTarget(std::string_view target) {
  if (!std::all_of(target.begin(), target.end(), IsVisibleAscii) ||
      target.find('#') != std::string_view::npos) {
    return Fail(400, "the request target holds a character that must be percent-encoded");
  }
  request_.target = target;
  // A proxy may send the absolute form; its authority says nothing that Host does not.
  if (const size_t scheme = target.find("://");
      scheme != std::string_view::npos && target.find('/') > scheme) {
    const std::string_view rest = target.substr(scheme + 3);
    const size_t path = rest.find_first_of("/?");
    target = path == std::string_view::npos ? std::string_view("/") : rest.substr(path);
    if (target.starts_with('?')) return Fail(400, "the request target has no path");
  }
  const bool asterisk = target == "*" && request_.method == "OPTIONS";
  if (!target.starts_with('/') && !asterisk) {
    return Fail(400, "the request target must begin with a slash");
  }
  const size_t question = std::min(target.find('?'), target.size());
  request_.path = target.substr(0, question);
  auto query = ParseQuery(target.substr(std::min(question + 1, target.size())),
                          limits_.max_query_parameters);
  if (!query || !PercentDecode(request_.path, PlusSign::kLiteral)) {
    return Fail(400, "the request target is not a well-formed URL");
  }
  request_.query = *std::move(query);
  state_ = State::kHeaders;
}

void RequestParser::OnHeaderLine(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') {
    return Fail(400, "a header line must not begin with white space");
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Fail(400, "a header line has no colon");
  const std::string_view name = line.substr(0, colon);
  if (!IsToken(name)) return Fail(400, "a header's name is not a token");
  const std::string_view value = Trim(line.substr(colon + 1));
  if (!std::all_of(value.begin(), value.end(), IsFieldChar)) {
    return Fail(400, "a header's value holds a control character");
  }
  if (state_ == State::kTrailers) return;
  if (request_.headers.fields().size() == limits_.max_headers) {
    return Fail(431, fmt::format("the request has more than {} headers", limits_.max_headers));
  }
  request_.headers.Add(std::string(name), std::string(value));
}

void RequestParser::OnHeadEnd() {
  ReadHost();
  if (!failed()) ReadConnection();
  if (!failed()) ReadFraming();
}

void RequestParser::ReadHost() {
  const size_t count = request_.headers.Count("Host");
  if (count > 1) return Fail(400, "the request has more than one Host header");
  if (count == 0) {
    if (request_.minor_version == 1) Fail(400, "the request has no Host header");
    return;
  }
  const std::string& host = *request_.headers.Find("Host");
  if (!std::all_of(host.begin(), host.end(), IsHostChar)) {
    Fail(400, "the Host header is not a host name");
  }
}

void RequestParser::ReadConnection() {
  keep_alive_ = request_.minor_version == 1;
  for (const auto& [name, value] : request_.headers.fields()) {
    if (!EqualsIgnoreCase(name, "Connection")) continue;
    if (ListHolds(value, "close")) {
      keep_alive_ = false;
      return;
    }
    if (ListHolds(value, "keep-alive")) keep_alive_ = true;
  }
}

void RequestParser::ReadFraming() {
  const Headers& headers = request_.headers;
  const size_t lengths = headers.Count("Content-Length");
  const size_t codings = headers.Count("Transfer-Encoding");
  if (lengths > 1) return Fail(400, "the request has more than one Content-Length header");
  if (codings > 1) return Fail(400, "the request has more than one Transfer-Encoding header");
  if (lengths == 1 && codings == 1) {
    return Fail(400, "the request has both Content-Length and Transfer-Encoding");
  }
  if (const std::string* encoding = headers.Find("Content-Encoding");
      encoding != nullptr && !EqualsIgnoreCase(*encoding, "identity")) {
    return Fail(415, "compressed request bodies are not accepted; send the body as it is");
  }
  if (const std::string* expect = headers.Find("Expect")) {
    if (!EqualsIgnoreCase(*expect, "100-continue")) {
      return Fail(417, "the only expectation that is met here is 100-continue");
    }
    expects_continue_ = request_.minor_version == 1;
  }
  if (codings == 1) {
    if (request_.minor_version == 0) return Fail(400, "HTTP/1.0 has no Transfer-Encoding");
    if (!EqualsIgnoreCase(*headers.Find("Transfer-Encoding"), "chunked")) {
      return Fail(501, "the only transfer coding that is accepted is chunked");
    }
    head_bytes_ = 0;
    state_ = State::kChunkSize;
    return;
  }
  if (lengths == 0) {
    state_ = State::kDone;
    return;
  }
  const std::string& length = *headers.Find("Content-Length");
  const bool digits = !length.empty() && std::all_of(length.begin(), length.end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return Fail(400, "Content-Length is not a number");
  const auto value = ParseUint64(length);
  if (!value || *value > limits_.max_body_bytes) {
    return Fail(413, fmt::format("the body is {} bytes; at most {} are accepted", length,
                                 limits_.max_body_bytes));
  }
  body_left_ = *value;
  state_ = body_left_ == 0 ? State::kDone : State::kFixedBody;
}

void RequestParser::OnChunkSizeLine(std::string_view line) {
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
  const bool whole = error == std::errc() && end == line.data() + line.size();
  if (!whole || line.front() == '-' || line.front() == '+') {
    return Fail(400, "a chunk size must be hexadecimal digits and nothing else");
  }
  if (size == 0) {
    head_bytes_ = 0;
    state_ = State::kTrailers;
    return;
  }
  if (size > limits_.max_body_bytes - request_.body.size()) {
    return Fail(413, fmt::format("the body is longer than {} bytes", limits_.max_body_bytes));
  }
  if (++num_chunks_ > limits_.max_chunks) {
    return Fail(413, fmt::format("the body has more than {} chunks", limits_.max_chunks));
  }
  body_left_ = size;
  state_ = State::kChunkData;
}

size_t RequestParser::ConsumeBody(std::string_view bytes) {
  const auto size = static_cast<size_t>(std::min<uint64_t>(body_left_, bytes.size()));
  // Grows with what has come, never with what was announced.
  request_.body.append(bytes.substr(0, size));
  body_left_ -= size;
  if (body_left_ == 0) state_ = state_ == State::kFixedBody ? State::kDone : State::kChunkEnd;
  return size;
}

void RequestParser::Fail(int status, std::string message) {
  state_ = State::kFailed;
  error_status_ = status;
  error_message_ = std::move(message);
}

Request RequestParser::Take() {
  Request request = std::move(request_);
  *this = RequestParser(limits_);
  return request;
}

}  // namespace dray::http
