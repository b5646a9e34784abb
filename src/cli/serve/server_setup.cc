#include "cli/serve/server_setup.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "api/djl/djl.h"
#include "api/sagemaker/runtime_errors.h"
#include "api/task_queue.h"
#include "base/checked_math.h"
#include "base/file.h"
#include "base/log.h"
#include "base/parse/json.h"
#include "http/auth/api_keys.h"
#include "http/grammar.h"
#include "http/transport/tls_context.h"

namespace dray::cli {
namespace {

using settings::ListenAddress;

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

// Null if no key is asked for.
Result<std::shared_ptr<const http::ApiKeys>> ReadKeys(const settings::KeySettings& settings) {
  std::vector<std::string> keys;
  if (!settings.key.empty()) keys.push_back(settings.key);
  if (!settings.file.empty()) {
    constexpr size_t kMaxFileBytes = size_t{1} << 20;
    DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(settings.file, kMaxFileBytes));
    std::string_view rest = text;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      if (line.ends_with('\r')) line.remove_suffix(1);
      line = http::Trim(line);
      if (!line.empty()) keys.emplace_back(line);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (keys.empty()) {
      return Status(StatusCode::kInvalidArgument,
                    fmt::format("{} holds no key; write one in each line", settings.file));
    }
  }
  if (keys.empty()) return std::shared_ptr<const http::ApiKeys>();
  return std::make_shared<const http::ApiKeys>(keys);
}

http::Headers DefaultHeaders(const settings::CorsSettings& cors) {
  http::Headers headers = api::DjlDefaultHeaders();
  const auto add = [&headers](const char* name, const std::string& value) {
    if (!value.empty()) headers.Add(name, value);
  };
  add("Access-Control-Allow-Origin", cors.allowed_origin);
  add("Access-Control-Allow-Methods", cors.allowed_methods);
  add("Access-Control-Allow-Headers", cors.allowed_headers);
  return headers;
}

Result<http::Endpoint> MakeEndpoint(const ListenAddress& address,
                                    const settings::TlsSettings& files, http::Router router) {
  http::Endpoint endpoint;
  endpoint.host = address.host;
  endpoint.port = address.port;
  endpoint.unix_path = address.path;
  endpoint.router = std::move(router);
  if (address.scheme == ListenAddress::Scheme::kHttps) {
    DRAY_ASSIGN_OR_RETURN(endpoint.tls,
                          http::TlsContext::Load({.certificate_file = files.certificate_file,
                                                  .private_key_file = files.private_key_file,
                                                  .keystore = files.keystore,
                                                  .password = files.keystore_pass}));
  }
  return endpoint;
}

// Where management is, if that is not the inference address.
std::optional<ListenAddress> OwnManagementAddress(const settings::ServerSettings& settings) {
  if (settings.management_address == settings.inference_address) return std::nullopt;
  return settings.management_address;
}

void LogAccess(const http::AccessRecord& record) {
  const http::RequestTrace& request = record.request;
  Json fields = Json::MakeObject({{"client", record.client},
                                  {"method", request.method},
                                  {"target", request.target},
                                  {"status", request.status},
                                  {"seconds", record.time.count()},
                                  {"request_id", request.id}});
  if (request.model_seconds) fields.Set("model_seconds", *request.model_seconds);
  if (request.context) {
    fields.Set("trace_id", request.context->trace_id);
    fields.Set("span_id", request.context->span_id);
  }
  LogInfo(AccessLine(record), fields);
}

}  // namespace

Result<http::ServerOptions> MakeServerOptions(const settings::ServerSettings& settings) {
  http::ServerOptions options;
  options.num_threads = static_cast<int>(settings.http_threads);
  options.max_connections = static_cast<int>(settings.max_connections);
  options.limits.max_body_bytes = static_cast<uint64_t>(settings.max_request_bytes);
  options.max_total_body_bytes = BodyBudgetBytes(settings);
  options.small_only_body_bytes = options.max_total_body_bytes / kSmallOnlyShare;
  options.min_body_bytes_per_second = static_cast<uint64_t>(settings.min_body_bytes_per_second);
  options.timeouts.body = std::chrono::seconds(settings.body_timeout_s);
  options.request_id_header = settings.request_id_header;
  options.default_headers = DefaultHeaders(settings.cors);
  DRAY_ASSIGN_OR_RETURN(options.required_keys.ordinary, ReadKeys(settings.inference_keys));
  DRAY_ASSIGN_OR_RETURN(options.required_keys.management, ReadKeys(settings.management_keys));
  // Only the server's own user can open a Unix socket.
  const ListenAddress management =
      OwnManagementAddress(settings).value_or(settings.inference_address);
  if (options.required_keys.ordinary != nullptr && options.required_keys.management == nullptr &&
      management.scheme != ListenAddress::Scheme::kUnix) {
    LogWarning(
        "requests for inference need a key, but management and metrics need none; set "
        "management_api_key or management_api_key_file, or everybody may register models");
  }
  if (settings.access_log) options.on_answered = LogAccess;
  options.make_error = [](int status, const std::string& message, const http::Request* request) {
    return request != nullptr && api::IsRuntimePath(request->path)
               ? api::MakeRuntimeServerError(status, message)
               : api::MakeDjlServerError(status, message);
  };
  return options;
}

Result<std::vector<http::Endpoint>> MakeEndpoints(const settings::ServerSettings& settings,
                                                  http::Router inference, http::Router management) {
  std::vector<http::Endpoint> endpoints;
  const auto own = OwnManagementAddress(settings);
  std::optional<http::Router> separate;
  if (own) {
    separate = std::move(management);
  } else {
    inference.AddAll(std::move(management));
  }
  DRAY_ASSIGN_OR_RETURN(endpoints.emplace_back(), MakeEndpoint(settings.inference_address,
                                                               settings.tls, std::move(inference)));
  if (separate) {
    DRAY_ASSIGN_OR_RETURN(endpoints.emplace_back(),
                          MakeEndpoint(*own, settings.tls, *std::move(separate)));
  }
  return endpoints;
}

std::vector<ListenAddress> BoundAddresses(const settings::ServerSettings& settings,
                                          const http::Server& server) {
  std::vector<ListenAddress> addresses = {settings.inference_address};
  if (const auto own = OwnManagementAddress(settings)) addresses.push_back(*own);
  for (size_t i = 0; i < addresses.size(); ++i) addresses[i].port = server.port(i);
  return addresses;
}

std::string ExampleCommand(ListenAddress address) {
  if (address.host == "0.0.0.0" || address.host == "::") address.host = "127.0.0.1";
  const bool is_unix = address.scheme == ListenAddress::Scheme::kUnix;
  const std::string options = is_unix ? fmt::format(" --unix-socket {}", address.path) : "";
  return fmt::format(
      "curl -s{} {}/invocations -H 'Content-Type: application/json' "
      "-d '{{\"inputs\": \"Once upon a time\", \"parameters\": {{\"max_new_tokens\": 40}}}}'",
      options, is_unix ? "http://localhost" : ToString(address));
}

}  // namespace dray::cli
