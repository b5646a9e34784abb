// HTTP requests: any bytes give requests or one error, and the same ones for every way to cut the
// bytes into pieces.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "http/parse/request_parser.h"

namespace {

// The requests and errors of one connection that gets its bytes in pieces of `piece`.
std::vector<std::string> ReadAll(std::string_view bytes, size_t piece) {
  dray::http::ParserLimits limits;
  limits.max_body_bytes = 1000;
  limits.max_header_block_bytes = 1000;
  dray::http::RequestParser parser(limits);
  std::vector<std::string> seen;
  while (!bytes.empty() && !parser.failed()) {
    const std::string_view now = bytes.substr(0, std::min(piece, bytes.size()));
    const size_t used = parser.Consume(now);
    DRAY_CHECK(used <= now.size());
    if (parser.done()) {
      dray::http::Request request = parser.Take();
      DRAY_CHECK(request.body.size() <= limits.max_body_bytes);
      seen.push_back(request.method + " " + request.target + "\n" + request.body);
    } else if (!parser.failed()) {
      DRAY_CHECK(used == now.size());
    }
    bytes.remove_prefix(used);
  }
  if (parser.failed()) {
    DRAY_CHECK(parser.error_status() >= 400 && !parser.error_message().empty());
    seen.push_back(std::to_string(parser.error_status()));
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = ReadAll(bytes, bytes.size());
  DRAY_CHECK(ReadAll(bytes, 1) == whole);
  DRAY_CHECK(ReadAll(bytes, 7) == whole);
  return 0;
}
