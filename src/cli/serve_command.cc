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
#include <thread>
#include <utility>
#include <vector>

#include "api/djl/adapters/adapters.h"
#include "api/djl/djl.h"
#include "api/management/load_missing.h"
#include "api/management/logging.h"
#include "api/management/management.h"
#include "api/metrics/metrics.h"
#include "api/metrics/no_metrics.h"
#include "api/openai/embeddings.h"
#include "api/sagemaker/runtime.h"
#include "api/task_queue.h"
#include "api/tei/tei.h"
#include "base/log.h"
#include "cli/progress.h"
#include "cli/serve/failed_model.h"
#include "cli/serve/server_setup.h"
#include "cli/serve/shutdown.h"
#include "http/server.h"
#include "serving/manager/model_manager.h"
#include "serving/manager/start_up_models.h"
#include "serving/manager/url_pattern.h"
#include "serving/repository.h"

namespace dray::cli {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitCutOff = 3;
// As of a process that was killed, which is what DJLServing's fail_fast looks like.
constexpr int kExitModelFailed = 137;
// How long /ping shows that a model of the start has failed, if it is answered before the models are loaded.
constexpr std::chrono::seconds kFailureShown{3};

// The names of the models that serve, separated by commas.
std::string ReadyNames(const serving::ModelRepository& repository) {
  std::string names;
  for (const serving::ModelInfo& info : repository.List()) {
    if (info.state != serving::ModelState::kReady) continue;
    names += names.empty() ? info.name : ", " + info.name;
  }
  return names.empty() ? "no model" : names;
}

void PrintReady(const std::string& names, const std::vector<settings::ListenAddress>& addresses,
                std::ostream& out) {
  fmt::print(out, "serving {} on {}\n", names, ToString(addresses.front()));
  fmt::print(out, "try: {}\n", ExampleCommand(addresses.front()));
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
    // What was read already is loaded first.
    std::optional first = serving::ResolvedFiles{resolved.settings, resolved.files, {}, {}};
    named.resolve = [first = std::move(first),
                     again = resolved.resolve_again]() mutable -> Result<serving::ResolvedFiles> {
      if (!first) return again();
      auto files = std::move(*first);
      first.reset();
      return files;
    };
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
    // A model that was unregistered while it was loaded is no failure.
    if (failure_.ok() && status.code() != StatusCode::kCancelled) failure_ = status;
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
void WaitForStartUp(const StartUp& start_up, ShutdownWait& wait, ResolvedModel& resolved,
                    std::ostream& err) {
  std::optional<DemoModel>& demo = resolved.demo;
  while (true) {
    const auto done = start_up.Done();
    if (done.ok() && *done) break;
    const auto signal = done.ok() ? wait.Wait() : std::nullopt;
    if (!done.ok()) {
      if (!resolved.settings.server.wait_model_loading) std::this_thread::sleep_for(kFailureShown);
      ExitWithError(done.status(), demo, err);
    }
    if (!signal) continue;
    LogInfo(fmt::format("signal {} while models were being loaded", *signal));
    demo.reset();
    std::_Exit(0);
  }
  // The demo model's files have been read. Ranks in processes that are started again read them again.
  if (resolved.settings.model.rank_transport == engine::RankTransport::kThreads) demo.reset();
}

// Waits for a signal to end, whose number it returns. Ends the process at once if a model has failed.
int WaitForSignal(ShutdownWait& wait, const FailedModel& failed) {
  std::optional<int> signal;
  while (!signal) {
    if (const auto name = failed.name()) {
      LogError(fmt::format("{}: its workers have failed; fail_fast ends the server", *name));
      std::_Exit(kExitModelFailed);
    }
    signal = wait.Wait();
  }
  return *signal;
}

serving::ModelManager::Options MakeManagerOptions(const ResolvedModel& resolved,
                                                  FailedModel& failed) {
  const settings::ServerSettings& settings = resolved.settings.server;
  serving::ModelManager::Options options;
  options.sources = resolved.sources;
  options.drain_timeout = std::chrono::seconds(settings.drain_timeout_s);
  if (!settings.unpack_dir.empty()) options.unpack_dir = settings.unpack_dir;
  options.reload_interval = std::chrono::seconds(settings.model_reload_interval_s);
  if (settings.fail_fast) {
    options.on_model_failed = [&failed](const std::string& name) { failed.Set(name); };
  }
  return options;
}

api::DjlOptions MakeDjlOptions(const settings::ServerSettings& settings) {
  api::DjlOptions options{.allow_multi_status = settings.allow_multi_status,
                          .wait_model_loading = settings.wait_model_loading,
                          .max_kept_answers = std::nullopt,
                          .fail_unhealthy = settings.fail_unhealthy,
                          .hide_failed_workers = settings.health_check_override,
                          .errors = settings.errors};
  if (settings.max_kept_answers >= 0) {
    options.max_kept_answers = static_cast<size_t>(settings.max_kept_answers);
  }
  return options;
}

struct Routers {
  http::Router inference;
  http::Router management;
  std::shared_ptr<api::MetricsPages> metrics;
};

Result<Routers> MakeRouters(const settings::ServerSettings& settings,
                            serving::ModelRepository& repository, serving::ModelManager& manager,
                            api::TaskQueue& tasks) {
  Routers routers;
  api::LoadMissing load_missing;
  if (!settings.model_url_pattern.empty()) {
    DRAY_ASSIGN_OR_RETURN(auto pattern, serving::UrlPattern::Compile(settings.model_url_pattern));
    load_missing = api::MakeLoadMissing(manager, std::move(pattern));
  }
  auto invoke = api::RegisterDjlRoutes(routers.inference, repository, tasks,
                                       MakeDjlOptions(settings), std::move(load_missing));
  api::RegisterRuntimeRoutes(routers.inference, repository, std::move(invoke));
  api::RegisterAdapterRoutes(routers.management, repository);
  api::RegisterEmbeddingsRoute(routers.inference, repository, tasks);
  api::RegisterTeiRoutes(routers.inference, repository, tasks);
  api::RegisterManagementRoutes(routers.management, manager, repository);
  api::RegisterLogging(routers.management);
  routers.metrics = std::make_shared<api::MetricsPages>(repository);
  if (settings.metrics_page) {
    routers.metrics->Register(routers.management);
  } else {
    api::RegisterNoMetrics(routers.management);
  }
  return routers;
}

Result<int> Serve(const ModelArguments& arguments, std::ostream& out, std::ostream& err) {
  DRAY_ASSIGN_OR_RETURN(ResolvedModel resolved, ResolveServer(arguments));
  const settings::ServerSettings& settings = resolved.settings.server;
  SetLogFormat(settings.log_format);
  DRAY_ASSIGN_OR_RETURN(ShutdownWait wait, ShutdownWait::Make());
  FailedModel failed(wait);  // before the models, which may tell it of a failure until they end
  serving::ModelRepository repository;
  // Before the manager, whose operations may still add tasks when everything ends.
  api::TaskQueue tasks(static_cast<int>(settings.http_threads));
  serving::ModelManager manager(MakeManagerOptions(resolved, failed), repository);
  DRAY_ASSIGN_OR_RETURN(Routers routers, MakeRouters(settings, repository, manager, tasks));
  DRAY_ASSIGN_OR_RETURN(http::ServerOptions options, MakeServerOptions(settings));
  DRAY_ASSIGN_OR_RETURN(auto endpoints, MakeEndpoints(settings, std::move(routers.inference),
                                                      std::move(routers.management)));
  StartUp start_up(manager, wait);
  if (const Status begun = start_up.Begin(resolved); !begun.ok()) {
    ExitWithError(begun, resolved.demo, err);
  }
  auto started = http::Server::Start(std::move(options), std::move(endpoints));
  if (!started.ok()) ExitWithError(started.status(), resolved.demo, err);
  const std::unique_ptr<http::Server> server = std::move(started).value();
  routers.metrics->SetServer(*server);
  const std::vector<settings::ListenAddress> addresses = BoundAddresses(settings, *server);
  for (const settings::ListenAddress& address : addresses) {
    LogInfo(fmt::format("listening on {}; /ping answers 503 until the models are loaded",
                        ToString(address)));
  }
  WaitForStartUp(start_up, wait, resolved, err);
  PrintReady(ReadyNames(repository), addresses, out);

  const int signal = WaitForSignal(wait, failed);
  RestoreShutdownSignals();
  LogInfo(fmt::format("signal {}: no new requests; finishing {} in flight, at most {} s", signal,
                      server->stats().requests_in_flight, settings.drain_timeout_s));
  EndInTime(settings.drain_timeout_s);
  const int exit_code = Drain(*server, repository, settings.drain_timeout_s);
  tasks.Stop();
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
