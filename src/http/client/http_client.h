// One connection to another server, for the load generator and `dray top`. It carries one request at a time and
// stays open between requests.
//
// Threads: owns none; everything runs on the thread of the io_context.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "http/client/client_tls.h"
#include "http/client/url.h"

namespace boost::asio {
class io_context;
}

namespace dray::http {

// The part of a server's address behind which it has its pages is put before `target`.
struct ClientCall {
  std::string target;
  // JSON that is posted; without it the call is a GET.
  std::optional<std::string> body;
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
  // May be called only after the last call is done. The call ends if no byte comes for the server's timeout.
  virtual void Send(ClientCall call, OnBytes on_bytes, OnDone on_done) = 0;
};

struct HttpServerAddress {
  Url url;
  // How long the server may be silent.
  double timeout_seconds = 5;
  // For https, and null for http.
  std::shared_ptr<const ClientTls> tls;
};

std::shared_ptr<HttpClient> MakeHttpClient(boost::asio::io_context& io,
                                           const HttpServerAddress& server);

// How the error begins of a call to a server whose certificate is not to be trusted.
inline constexpr const char* kUntrustedServer = "the server's certificate is not trusted: ";

// kInvalidArgument unless the text is a header line, `NAME: VALUE`.
Status CheckHeaderLine(std::string_view line);

}  // namespace dray::http
