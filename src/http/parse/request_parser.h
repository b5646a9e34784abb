// The HTTP/1.x request grammar as a pure state machine: bytes in, one Request or one refusal out.
// It is separate from the sockets so that it can be tested at every split and fuzzed. It is ours,
// and not a library's, because it must be strict: where two parsers on one road read a request
// differently, one request can be smuggled inside another, so whatever is ambiguous (bare LF,
// folded lines, space before a colon, two lengths, a chunk's size with a sign) is refused, and every
// limit holds while bytes arrive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "http/body_budget.h"
#include "http/encoding/body_decoder.h"
#include "http/request.h"

namespace dray::http {

struct ParserLimits {
  // Over these: 414.
  size_t max_target_bytes = 8 * 1024;
  // Over these: 431. The block counts every byte before the body.
  size_t max_header_block_bytes = 32 * 1024;
  size_t max_header_line_bytes = 8 * 1024;
  size_t max_headers = 100;
  // Over these: 413.
  uint64_t max_body_bytes = uint64_t{64} << 20;
  size_t max_chunks = 65536;
  // A compressed body may become so many times as long as it came, or so many bytes at any rate: 1 KB of it could
  // become 1 MB, which costs the server a thousand times what it costs the client. Text is rarely
  // compressed tenfold.
  uint64_t max_decoded_ratio = 100;
  uint64_t decoded_bytes_at_any_ratio = uint64_t{1} << 20;
  // All of a body's lines that give a chunk's size and extensions: as many chunks of 16 bytes of them.
  size_t max_chunk_lines_bytes = 1024 * 1024;
  // Over these: 400. One such line; and the parameters in the target.
  size_t max_chunk_line_bytes = 8 * 1024;
  size_t max_query_parameters = 1000;
};

class RequestParser {
 public:
  // Bodies are charged to `budget`, if there is one; without room they are refused with 503.
  explicit RequestParser(const ParserLimits& limits, std::shared_ptr<BodyBudget> budget = nullptr)
      : limits_(limits), budget_(std::move(budget)) {}

  // Takes bytes up to the end of the request or to the first error, and returns how many it took. Of a compressed
  // body it takes no more than become some MiB, which takes some ms: unless done() or failed(), call again with
  // the rest.
  size_t Consume(std::string_view bytes);

  // What has been read of the request so far; its head is whole once head_done().
  const Request& request() const { return request_; }
  // No byte of a request has come yet.
  bool idle() const { return state_ == State::kRequestLine && head_bytes_ == 0; }
  // The header block is complete and accepted.
  bool head_done() const { return state_ > State::kHeaders; }
  bool done() const { return state_ == State::kDone; }
  bool failed() const { return state_ == State::kFailed; }
  // The client waits for "100 Continue" before it sends the body; valid once head_done().
  bool expects_continue() const { return expects_continue_; }
  // What the request's version and Connection field ask for; valid once head_done().
  bool keep_alive() const { return keep_alive_; }
  // Of the body as it was sent, which is shorter than the request's if it is compressed.
  uint64_t body_bytes() const { return received_bytes_; }

  // Once failed(): the status to answer with, and why.
  int error_status() const { return error_status_; }
  const std::string& error_message() const { return error_message_; }

  // Once done(): the request; the parser is then ready for the next one.
  Request Take();
  // Forgets what it has read, the body's memory included.
  void Reset();

 private:
  enum class State {
    kRequestLine,
    kHeaders,
    kFixedBody,
    kChunkSize,
    kChunkData,
    kChunkEnd,
    kTrailers,
    kDone,
    kFailed,
  };

  size_t ConsumeLine(std::string_view bytes);
  size_t ConsumeBody(std::string_view bytes);
  // Adds a piece of the body to it, decompressed if need be. Calls Fail if it cannot.
  void TakeBody(std::string_view piece);
  void AppendToBody(std::string_view piece);
  void OnBodyEnd();
  bool MakeRoomInBody(size_t added_bytes);
  void OnLine(std::string_view line);
  void OnRequestLine(std::string_view line);
  void OnTarget(std::string_view target);
  void OnHeaderLine(std::string_view line);
  void OnHeadEnd();
  void OnChunkSizeLine(std::string_view line);
  void CheckLineSizes();
  void CheckChunkLineSizes();
  void ReadConnection();
  void ReadFraming();
  void ReadEncoding();
  void ReadLength(const std::string& length);
  void ReadHost();
  void Fail(int status, std::string message);

  ParserLimits limits_;
  std::shared_ptr<BodyBudget> budget_;
  State state_ = State::kRequestLine;
  Request request_;
  // The line so far, without its CRLF.
  std::string line_;
  bool carriage_return_ = false;
  size_t head_bytes_ = 0;
  size_t num_chunks_ = 0;
  // Of the lines with the chunks' sizes that are complete.
  size_t chunk_line_bytes_ = 0;
  uint64_t body_left_ = 0;
  uint64_t received_bytes_ = 0;
  // Null: the body is not compressed.
  std::unique_ptr<BodyDecoder> decoder_;
  bool chunked_ = false;
  bool expects_continue_ = false;
  bool keep_alive_ = false;
  int error_status_ = 0;
  std::string error_message_;
};

}  // namespace dray::http
