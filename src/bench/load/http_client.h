// One connection to the server under load: a request at a time, kept open between them.
//
// Threads: none; everything happens on the io_context's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "bench/load/url.h"

namespace boost::asio {
class io_context;
}

namespace dray::bench {

struct HttpCall {
  std::string target;
  std::string body;  // JSON
  // Header lines beside the usual ones: "Authorization: Bearer ...".
  std::vector<std::string> headers;
};

class HttpClient {
 public:
  // Bytes of the body, as they come; an error ends the call.
  using OnBytes = std::function<Status(std::string_view bytes)>;
  // Exactly once for each call: ok, or what went wrong, its first words saying of which kind.
  using OnDone = std::function<void(const Status& status)>;

  virtual ~HttpClient() = default;
  // Not before the last call is done. No byte for `timeout` ends the call.
  virtual void Post(HttpCall call, OnBytes on_bytes, OnDone on_done) = 0;
};

std::shared_ptr<HttpClient> MakeHttpClient(boost::asio::io_context& io, const Url& url,
                                           double timeout_seconds);

}  // namespace dray::bench
