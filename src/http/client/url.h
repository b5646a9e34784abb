// The address of a server: http://HOST[:PORT][/PREFIX], or the same with https.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace dray::http {

struct Url {
  bool tls = false;         // https
  std::string host;         // without the brackets of IPv6
  std::string port = "80";  // with https: "443" by default
  std::string prefix;       // "" or "/v2", without a slash at its end

  // The value of the Host header.
  std::string Authority() const;
  // The whole address.
  std::string ToString() const;
};

// kInvalidArgument if the text is no such address.
Result<Url> ParseUrl(std::string_view text);

}  // namespace dray::http
