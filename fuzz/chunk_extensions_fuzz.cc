// Chunk extensions: whatever stands behind a chunk's size, the body is the chunks' data or the request is
// refused; and nothing of it is taken for data, in whatever pieces it comes.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/grammar.h"
#include "http/parse/request_parser.h"

namespace {

// The status and body of the request with that line before its one chunk of five bytes.
std::string Read(std::string_view line, size_t piece) {
  const std::string request = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
                              std::string(line) + "\r\nhello\r\n0\r\n\r\n";
  dray::http::RequestParser parser{dray::http::ParserLimits{}};
  std::string_view rest = request;
  while (!rest.empty() && !parser.done() && !parser.failed()) {
    rest.remove_prefix(parser.Consume(rest.substr(0, std::min(piece, rest.size()))));
  }
  if (parser.failed()) return std::to_string(parser.error_status());
  DRAY_CHECK(!parser.done() || rest.empty());
  return parser.done() ? "200 " + parser.Take().body : "more";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string line = "5" + std::string(bytes);
  const std::string whole = Read(line, line.size() + 1000);
  DRAY_CHECK(Read(line, 1) == whole);
  DRAY_CHECK(Read(line, 7) == whole);
  if (bytes.find_first_of("\r\n") != std::string_view::npos) return 0;
  // One line: it is in the grammar and its size is what it says, or the request is refused.
  const auto read = dray::http::ReadChunkSize(line);
  if (read.has_value() && *read == 5 &&
      line.size() <= dray::http::ParserLimits{}.max_chunk_line_bytes) {
    DRAY_CHECK(whole == "200 hello");
  } else {
    DRAY_CHECK(whole != "200 hello");
  }
  // A further good extension changes nothing.
  if (read.has_value()) DRAY_CHECK(dray::http::ReadChunkSize(line + ";a=\"b;c\"") == read);
  return 0;
}
