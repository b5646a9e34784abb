// Requests to a server on this machine, from as few instructions as possible, since the client shares the
// machine with the server that is measured: one thread, kept connections, no library. Every answer is
// compared with the expected one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace dray::bench {

struct HttpExchange {
  std::string request;  // all its bytes
  std::string answer;   // the body that its answer must have
};

// POST `target` with a JSON body.
std::string MakePost(std::string_view target, std::string_view body);

struct HttpLoad {
  uint16_t port = 0;
  size_t connections = 1;
  double seconds = 1;
  // Requests a second, which arrive at random, on whichever connection is free. 0: each connection
  // sends its next request as soon as it has its answer.
  double rate = 0;
  // The request with this number. Called once for each.
  std::function<HttpExchange(uint64_t number)> make;
  // Called each time a whole second has passed.
  std::function<void()> on_second = [] {};
};

struct HttpLoadResult {
  double seconds = 0;
  uint64_t answered = 0;  // with 200 and the expected body
  uint64_t refused = 0;   // with 503
  uint64_t wrong = 0;     // with any other status or body
  uint64_t broken = 0;    // the connection ended without a whole answer
  uint64_t unsent = 0;    // no connection was free
  std::string first_wrong;
  // From when a request was due to its last byte.
  std::vector<double> answered_seconds;
  std::vector<double> refused_seconds;
  // [s]: answers in the second s of the run.
  std::vector<uint64_t> answered_each_second;
};

// Ends the process if the server takes no connection. The requests that are open at the end have 60 s to be
// answered.
HttpLoadResult RunLoad(const HttpLoad& load);

// Sends one request after another over one connection with blocking calls. Returns the seconds of each. Ends
// the process if an answer is not the expected one.
std::vector<double> TimeExchanges(uint16_t port, const HttpExchange& exchange, int count);

// Connections that have sent `request` and of whose answers the first bytes have come, such as streams that
// wait for their next token. Ends the process if an answer does not begin with status 200.
class OpenStreams {
 public:
  OpenStreams(uint16_t port, std::string_view request, size_t count);
  OpenStreams(const OpenStreams&) = delete;
  OpenStreams& operator=(const OpenStreams&) = delete;
  ~OpenStreams();

 private:
  std::vector<int> sockets_;
};

}  // namespace dray::bench
