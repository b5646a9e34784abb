// The address of a server: http://HOST[:PORT][/PREFIX].
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace dray::http {

struct Url {
  std::string host;  // without the brackets of IPv6
  std::string port = "80";
  std::string prefix;  // "" or "/v2", without a slash at its end

  // The value of the Host header.
  std::string Authority() const;
};

// kUnsupported for https, kInvalidArgument for any other text that is not such an address.
Result<Url> ParseUrl(std::string_view text);

}  // namespace dray::http
