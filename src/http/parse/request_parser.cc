// See request_parser.h. Every method either moves the state on or calls Fail, which is final.
#include "http/parse/request_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/parse/parse_number.h"
#include "http/grammar.h"

namespace dray::http {
namespace {

constexpr size_t kMaxMethodBytes = 32;
// What Consume makes of a compressed body at a time, about; and how much of such a body it takes in one step, which
// becomes a thousand times as much at most.
constexpr size_t kMaxDecodedAtOnce = size_t{1} << 20;
constexpr size_t kMaxEncodedAtOnce = 1024;

bool IsVisibleAscii(char c) { return c > ' ' && c < 0x7f; }

}  // namespace

size_t RequestParser::Consume(std::string_view bytes) {
  size_t used = 0;
  const size_t most_decoded = request_.body.size() + kMaxDecodedAtOnce;
  while (used < bytes.size() && !done() && !failed()) {
    const std::string_view rest = bytes.substr(used);
    const bool in_data = state_ == State::kFixedBody || state_ == State::kChunkData;
    used += in_data ? ConsumeBody(rest) : ConsumeLine(rest);
    if (decoder_ != nullptr && request_.body.size() >= most_decoded) break;
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
      CheckChunkLineSizes();
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
      if (line.empty()) return OnBodyEnd();
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
  request_.body_lease = BodyLease(budget_);
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
  ReadEncoding();
  if (failed()) return;
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
    chunked_ = true;
    state_ = State::kChunkSize;
    return;
  }
  if (lengths == 0) {
    state_ = State::kDone;
    return;
  }
  ReadLength(*headers.Find("Content-Length"));
}

void RequestParser::ReadEncoding() {
  const Headers& headers = request_.headers;
  const std::string* const encoding = headers.Find("Content-Encoding");
  if (encoding == nullptr || EqualsIgnoreCase(*encoding, "identity")) return;
  if (headers.Count("Content-Encoding") > 1) {
    return Fail(415, "the request has more than one Content-Encoding header");
  }
  auto decoder = BodyDecoder::Make(*encoding);
  if (!decoder.ok()) return Fail(415, decoder.status().message());
  decoder_ = std::move(decoder).value();
}

void RequestParser::ReadLength(const std::string& length) {
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

void RequestParser::CheckChunkLineSizes() {
  if (line_.size() > limits_.max_chunk_line_bytes) {
    Fail(400, fmt::format("a chunk's size and extensions are longer than {} bytes",
                          limits_.max_chunk_line_bytes));
  } else if (chunk_line_bytes_ + line_.size() > limits_.max_chunk_lines_bytes) {
    Fail(413,
         fmt::format("the sizes and extensions of the chunks are together longer than {} bytes",
                     limits_.max_chunk_lines_bytes));
  }
}

void RequestParser::OnChunkSizeLine(std::string_view line) {
  chunk_line_bytes_ += line.size();
  const auto read = ReadChunkSize(line);
  if (!read) {
    return Fail(
        400,
        "a chunk must begin with its size, 1 to 16 hexadecimal digits, and extensions such as "
        ";name=value, if any");
  }
  const uint64_t size = *read;
  if (size == 0) {
    head_bytes_ = 0;
    state_ = State::kTrailers;
    return;
  }
  if (size > limits_.max_body_bytes - received_bytes_) {
    return Fail(413, fmt::format("the body is longer than {} bytes", limits_.max_body_bytes));
  }
  if (++num_chunks_ > limits_.max_chunks) {
    return Fail(413, fmt::format("the body has more than {} chunks", limits_.max_chunks));
  }
  body_left_ = size;
  state_ = State::kChunkData;
}

size_t RequestParser::ConsumeBody(std::string_view bytes) {
  auto size = static_cast<size_t>(std::min<uint64_t>(body_left_, bytes.size()));
  if (decoder_ != nullptr) size = std::min(size, kMaxEncodedAtOnce);
  received_bytes_ += size;
  TakeBody(bytes.substr(0, size));
  if (failed()) return size;
  body_left_ -= size;
  if (body_left_ > 0) return size;
  if (state_ == State::kChunkData) {
    state_ = State::kChunkEnd;
  } else {
    OnBodyEnd();
  }
  return size;
}

void RequestParser::TakeBody(std::string_view piece) {
  if (decoder_ == nullptr) return AppendToBody(piece);
  std::array<char, size_t{16} << 10> block;
  while (!failed()) {
    const auto progress = decoder_->Decode(piece, block);
    if (!progress.ok()) return Fail(400, progress.status().message());
    piece.remove_prefix(progress->used_bytes);
    AppendToBody({block.data(), progress->made_bytes});
    // A block that is not full means that the decoder waits for more.
    if (piece.empty() && progress->made_bytes < block.size()) return;
  }
}

void RequestParser::AppendToBody(std::string_view piece) {
  if (piece.size() > limits_.max_body_bytes - request_.body.size()) {
    return Fail(413, fmt::format("the body is longer than {} bytes when it is decompressed",
                                 limits_.max_body_bytes));
  }
  const uint64_t decoded = request_.body.size() + piece.size();
  if (decoder_ != nullptr && decoded > limits_.decoded_bytes_at_any_ratio &&
      decoded / limits_.max_decoded_ratio > received_bytes_) {
    return Fail(413, fmt::format("{} bytes of the compressed body become {}, more than {} times as "
                                 "many; send it without Content-Encoding",
                                 received_bytes_, decoded, limits_.max_decoded_ratio));
  }
  if (!MakeRoomInBody(piece.size())) {
    return Fail(503, fmt::format("the server holds other requests' bodies of up to {} bytes, all "
                                 "that it has memory for; try again",
                                 budget_->max_bytes()));
  }
  request_.body.append(piece);
}

void RequestParser::OnBodyEnd() {
  if (decoder_ != nullptr && received_bytes_ > 0 && !decoder_->complete()) {
    return Fail(400, "the compressed body ends before its end");
  }
  state_ = State::kDone;
}

// The body's memory grows with what has come, fourfold or up to the announced end, and is charged
// before it is taken. Announcing much and sending little thus takes little. False if there is no room.
bool RequestParser::MakeRoomInBody(size_t added_bytes) {
  constexpr size_t kLeastBytes = size_t{16} << 10;
  constexpr size_t kGrowth = 4;
  std::string& body = request_.body;
  const size_t wanted = body.size() + added_bytes;
  if (wanted <= body.capacity()) return true;
  // Of a chunked body the end is not known, nor is that of a compressed one.
  const bool is_open = chunked_ || decoder_ != nullptr;
  const uint64_t end = is_open ? limits_.max_body_bytes : body.size() + body_left_;
  const size_t grown = std::max(kLeastBytes, body.capacity() * (is_open ? 2 : kGrowth));
  const auto room = static_cast<size_t>(std::max<uint64_t>(wanted, std::min<uint64_t>(end, grown)));
  if (!request_.body_lease.Resize(room)) return false;
  // Not by reserve(), which may take twice as much as it is asked for.
  std::string larger;
  larger.reserve(room);
  larger.append(body);
  body = std::move(larger);
  return true;
}

void RequestParser::Fail(int status, std::string message) {
  state_ = State::kFailed;
  error_status_ = status;
  error_message_ = std::move(message);
}

void RequestParser::Reset() {
  // Swapped rather than assigned: a string that is assigned an empty one keeps its memory.
  RequestParser fresh(limits_, budget_);
  std::swap(*this, fresh);
}

Request RequestParser::Take() {
  Request request = std::move(request_);
  Reset();
  return request;
}

}  // namespace dray::http
