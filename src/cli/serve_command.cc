#include "cli/serve_command.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "api/djl/djl.h"
#include "api/task_queue.h"
#include "base/checked_math.h"
#include "base/log.h"
#include "cli/progress.h"
#include "cli/shutdown.h"
#include "http/server.h"
#include "serving/repository.h"

namespace dray::cli {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitCutOff = 3;

api::DjlOptions MakeDjlOptions(const settings::ServerSettings& settings) {
  return {.request_id_header = settings.request_id_header,
          .allow_multi_status = settings.allow_multi_status};
}

// The share of the bodies' memory that is for small ones only.
constexpr uint64_t kSmallOnlyShare = 8;

// What bodies and the texts made of them may take of the memory that requests may take in all. The rest is for
// copies, each smaller than the largest body: one for each thread that reads, where a body outgrows its memory;
// and two for each thread that parses a large body, of its strings and where one of them grows. At least one
// body has its place beside the part that only small ones may take.
uint64_t BodyBudgetBytes(const settings::ServerSettings& settings) {
  const auto all = static_cast<uint64_t>(settings.request_memory_bytes);
  const auto largest = static_cast<uint64_t>(settings.max_request_bytes);
  const auto num_readers = static_cast<uint64_t>(settings.http_threads);
  const auto num_parsers = static_cast<uint64_t>(
      api::TaskQueue::NumLargeAtOnce(static_cast<int>(settings.http_threads)));
  const uint64_t copies = CheckedMul(largest, num_readers + 2 * num_parsers).value_or(all);
  const uint64_t least = largest + largest / (kSmallOnlyShare - 1) + 1;
  return std::max(least, all - std::min(all, copies));
}

http::ServerOptions MakeServerOptions(const settings::ServerSettings& settings) {
  http::ServerOptions options;
  options.host = settings.host;
  options.port = settings.port;
  options.num_threads = static_cast<int>(settings.http_threads);
  options.max_connections = static_cast<int>(settings.max_connections);
  options.limits.max_body_bytes = static_cast<uint64_t>(settings.max_request_bytes);
  options.max_total_body_bytes = BodyBudgetBytes(settings);
  options.small_only_body_bytes = options.max_total_body_bytes / kSmallOnlyShare;
  options.min_body_bytes_per_second = static_cast<uint64_t>(settings.min_body_bytes_per_second);
  options.timeouts.body = std::chrono::seconds(settings.body_timeout_s);
  options.make_error = [djl = MakeDjlOptions(settings)](int status, const std::string& message,
                                                        const http::Request* request) {
    return api::MakeDjlServerError(djl, status, message, request);
  };
  return options;
}

// "http://HOST:PORT".
std::string Address(const std::string& host, uint16_t port) {
  const bool brackets = host.find(':') != std::string::npos;
  return fmt::format("http://{}:{}", brackets ? "[" + host + "]" : host, port);
}

void PrintReady(const settings::Settings& settings, uint16_t port, std::ostream& out) {
  const std::string& host = settings.server.host;
  const std::string reachable = host == "0.0.0.0" || host == "::" ? "127.0.0.1" : host;
  fmt::print(out, "serving {} on {}\n", settings.model.model_name, Address(host, port));
  fmt::print(out,
             "try: curl -s {}/invocations -H 'Content-Type: application/json' "
             "-d '{{\"inputs\": \"Once upon a time\", \"parameters\": {{\"max_new_tokens\": "
             "40}}}}'\n",
             Address(reachable, port));
  out.flush();
}

void LogStats(const engine::EngineStats& stats) {
  LogInfo(fmt::format("{} prompt tokens read and {} generated in {} steps", stats.prompt_tokens,
                      stats.generated_tokens, stats.steps));
  if (stats.drafted_tokens == 0) return;
  LogInfo(fmt::format("speculation: {} of {} guesses were right, {:.2f} tokens a step",
                      stats.accepted_tokens, stats.drafted_tokens,
                      static_cast<double>(stats.generated_tokens) /
                          static_cast<double>(std::max<uint64_t>(1, stats.steps))));
}

// Loads the model of the start on a thread of its own, while the server answers /ping already.
class StartUp {
 public:
  StartUp(ResolvedModel& resolved, serving::ModelRepository& repository, const ShutdownWait& wait)
      : thread_([&resolved, &repository, &wait, this] {
          Load(resolved, repository);
          wait.Wake();
        }) {}

  // Waits for the end of loading.
  Result<std::shared_ptr<serving::ServedModel>> Join() {
    thread_.join();
    return std::move(model_);
  }

 private:
  void Load(ResolvedModel& resolved, serving::ModelRepository& repository) {
    const std::string& name = resolved.settings.model.model_name;
    repository.SetLoading(name, "");
    model_ = OpenWithProgress(resolved);
    // The demo model's files have been read.
    resolved.demo.reset();
    if (model_.ok()) {
      repository.SetReady(*model_);
    } else {
      repository.SetFailed(name, "", model_.status());
    }
  }

  Result<std::shared_ptr<serving::ServedModel>> model_ =
      Status(StatusCode::kUnavailable, "the model is not loaded yet");
  std::thread thread_;
};

// Ends the process although a thread is still loading, which may take minutes: nobody waits for an
// answer yet, and there is nothing to lose but the demo model's files.
[[noreturn]] void ExitWhileLoading(const std::filesystem::path& demo_dir, int signal) {
  LogInfo(fmt::format("signal {} while the model was being loaded", signal));
  std::error_code ignored;
  if (!demo_dir.empty()) std::filesystem::remove_all(demo_dir, ignored);
  std::_Exit(0);
}

// Ends the process if its orderly end takes longer than it may: no task, such as a search in a hostile
// text, may hold it up. By a signal, for there may be no thread or memory left.
void EndInTime(int64_t drain_timeout_s) {
  constexpr int64_t kOrderlyEndSeconds = 1;
  struct sigaction action {};
  action.sa_handler = [](int) {
    constexpr std::string_view kMessage = "dray: a request was still worked on; ended without it\n";
    [[maybe_unused]] const ssize_t ignored =
        ::write(STDERR_FILENO, kMessage.data(), kMessage.size());
    ::_exit(kExitCutOff);
  };
  ::sigaction(SIGALRM, &action, nullptr);
  ::alarm(static_cast<unsigned>(drain_timeout_s + kOrderlyEndSeconds));
}

// Refuses new requests and finishes those that were accepted; the exit code.
int Drain(http::Server& server, serving::ModelRepository& repository, int64_t timeout_s) {
  repository.BeginDrain();
  const bool drained = server.Drain(std::chrono::seconds(timeout_s));
  if (!drained)
    LogWarning(fmt::format("{} requests were cut off", server.stats().requests_in_flight));
  server.Stop();
  return drained ? 0 : kExitCutOff;
}

Result<int> Serve(const ModelArguments& arguments, std::ostream& out) {
  DRAY_ASSIGN_OR_RETURN(ResolvedModel resolved, ResolveModel(arguments));
  const settings::ServerSettings& settings = resolved.settings.server;
  DRAY_ASSIGN_OR_RETURN(ShutdownWait wait, ShutdownWait::Make());
  serving::ModelRepository repository;
  DRAY_RETURN_IF_ERROR(repository.AddPending(resolved.settings.model.model_name, "",
                                             serving::ModelOrigin::kStartUp));
  api::TaskQueue tasks(static_cast<int>(settings.http_threads));
  http::Router router;
  api::RegisterDjlRoutes(router, repository, tasks, MakeDjlOptions(settings));
  DRAY_ASSIGN_OR_RETURN(const auto server,
                        http::Server::Start(MakeServerOptions(settings), std::move(router)));
  LogInfo(fmt::format("listening on {}; /ping answers 503 until the model is loaded",
                      Address(settings.host, server->port())));

  const auto demo_dir = resolved.demo ? resolved.demo->dir() : std::filesystem::path();
  StartUp start_up(resolved, repository, wait);
  if (const auto signal = wait.Wait()) ExitWhileLoading(demo_dir, *signal);
  DRAY_ASSIGN_OR_RETURN(const auto model, start_up.Join());
  PrintReady(resolved.settings, server->port(), out);

  std::optional<int> signal;
  while (!signal) signal = wait.Wait();
  RestoreShutdownSignals();
  LogInfo(fmt::format("signal {}: no new requests; finishing {} in flight, at most {} s", *signal,
                      server->stats().requests_in_flight, settings.drain_timeout_s));
  EndInTime(settings.drain_timeout_s);
  const int exit_code = Drain(*server, repository, settings.drain_timeout_s);
  LogStats(model->stats());
  return exit_code;
}

}  // namespace

int RunServe(const ModelArguments& arguments, std::ostream& out, std::ostream& err) {
  const Result<int> result = Serve(arguments, out);
  if (result.ok()) return *result;
  fmt::print(err, "dray serve: {}\n", result.status().message());
  return kExitFailed;
}

}  // namespace dray::cli
