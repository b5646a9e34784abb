// The settings of the whole server.
#include "settings/setting_values.h"
#include "settings/table/rows.h"

namespace dray::settings {
namespace {

using S = Settings;
using Scope = Setting::Scope;
using Text = std::string_view;

constexpr int64_t kMaxKeptAnswers = 1'000'000;

Status SetPort(S& settings, Text text) {
  int64_t port = 0;
  DRAY_RETURN_IF_ERROR(SetCount(port, text, 0, 65535));
  settings.server.inference_address.port = static_cast<uint16_t>(port);
  return OkStatus();
}

Status SetLogFormatOf(LogFormat& out, Text text) {
  if (text != "text" && text != "json") return MustBe("it must be text or json");
  out = text == "json" ? LogFormat::kJson : LogFormat::kText;
  return OkStatus();
}

Status SetKeystoreType(S&, Text text) {
  if (text == "PKCS12" || text == "pkcs12") return OkStatus();
  return MustBe(
      "it must be PKCS12; convert a keystore with keytool -importkeystore -deststoretype pkcs12");
}

Status SetHttpThreads(S& settings, Text text) {
  DRAY_RETURN_IF_ERROR(SetCount(settings.server.http_threads, text, 0, 64));
  // 0 asks for the default, as in DJLServing.
  if (settings.server.http_threads == 0)
    settings.server.http_threads = ServerSettings().http_threads;
  return OkStatus();
}

constexpr Setting kRows[] = {
    {"inference_address", "inference-address", "URL", "http://127.0.0.1:8080",
     "Where to listen: http://HOST:PORT, https://HOST:PORT or unix:/PATH.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetListenAddress(s.server.inference_address, v); }},
    {"host", "host", "HOST", "127.0.0.1", "The address to listen on; 0.0.0.0 for every interface.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetText(s.server.inference_address.host, v); }},
    {"port", "port", "PORT", "8080", "The port to listen on; 0 for any free one.", Scope::kServer,
     "", "SAGEMAKER_BIND_TO_PORT", SetPort},
    {"management_address", "management-address", "URL", "the inference address",
     "Where to listen for management and metrics, if that is not to be the inference address.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetListenAddress(s.server.management_address.emplace(), v); }},
    {"certificate_file", "certificate-file", "FILE", "",
     "For https: the server's certificate and those of the authorities above it, in PEM form.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetText(s.server.tls.certificate_file, v); }},
    {"private_key_file", "private-key-file", "FILE", "",
     "For https: the private key of certificate_file, in PEM form.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetText(s.server.tls.private_key_file, v); }},
    {"keystore", "keystore", "FILE", "",
     "For https: certificate and key in one PKCS12 file. Without any of these files the server "
     "signs its certificate itself.",
     Scope::kServer, "", "", [](S& s, Text v) { return SetText(s.server.tls.keystore, v); }},
    {"keystore_pass", "", "PASSWORD", "changeit",
     "The password of the keystore, or of an encrypted private_key_file.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetText(s.server.tls.keystore_pass, v); }},
    {"keystore_type", "", "TYPE", "PKCS12", "The keystore's format: PKCS12.", Scope::kServer, "",
     "", SetKeystoreType},
    {"api_key", "", "KEY", "",
     "A key that every request for inference must show, as Authorization: Bearer KEY or x-api-key: "
     "KEY.",
     Scope::kServer, "", "", [](S& s, Text v) { return SetText(s.server.inference_keys.key, v); }},
    {"api_key_file", "api-key-file", "FILE", "",
     "A file with such keys, one in each line; each of them is accepted.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetText(s.server.inference_keys.file, v); }},
    {"management_api_key", "", "KEY", "",
     "A key that every request for management or metrics must show.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetText(s.server.management_keys.key, v); }},
    {"management_api_key_file", "management-api-key-file", "FILE", "",
     "A file with such keys, one in each line.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetText(s.server.management_keys.file, v); }},
    {"cors_allowed_origin", "cors-allowed-origin", "ORIGIN", "",
     "Sent with every answer as Access-Control-Allow-Origin, so that pages of that origin may read "
     "it.",
     Scope::kServer, "", "", [](S& s, Text v) { return SetText(s.server.cors.allowed_origin, v); }},
    {"cors_allowed_methods", "cors-allowed-methods", "LIST", "",
     "Sent with every answer as Access-Control-Allow-Methods.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetText(s.server.cors.allowed_methods, v); }},
    {"cors_allowed_headers", "cors-allowed-headers", "LIST", "",
     "Sent with every answer as Access-Control-Allow-Headers.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetText(s.server.cors.allowed_headers, v); }},
    {"prometheus", "prometheus", "BOOL", "true",
     "Answer /metrics and /server/metrics, in the text format of Prometheus.", Scope::kServer, "",
     "", [](S& s, Text v) { return SetBool(s.server.metrics_page, v); }},
    {"access_log", "access-log", "BOOL", "false",
     "Log a line for each request: client, request line, status and milliseconds.", Scope::kServer,
     "", "", [](S& s, Text v) { return SetBool(s.server.access_log, v); }},
    {"log_format", "log-format", "FORMAT", "text",
     "How the log is written: text, or json with one object in each line.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetLogFormatOf(s.server.log_format, v); }},
    {"number_of_netty_threads", "http-threads", "N", "0",
     "Threads that read requests and write answers; 0: two, or one where only one processor may be "
     "used.",
     Scope::kServer, "", "", SetHttpThreads},
    {"max_connections", "max-connections", "N", "1024",
     "Connections at a time; further ones are refused with 503.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetCount(s.server.max_connections, v, 1, 1 << 20); }},
    {"max_request_size", "max-request-size", "BYTES", "64MiB",
     "The largest body of a request; larger ones are refused with 413.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetBytes(s.server.max_request_bytes, v, 1); }},
    {"max_request_memory", "max-request-memory", "BYTES", "512MiB",
     "Memory of all requests together until their texts are no longer needed; further ones are "
     "refused with 503. One request of max_request_size always has room.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetBytes(s.server.request_memory_bytes, v, 1); }},
    {"request_body_timeout", "request-body-timeout", "SECONDS", "300",
     "How long a request's body may take from its first byte to its last; then it is refused "
     "with 408.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetCount(s.server.body_timeout_s, v, 1, kMaxSeconds); }},
    {"min_request_body_rate", "min-request-body-rate", "BYTES", "8KiB",
     "Bytes a second that a request's body must have come with, from its tenth second on; a "
     "slower one is refused with 408. 0: any rate.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetBytes(s.server.min_body_bytes_per_second, v, 0); }},
    {"allow_multi_status", "allow-multi-status", "BOOL", "false",
     "Answer /ping with 207 while a model is being loaded.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetBool(s.server.allow_multi_status, v); }},
    {"wait_model_loading", "wait-model-loading", "BOOL", "true",
     "Answer /ping with 503 until the models of the start are loaded.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetBool(s.server.wait_model_loading, v); }},
    {"bad_request_http_code", "bad-request-http-code", "STATUS", "400",
     "The status of requests that a model cannot read, or does not answer in time.", Scope::kServer,
     "", "", [](S& s, Text v) { return SetHttpStatus(s.server.errors.bad_request_status, v); }},
    {"throttle_error_http_code", "throttle-error-http-code", "STATUS", "503",
     "The status of requests that a model refuses because its queue is full.", Scope::kServer, "",
     "", [](S& s, Text v) { return SetHttpStatus(s.server.errors.throttle_status, v); }},
    {"wlm_error_http_code", "wlm-error-http-code", "STATUS", "503",
     "The status of requests for a model that is not ready, has no workers, or is ending.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetHttpStatus(s.server.errors.wlm_status, v); }},
    {"server_error_http_code", "server-error-http-code", "STATUS", "500",
     "The status of requests whose model fails.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetHttpStatus(s.server.errors.server_status, v); }},
    {"error_rate_wlm", "error-rate-wlm", "N/DURATION", "",
     "How many requests may end with throttle_error_http_code or wlm_error_http_code in the time "
     "of an ISO 8601 duration, such as 10/PT5M (without it, in a minute); after more, /ping "
     "answers 503 until the server is started again.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetErrorRate(s.server.errors.wlm_rate, v); }},
    {"error_rate_server", "error-rate-server", "N/DURATION", "",
     "The same of requests that end with 500 or above, or with 424, for other reasons.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetErrorRate(s.server.errors.server_rate, v); }},
    {"error_rate_any", "error-rate-any", "N/DURATION", "", "The same of both kinds together.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetErrorRate(s.server.errors.any_rate, v); }},
    {"fail_unhealthy", "fail-unhealthy", "BOOL", "false",
     "Answer /ping with 500 while a model has fewer workers than minWorkers.", Scope::kServer, "",
     "SAGEMAKER_HEALTH_CHECK_OVERRIDE",
     [](S& s, Text v) { return SetBool(s.server.fail_unhealthy, v); }},
    {"health_check_override", "health-check-override", "BOOL", "false",
     "Let /ping not answer 500 for a model of which more workers have failed than retry_threshold "
     "allows.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetBool(s.server.health_check_override, v); }},
    {"fail_fast", "fail-fast", "BOOL", "false",
     "End the process at once, with exit code 137, when more workers of a model have failed than "
     "retry_threshold allows.",
     Scope::kServer, "", "", [](S& s, Text v) { return SetBool(s.server.fail_fast, v); }},
    {"model_store", "model-store", "FOLDER", "",
     "A folder of models: folders, .gguf files and archives (.zip, .mar, .tar, .tar.gz, .tgz, "
     ".tar.z); or a model itself.",
     Scope::kServer, "", "", [](S& s, Text v) { return SetText(s.server.model_store, v); }},
    {"load_models", "load-models", "LIST", "ALL",
     "Models to load at the start: ALL of the store, NONE, or a list of URLs, separated by commas "
     "or spaces, each of which may be written name:version:engine:devices=URL, also in brackets.",
     Scope::kServer, "", "", [](S& s, Text v) { return SetText(s.server.load_models, v); }},
    {"model_url_pattern", "model-url-pattern", "REGEX", "",
     "Requests for a model that is not there may name its files by model_url, if all of it matches "
     "this; without it none may.",
     Scope::kServer, "", "", [](S& s, Text v) { return SetText(s.server.model_url_pattern, v); }},
    {"model_reload_interval", "model-reload-interval", "SECONDS", "0",
     "How often the files of models are looked at; a model whose files have changed is loaded anew "
     "beside the old one, which ends what it has begun. 0: never.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetCount(s.server.model_reload_interval_s, v, 0, kMaxSeconds); }},
    {"download_dir", "download-dir", "FOLDER", "dray-models-UID in the folder for temporary files",
     "Where the archives of models are unpacked. No other user may be able to write there.",
     Scope::kServer, "", "", [](S& s, Text v) { return SetText(s.server.unpack_dir, v); }},
    {"memory_cache_capacity", "memory-cache-capacity", "N", "1000",
     "Answers that are kept to be fetched later (x-synchronous: false); further such requests are "
     "refused with 503. -1: as many as their memory allows.",
     Scope::kServer, "", "",
     [](S& s, Text v) { return SetCount(s.server.max_kept_answers, v, -1, kMaxKeptAnswers); }},
    {"request_id_header_key", "request-id-header", "NAME", "x-request-id",
     "The request header whose value is taken as the request's id. Without an argument on "
     "SageMaker: "
     "X-Amzn-SageMaker-Inference-Id.",
     Scope::kServer, "", "", [](S& s, Text v) { return SetText(s.server.request_id_header, v); }},
    {"drain_timeout", "drain-timeout", "SECONDS", "25",
     "How long a server that was told to end goes on with what it has begun.", Scope::kServer, "",
     "", [](S& s, Text v) { return SetCount(s.server.drain_timeout_s, v, 0, kMaxSeconds); }},
};

}  // namespace

std::span<const Setting> ServerRows() { return kRows; }

}  // namespace dray::settings
