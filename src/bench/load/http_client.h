// One connection to the server under load. It carries one request at a time and stays open between
// requests.
//
// Threads: owns none; everything runs on the thread of the io_context.
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
  // Header lines in addition to the usual ones, e.g. "Authorization: Bearer ...".
  std::vector<std::string> headers;
};

class HttpClient {
 public:
  // Called with the bytes of the body as they come. An error ends the call.
  using OnBytes = std::function<Status(std::string_view bytes)>;
  // Called exactly once for each call: with ok, or with an error whose first words name its kind.
  using OnDone = std::function<void(const Status& status)>;

  virtual ~HttpClient() = default;
  // May be called only after the last call is done. The call ends if no byte comes for `timeout`.
  virtual void Post(HttpCall call, OnBytes on_bytes, OnDone on_done) = 0;
};

std::shared_ptr<HttpClient> MakeHttpClient(boost::asio::io_context& io, const Url& url,
                                           double timeout_seconds);

}  // namespace dray::bench
