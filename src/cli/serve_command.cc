#include "cli/serve_command.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <ostream>
#include <utility>

#include "api/djl/djl.h"
#include "base/log.h"
#include "cli/open_model.h"
#include "cli/shutdown.h"
#include "http/server.h"
#include "serving/repository.h"

namespace dray::cli {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitCutOff = 3;

api::DjlOptions MakeDjlOptions(const serving::Settings& settings) {
  return {.request_id_header = settings.request_id_header,
          .allow_multi_status = settings.allow_multi_status,
          .num_threads = static_cast<int>(settings.http_threads)};
}

http::ServerOptions MakeServerOptions(const serving::Settings& settings) {
  http::ServerOptions options;
  options.host = settings.host;
  options.port = settings.port;
  options.num_threads = static_cast<int>(settings.http_threads);
  options.max_connections = static_cast<int>(settings.max_connections);
  options.limits.max_body_bytes = static_cast<uint64_t>(settings.max_request_bytes);
  options.make_error = [djl = MakeDjlOptions(settings)](int status, const std::string& message,
                                                        const http::Request* request) {
    return api::MakeDjlServerError(djl, status, message, request);
  };
  return options;
}

void PrintReady(const serving::Settings& settings, uint16_t port, std::ostream& out) {
  const std::string host =
      settings.host.find(':') == std::string::npos ? settings.host : "[" + settings.host + "]";
  const std::string reachable =
      settings.host == "0.0.0.0" || settings.host == "::" ? "127.0.0.1" : host;
  fmt::print(out, "serving {} on http://{}:{}\n", settings.model_name, host, port);
  fmt::print(
      out,
      "try: curl -s http://{}:{}/invocations -H 'Content-Type: application/json' "
      "-d '{{\"inputs\": \"Once upon a time\", \"parameters\": {{\"max_new_tokens\": 40}}}}'\n",
      reachable, port);
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

Result<int> Serve(const ModelArguments& arguments, std::ostream& out) {
  DRAY_ASSIGN_OR_RETURN(const ResolvedModel resolved, ResolveModel(arguments));
  const serving::Settings& settings = resolved.settings;
  serving::ModelRepository repository;
  DRAY_RETURN_IF_ERROR(repository.AddPending(settings.model_name, ""));
  DRAY_ASSIGN_OR_RETURN(auto model, OpenModel(resolved));
  repository.SetReady(model);
  http::Router router;
  api::RegisterDjlRoutes(router, repository, MakeDjlOptions(settings));
  DRAY_ASSIGN_OR_RETURN(const auto server,
                        http::Server::Start(MakeServerOptions(settings), std::move(router)));
  PrintReady(settings, server->port(), out);

  const int signal = WaitForShutdownSignal();
  RestoreShutdownSignals();
  LogInfo(fmt::format("signal {}: no new requests; finishing {} in flight, at most {} s", signal,
                      server->stats().requests_in_flight, settings.drain_timeout_s));
  repository.BeginDrain();
  const bool drained = server->Drain(std::chrono::seconds(settings.drain_timeout_s));
  if (!drained)
    LogWarning(fmt::format("{} requests were cut off", server->stats().requests_in_flight));
  server->Stop();
  LogStats(model->stats());
  return drained ? 0 : kExitCutOff;
}

}  // namespace

int RunServe(const ModelArguments& arguments, std::ostream& out, std::ostream& err) {
  const Result<int> result = Serve(arguments, out);
  if (result.ok()) return *result;
  fmt::print(err, "dray serve: {}\n", result.status().message());
  return kExitFailed;
}

}  // namespace dray::cli
