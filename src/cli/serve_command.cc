#include "cli/serve_command.h"

#include <fmt/format.h>
#include <fmt/ostream.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "api/djl/djl.h"
#include "api/management/load_missing.h"
#include "api/management/management.h"
#include "api/task_queue.h"
#include "base/checked_math.h"
#include "base/log.h"
#include "cli/progress.h"
#include "cli/shutdown.h"
#include "http/server.h"
#include "serving/manager/model_manager.h"
#include "serving/manager/start_up_models.h"
#include "serving/manager/url_pattern.h"
#include "serving/repository.h"

namespace dray::cli {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitCutOff = 3;

api::DjlOptions MakeDjlOptions(const settings::ServerSettings& settings) {
  return {.request_id_header = settings.request_id_header,
          .allow_multi_status = settings.allow_multi_status,
          .wait_model_loading = settings.wait_model_loading};
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

// The names of the models that serve, separated by commas.
std::string ReadyNames(const serving::ModelRepository& repository) {
  std::string names;
  for (const serving::ModelInfo& info : repository.List()) {
    if (info.state != serving::ModelState::kReady) continue;
    names += names.empty() ? info.name : ", " + info.name;
  }
  return names.empty() ? "no model" : names;
}

void PrintReady(const std::string& names, const std::string& host, uint16_t port,
                std::ostream& out) {
  const std::string reachable = host == "0.0.0.0" || host == "::" ? "127.0.0.1" : host;
  fmt::print(out, "serving {} on {}\n", names, Address(host, port));
  fmt::print(out,
             "try: curl -s {}/invocations -H 'Content-Type: application/json' "
             "-d '{{\"inputs\": \"Once upon a time\", \"parameters\": {{\"max_new_tokens\": "
             "40}}}}'\n",
             Address(reachable, port));
  out.flush();
}

void LogStats(const std::string& name, const engine::EngineStats& stats) {
  LogInfo(fmt::format("{}: {} prompt tokens read and {} generated in {} steps", name,
                      stats.prompt_tokens, stats.generated_tokens, stats.steps));
  if (stats.drafted_tokens == 0) return;
  LogInfo(fmt::format("speculation: {} of {} guesses were right, {:.2f} tokens a step",
                      stats.accepted_tokens, stats.drafted_tokens,
                      static_cast<double>(stats.generated_tokens) /
                          static_cast<double>(std::max<uint64_t>(1, stats.steps))));
}

void LogStats(const serving::ModelRepository& repository) {
  for (const serving::ModelInfo& info : repository.List()) {
    for (const auto& entry : repository.Versions(info.name, info.version)) {
      if (entry.model == nullptr) continue;

      LogStats(info.name, entry.model->stats());
    }
  }
}

// Loads the models of the start, while the server answers /ping already.
class StartUp {
 public:
  StartUp(serving::ModelManager& manager, const ShutdownWait& wait)
      : manager_(manager), wait_(wait) {}

  // Begins to load them. An error if one of them cannot even be begun.
  Status Begin(ResolvedModel& resolved);
  // Whether all are loaded, or the first error of one that could not be.
  Result<bool> Done() const {
    const std::lock_guard lock(mutex_);
    if (!failure_.ok()) return failure_;
    return num_open_ == 0;
  }

 private:
  Status Add(serving::Registration registration);
  void OnDone(const Status& status);

  serving::ModelManager& manager_;
  const ShutdownWait& wait_;
  ProgressLine line_{"loading"};
  mutable std::mutex mutex_;
  Status failure_;
  size_t num_open_ = 0;
};

Status StartUp::Begin(ResolvedModel& resolved) {
  const settings::ServerSettings& settings = resolved.settings.server;
  DRAY_ASSIGN_OR_RETURN(auto registrations,
                        serving::ListStartUpModels(settings.model_store, settings.load_models));
  if (!resolved.files.model.empty()) {
    serving::Registration named;
    named.url = resolved.files.model.string();
    named.name = resolved.settings.model.model_name;
    named.origin = serving::ModelOrigin::kStartUp;
    named.resolved = serving::ResolvedFiles{resolved.settings, resolved.files, {}, {}};
    registrations.insert(registrations.begin(), std::move(named));
  }
  for (serving::Registration& registration : registrations) {
    DRAY_RETURN_IF_ERROR(Add(std::move(registration)));
  }
  // So that the caller's wait ends if there is nothing to load.
  wait_.Wake();
  return OkStatus();
}

Status StartUp::Add(serving::Registration registration) {
  {
    const std::lock_guard lock(mutex_);
    ++num_open_;
  }
  registration.progress = [this](uint64_t done, uint64_t total) { line_.Update(done, total); };
  return manager_
      .Register(std::move(registration), serving::ModelManager::OnFailure::kKeepFailed,
                [this](const Status& status) { OnDone(status); })
      .status();
}

void StartUp::OnDone(const Status& status) {
  {
    const std::lock_guard lock(mutex_);
    --num_open_;
    if (failure_.ok()) failure_ = status;
  }
  wait_.Wake();
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

// Ends the process although models may still be loading, which may take minutes: no client waits for
// an answer yet, and there is nothing to lose but the demo model's files.
[[noreturn]] void ExitWithError(const Status& status, std::optional<DemoModel>& demo,
                                std::ostream& err) {
  demo.reset();
  fmt::print(err, "dray serve: {}\n", status.message());
  err.flush();
  std::_Exit(kExitFailed);
}

// Waits for the models of the start. Ends the process if one cannot be loaded, or if a signal comes.
void WaitForStartUp(const StartUp& start_up, ShutdownWait& wait, std::optional<DemoModel>& demo,
                    std::ostream& err) {
  while (true) {
    const auto done = start_up.Done();
    if (done.ok() && *done) break;
    const auto signal = done.ok() ? wait.Wait() : std::nullopt;
    if (!done.ok()) ExitWithError(done.status(), demo, err);
    if (!signal) continue;
    LogInfo(fmt::format("signal {} while models were being loaded", *signal));
    demo.reset();
    std::_Exit(0);
  }
  // The demo model's files have been read.
  demo.reset();
}

serving::ModelManager::Options MakeManagerOptions(const ResolvedModel& resolved) {
  const settings::ServerSettings& settings = resolved.settings.server;
  serving::ModelManager::Options options;
  options.sources = resolved.sources;
  options.drain_timeout = std::chrono::seconds(settings.drain_timeout_s);
  if (!settings.unpack_dir.empty()) options.unpack_dir = settings.unpack_dir;
  return options;
}

Result<http::Router> MakeRouter(const settings::ServerSettings& settings,
                                serving::ModelRepository& repository,
                                serving::ModelManager& manager, api::TaskQueue& tasks) {
  http::Router router;
  api::LoadMissing load_missing;
  if (!settings.model_url_pattern.empty()) {
    DRAY_ASSIGN_OR_RETURN(auto pattern, serving::UrlPattern::Compile(settings.model_url_pattern));
    load_missing = api::MakeLoadMissing(manager, std::move(pattern));
  }
  api::RegisterDjlRoutes(router, repository, tasks, MakeDjlOptions(settings),
                         std::move(load_missing));
  api::RegisterManagementRoutes(router, manager, repository, settings.request_id_header);
  return router;
}

Result<int> Serve(const ModelArguments& arguments, std::ostream& out, std::ostream& err) {
  DRAY_ASSIGN_OR_RETURN(ResolvedModel resolved, ResolveServer(arguments));
  const settings::ServerSettings& settings = resolved.settings.server;
  DRAY_ASSIGN_OR_RETURN(ShutdownWait wait, ShutdownWait::Make());
  serving::ModelRepository repository;
  serving::ModelManager manager(MakeManagerOptions(resolved), repository);
  api::TaskQueue tasks(static_cast<int>(settings.http_threads));
  DRAY_ASSIGN_OR_RETURN(auto router, MakeRouter(settings, repository, manager, tasks));
  StartUp start_up(manager, wait);
  DRAY_RETURN_IF_ERROR(start_up.Begin(resolved));
  auto started = http::Server::Start(MakeServerOptions(settings), std::move(router));
  if (!started.ok()) ExitWithError(started.status(), resolved.demo, err);
  const std::unique_ptr<http::Server> server = std::move(started).value();
  LogInfo(fmt::format("listening on {}; /ping answers 503 until the models are loaded",
                      Address(settings.host, server->port())));
  WaitForStartUp(start_up, wait, resolved.demo, err);
  PrintReady(ReadyNames(repository), settings.host, server->port(), out);

  std::optional<int> signal;
  while (!signal) signal = wait.Wait();
  RestoreShutdownSignals();
  LogInfo(fmt::format("signal {}: no new requests; finishing {} in flight, at most {} s", *signal,
                      server->stats().requests_in_flight, settings.drain_timeout_s));
  EndInTime(settings.drain_timeout_s);
  const int exit_code = Drain(*server, repository, settings.drain_timeout_s);
  LogStats(repository);
  return exit_code;
}

}  // namespace

int RunServe(const ModelArguments& arguments, std::ostream& out, std::ostream& err) {
  const Result<int> result = Serve(arguments, out, err);
  if (result.ok()) return *result;
  fmt::print(err, "dray serve: {}\n", result.status().message());
  return kExitFailed;
}

}  // namespace dray::cli
