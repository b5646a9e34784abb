// Asks a server for the pages of which a sample is made.
//
// Threads: owns none; everything runs on the thread of the io_context.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cli/top/server_sample.h"
#include "http/client/http_client.h"

namespace dray::cli {

// Where a server is, and what every request to it carries.
struct ServerTarget {
  http::HttpServerAddress server;
  // Header lines.
  std::vector<std::string> headers;
};

class ServerPoller {
 public:
  using OnSample = std::function<void(Result<ServerSample> sample)>;

  ServerPoller(boost::asio::io_context& io, ServerTarget target);

  // Calls `on_sample` with the numbers of this moment, or with an error if the server does not answer or is not one
  // of dray's. May be called again only then, and the poller must live until then.
  void Poll(OnSample on_sample);

 private:
  // A page, and what reads it.
  struct Page {
    std::string target;
    std::function<Status(const std::string& body)> read;
    // Without it, the sample is still whole: a model may be unregistered while the pages are asked for.
    bool is_optional = false;
  };

  void AskNext();
  void TakePage(const Page& page, const std::string& body, const Status& status);
  // Adds the page of each of the models.
  Status TakeModelList(const std::string& body);
  void End(Status status);

  ServerTarget target_;
  std::shared_ptr<http::HttpClient> client_;
  OnSample on_sample_;
  ServerSample sample_;
  std::deque<Page> pages_;
};

}  // namespace dray::cli
