#include "cli/top/top_command.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <ostream>
#include <utility>

#include "base/file.h"
#include "cli/top/live_view.h"
#include "cli/top/report.h"
#include "cli/top/server_poller.h"
#include "cli/top/server_view.h"

namespace dray::cli {
namespace {

constexpr uint64_t kLargestKeyFile = 64 << 10;
constexpr FlagLimits<double> kIntervalLimits{0.1, 3600};
// How long a server may be silent: a person shall soon see that it is, a script need not hurry.
constexpr double kLiveTimeoutSeconds = 5;
constexpr double kOnceTimeoutSeconds = 60;

// "": no key.
Result<std::string> FindKey(const std::string& file) {
  if (file.empty()) {
    const char* const key = std::getenv("DRAY_API_KEY");
    return std::string(key == nullptr ? "" : key);
  }
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kLargestKeyFile));
  std::string key = text.substr(0, text.find_first_of("\r\n"));
  if (!key.empty()) return key;
  return Status(StatusCode::kInvalidArgument,
                fmt::format("--api-key-file {}: its first line must be a key", file));
}

Result<ServerTarget> MakeTarget(const TopOptions& options) {
  ServerTarget target;
  const bool has_scheme = options.url.find("://") != std::string::npos;
  DRAY_ASSIGN_OR_RETURN(target.server.url,
                        http::ParseUrl(has_scheme ? options.url : "http://" + options.url));
  DRAY_ASSIGN_OR_RETURN(target.server.tls, MakeClientTls(options.https, target.server.url));
  for (const std::string& header : options.headers) {
    DRAY_RETURN_IF_ERROR(http::CheckHeaderLine(header));
  }
  target.headers = options.headers;
  target.server.timeout_seconds = options.once ? kOnceTimeoutSeconds : kLiveTimeoutSeconds;
  DRAY_ASSIGN_OR_RETURN(const std::string key, FindKey(options.api_key_file));
  if (!key.empty()) target.headers.push_back("Authorization: Bearer " + key);
  return target;
}

Result<ServerSample> TakeSample(boost::asio::io_context& io, ServerPoller& poller) {
  std::optional<Result<ServerSample>> taken;
  poller.Poll([&](Result<ServerSample> sample) { taken = std::move(sample); });
  io.restart();
  io.run();
  return *std::move(taken);
}

// Takes two samples, because rates need two.
Result<ServerView> TakeView(const ServerTarget& target, double interval_seconds) {
  boost::asio::io_context io;
  ServerPoller poller(io, target);
  SampleHistory history(std::nullopt);
  DRAY_ASSIGN_OR_RETURN(ServerSample first, TakeSample(io, poller));
  history.Add(std::move(first));
  boost::asio::steady_timer timer(io, std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          std::chrono::duration<double>(interval_seconds)));
  timer.wait();
  DRAY_ASSIGN_OR_RETURN(ServerSample second, TakeSample(io, poller));
  history.Add(std::move(second));
  return history.View(
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
}

Status Run(const TopOptions& options, std::ostream& out) {
  DRAY_ASSIGN_OR_RETURN(const ServerTarget target, MakeTarget(options));
  const std::string url = target.server.url.ToString();
  if (!options.once) {
    return RunLiveView(
        {.target = target, .url = url, .interval_seconds = options.interval_seconds});
  }
  const auto view = TakeView(target, options.interval_seconds);
  if (!view.ok()) return view.status().WithPrefix(url);
  out << WriteReport(*view, url) << std::flush;
  return OkStatus();
}

}  // namespace

void AddTopOptions(Command command, TopOptions& options) {
  command.Add({.names = "url",
               .target = &options.url,
               .help =
                   "The server: http://HOST:PORT, https://HOST:PORT or HOST:PORT; its management "
                   "address, if it has one of its own",
               .type = "URL",
               .shows_default = true});
  command.Add({.names = "--interval",
               .target = &options.interval_seconds,
               .help = "How long to wait before the server is asked again",
               .type = "SECONDS",
               .check = kIntervalLimits,
               .shows_default = true});
  command.Add({.names = "--once",
               .target = &options.once,
               .help = "Print one report, with the rates of one interval, and end"});
  command.Add({.names = "--api-key-file",
               .target = &options.api_key_file,
               .help = "A file whose first line is a key of the server's management. Default: the "
                       "key in DRAY_API_KEY, if there is one.",
               .type = "FILE"});
  command.Add({.names = "--header",
               .target = &options.headers,
               .help = "Sent with each request; several may be given",
               .type = "'NAME: VALUE'"});
  AddHttpsOptions(command, options.https);
}

int RunTop(const TopOptions& options, std::ostream& out, std::ostream& err) {
  const Status status = Run(options, out);
  if (status.ok()) return 0;
  err << "dray top: " << status.message() << "\n";
  return 1;
}

}  // namespace dray::cli
