// The settings of a model's workers, requests and answers.
#include <fmt/format.h>

#include <optional>

#include "settings/setting_values.h"
#include "settings/table/rows.h"

namespace dray::settings {
namespace {

using S = Settings;
using Scope = Setting::Scope;
using Text = std::string_view;

constexpr int64_t kMaxMegabytes = 1 << 30;
// Of one model; each has a thread of its own at least.
constexpr int64_t kMaxWorkers = 64;

Status SetFormatter(OutputFormat& out, Text text) {
  const auto format = ParseOutputFormat(text);
  if (!format) return MustBe(fmt::format("it must be one of {}", kOutputFormats));
  out = *format;
  return OkStatus();
}

Status SetAnswerShape(std::optional<AnswerShape>& out, Text text) {
  out = ParseAnswerShape(text);
  if (out) return OkStatus();
  return MustBe("it must be one of pipeline, list, pieces, text, tokens, async");
}

// What --enable-streaming takes: true, false, and an old third value.
Status SetStreaming(bool& out, Text text) {
  if (text == "huggingface") {
    out = true;
    return OkStatus();
  }
  return SetBool(out, text);
}

constexpr Setting kRows[] = {
    {"job_queue_size", "job-queue-size", "N", "1000",
     "Requests that may wait; further ones are refused with 503.", Scope::kModel, "",
     "MAX_CONCURRENT_REQUESTS",
     [](S& s, Text v) { return SetCount(s.model.job_queue_size, v, 0, 1 << 24); }},
    {"minWorkers", "min-workers", "N", "1",
     "Workers that a model has at least, each with a cache and a share of the processors of its "
     "own.",
     Scope::kModel, "min_workers", "",
     [](S& s, Text v) { return SetCount(s.model.workers.min_workers, v, 1, kMaxWorkers); }},
    {"maxWorkers", "max-workers", "N", "as minWorkers",
     "Workers that a model has at most; those beyond minWorkers come while the queue is long.",
     Scope::kModel, "max_workers", "",
     [](S& s, Text v) { return SetCount(s.model.workers.max_workers, v, 1, kMaxWorkers); }},
    {"cpu.minWorkers", "cpu-min-workers", "N", "as minWorkers",
     "minWorkers where processors compute, as they always do.", Scope::kModel, "", "",
     [](S& s, Text v) { return SetCount(s.model.workers.cpu_min_workers, v, 1, kMaxWorkers); }},
    {"cpu.maxWorkers", "cpu-max-workers", "N", "as maxWorkers",
     "maxWorkers where processors compute, as they always do.", Scope::kModel, "", "",
     [](S& s, Text v) { return SetCount(s.model.workers.cpu_max_workers, v, 1, kMaxWorkers); }},
    {"max_idle_time", "max-idle-time", "SECONDS", "60",
     "How long a worker beyond minWorkers may have nothing to do before it ends.", Scope::kModel,
     "", "", [](S& s, Text v) { return SetCount(s.model.max_idle_time_s, v, 0, kMaxSeconds); }},
    {"retry_threshold", "retry-threshold", "N", "0",
     "How many workers of a model may fail, and be replaced, before the model counts as failed.",
     Scope::kModel, "", "",
     [](S& s, Text v) { return SetCount(s.model.retry_threshold, v, 0, 1 << 20); }},
    {"option.max_restarts_per_hour", "max-restarts-per-hour", "N", "100",
     "How often within an hour a worker starts a group of ranks again that has lost one, before "
     "the "
     "worker counts as failed.",
     Scope::kModel, "", "",
     [](S& s, Text v) { return SetCount(s.model.max_restarts_per_hour, v, 0, 1 << 20); }},
    {"option.model_loading_timeout", "model-loading-timeout", "SECONDS", "0",
     "How long reading a model's weights may take before it counts as failed; 0: no limit.",
     Scope::kModel, "", "",
     [](S& s, Text v) { return SetCount(s.model.model_loading_timeout_s, v, 0, kMaxSeconds); }},
    {"batch_size", "batch-size", "N", "1",
     "More than 1: a worker takes so many requests together, and the next ones when all of them "
     "are "
     "answered; 1: each joins as soon as there is room, up to max_rolling_batch_size.",
     Scope::kModel, "max_dynamic_batch_size", "",
     [](S& s, Text v) { return SetCount(s.model.batch_size, v, 1, 65536); }},
    {"max_batch_delay", "max-batch-delay", "MS", "100",
     "How long the first request of a batch waits for the others, in milliseconds.", Scope::kModel,
     "", "", [](S& s, Text v) { return SetCount(s.model.max_batch_delay_ms, v, 0, kMaxSeconds); }},
    {"required_memory_mb", "required-memory-mb", "MB", "0",
     "Memory in MiB that must be free before a model is loaded; else it is refused with 507.",
     Scope::kModel, "cpu.required_memory_mb", "",
     [](S& s, Text v) { return SetCount(s.model.required_memory_mb, v, 0, kMaxMegabytes); }},
    {"reserved_memory_mb", "reserved-memory-mb", "MB", "500",
     "Memory in MiB that a model and its cache leave free.", Scope::kModel,
     "cpu.reserved_memory_mb", "",
     [](S& s, Text v) { return SetCount(s.model.reserved_memory_mb, v, 0, kMaxMegabytes); }},
    {"option.predict_timeout", "predict-timeout", "SECONDS", "120",
     "How long a request may wait for its first token.", Scope::kModel, "",
     "PREDICT_TIMEOUT SAGEMAKER_MODEL_SERVER_TIMEOUT",
     [](S& s, Text v) { return SetCount(s.model.predict_timeout_s, v, 1, kMaxSeconds); }},
    {"chunked_read_timeout", "chunked-read-timeout", "SECONDS", "120",
     "How long a request may wait between two tokens.", Scope::kServer, "", "",
     [](S& s, Text v) { return SetCount(s.model.chunked_read_timeout_s, v, 1, kMaxSeconds); }},
    {"option.echo_interval", "echo-interval", "MS", "0",
     "With engine=Echo, which answers each request with its own text: the time between two tokens.",
     Scope::kModel, "", "",
     [](S& s, Text v) { return SetCount(s.model.echo_interval_ms, v, 0, kMaxSeconds * 1000); }},
    {"option.output_formatter", "output-formatter", "FORMAT", "by the request's \"stream\"",
     "How answers are written, whatever the request asks for: json, jsonlines, sse, 3p, 3p_stream, "
     "none.",
     Scope::kModel, "", "", [](S& s, Text v) { return SetFormatter(s.model.output_formatter, v); }},
    {"option.answer_shape", "answer-shape", "SHAPE", "by engine and entry point",
     "Which generation of DJLServing's requests and answers the model speaks: pipeline (up to "
     "0.21), "
     "list (0.22, 0.23), pieces (0.23, rolling batch), text (0.24 to 0.26), tokens (since 0.27), "
     "async (since 0.33).",
     Scope::kModel, "", "", [](S& s, Text v) { return SetAnswerShape(s.model.answer_shape, v); }},
    {"option.tgi_compat", "tgi-compat", "BOOL", "false",
     "Answer as Text Generation Inference does: its names, and a list around each answer.",
     Scope::kModel, "", "", [](S& s, Text v) { return SetBool(s.model.tgi_compat, v); }},
    {"option.enable_stateful_sessions", "enable-stateful-sessions", "BOOL", "true",
     "Answer requests for SageMaker's stateful sessions.", Scope::kModel, "", "",
     [](S& s, Text v) { return SetBool(s.model.stateful_sessions, v); }},
    {"option.sessions_expiration", "sessions-expiration", "SECONDS", "1200",
     "How long such a session lasts.", Scope::kModel, "", "",
     [](S& s, Text v) { return SetCount(s.model.sessions_expiration_s, v, 1, kMaxSeconds); }},
    {"option.enable_streaming", "enable-streaming", "BOOL", "false",
     "Stream answers to requests that do not say whether they want it.", Scope::kModel, "", "",
     [](S& s, Text v) { return SetStreaming(s.model.enable_streaming, v); }},
};

}  // namespace

std::span<const Setting> ServingRows() { return kRows; }

}  // namespace dray::settings
