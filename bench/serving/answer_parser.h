// Reads answers as far as the load generator must: the status, the body by its Content-Length, and whether the
// connection stays open.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dray::bench {

struct HttpAnswer {
  int status = 0;
  bool keeps_connection = true;
  std::string_view body;  // a part of the bytes that were read
};

// The answer that `bytes` are; nothing if some of it has not come yet.
std::optional<HttpAnswer> ParseAnswer(std::string_view bytes);

// The value of a header in a head of a message, without the spaces around it; "" if there is none. `name` is in
// lower case.
std::string_view FindHeader(std::string_view head, std::string_view name);

}  // namespace dray::bench
