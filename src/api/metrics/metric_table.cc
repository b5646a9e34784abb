#include "api/metrics/metric_table.h"

#include <algorithm>

namespace dray::api {
namespace {

using serving::RequestOutcome;
using enum MetricKind;

constexpr double kMicrosecondsPerSecond = 1e6;

// The value of a field of what a function of the table gets.
#define DRAY_HTTP(field) \
  ServerValue([](const ServerSample& s) { return static_cast<double>(s.http.field); })
#define DRAY_ENGINE(field) \
  ModelValue([](const ModelSample& m) { return static_cast<double>(m.engine.field); })
#define DRAY_HISTOGRAM(field) \
  ModelHistogram([](const ModelSample& m) { return ScaledHistogram{m.requests->field.Take()}; })
#define DRAY_MICROSECONDS(field)                                              \
  ModelHistogram([](const ModelSample& m) {                                   \
    return ScaledHistogram{m.requests->field.Take(), kMicrosecondsPerSecond}; \
  })

#define DRAY_LOAD(field, factor) \
  ModelValue([](const ModelSample& m) { return m.load.field * (factor); })

double Ended(const ModelSample& m, RequestOutcome outcome) {
  return static_cast<double>(m.requests->ended.at(static_cast<size_t>(outcome)).load());
}

LabelledValues Responses(const ServerSample& s) {
  static constexpr std::string_view kClasses[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
  LabelledValues out{.label = "status", .values = {}};
  for (size_t i = 0; i < s.http.responses.size(); ++i) {
    out.values.emplace_back(kClasses[i], static_cast<double>(s.http.responses[i]));
  }
  return out;
}

LabelledValues RequestsByOutcome(const ModelSample& m) {
  return {.label = "outcome",
          .values = {{"stop", Ended(m, RequestOutcome::kStop)},
                     {"length", Ended(m, RequestOutcome::kLength)},
                     {"cancelled", Ended(m, RequestOutcome::kCancelled)},
                     {"timed_out", Ended(m, RequestOutcome::kTimedOut)},
                     {"failed", Ended(m, RequestOutcome::kFailed)}}};
}

LabelledValues RefusedRequests(const ModelSample& m) {
  return {.label = "reason",
          .values = {{"queue_full", static_cast<double>(m.requests->refused_queue_full.load())},
                     {"other", static_cast<double>(m.requests->refused_other.load())}}};
}

LabelledValues VllmSuccess(const ModelSample& m) {
  return {.label = "finished_reason",
          .values = {{"stop", Ended(m, RequestOutcome::kStop)},
                     {"length", Ended(m, RequestOutcome::kLength)},
                     {"abort",
                      Ended(m, RequestOutcome::kCancelled) + Ended(m, RequestOutcome::kTimedOut)}}};
}

// The share of the cache's blocks that are in use, from 0 to 1.
double CacheUsage(const ModelSample& m) {
  const auto total = static_cast<double>(std::max<int64_t>(1, m.engine.total_blocks));
  return static_cast<double>(m.engine.total_blocks - m.engine.free_blocks) / total;
}

ScaledHistogram StepSequences(const ModelSample& m) {
  const engine::StepSizes& sizes = m.engine.step_sizes;
  return {{.bounds = engine::kStepSizeBounds,
           .counts = {sizes.counts.begin(), sizes.counts.end()},
           .sum = static_cast<double>(sizes.sum)}};
}

constexpr Metric kDrayMetrics[] = {
    {"dray_start_time_seconds", kGauge, "When the server started, in Unix time.",
     ServerValue([](const ServerSample& s) { return s.start_seconds; })},
    {"dray_processors", kGauge, "Processors that the process may use.",
     ServerValue([](const ServerSample& s) { return static_cast<double>(s.processors); })},
    {"process_cpu_seconds_total", kCounter, "Processor time of all threads of the process.",
     ServerValue([](const ServerSample& s) { return s.process.cpu_seconds; })},
    {"process_resident_memory_bytes", kGauge, "Memory of the process that is in RAM.",
     ServerValue(
         [](const ServerSample& s) { return static_cast<double>(s.process.resident_bytes); })},
    {"process_open_fds", kGauge, "Open descriptors of the process: files and connections.",
     ServerValue([](const ServerSample& s) { return static_cast<double>(s.process.open_files); })},
    {"dray_start_up_seconds", kGauge,
     "From the server's start until its first models could serve; 0 before.",
     ServerValue([](const ServerSample& s) { return s.loads.start_up.count(); })},
    {"dray_load_failures_total", kCounter, "Models that could not be loaded.",
     ServerValue([](const ServerSample& s) { return static_cast<double>(s.loads.failures); })},
    {"dray_load_seconds", kGauge, "To read the model's weights and to start its workers.",
     DRAY_LOAD(load, 1)},
    {"dray_http_connections", kGauge, "Open connections.", DRAY_HTTP(connections)},
    {"dray_http_requests_in_flight", kGauge, "HTTP requests whose answer is not whole yet.",
     DRAY_HTTP(requests_in_flight)},
    {"dray_http_responses_total", kCounter, "Answers, by the first digit of their status.",
     ServerValues(Responses)},
    {"dray_http_cancelled_requests_total", kCounter,
     "HTTP requests whose client left before the answer was whole.", DRAY_HTTP(cancelled)},
    {"dray_requests_total", kCounter,
     "Requests that have ended: at a stop, at their length, cancelled, timed out or failed.",
     ModelValues(RequestsByOutcome)},
    {"dray_refused_requests_total", kCounter,
     "Requests that were not accepted: the queue was full, or something is wrong with them.",
     ModelValues(RefusedRequests)},
    {"dray_running_sequences", kGauge, "Sequences that are being computed.",
     DRAY_ENGINE(running_sequences)},
    {"dray_waiting_sequences", kGauge, "Sequences that wait to be computed.",
     DRAY_ENGINE(waiting_sequences)},
    {"dray_cache_blocks", kGauge, "Blocks of the key/value cache.", DRAY_ENGINE(total_blocks)},
    {"dray_cache_used_blocks", kGauge, "Blocks of the key/value cache that are in use.",
     ModelValue([](const ModelSample& m) {
       return static_cast<double>(m.engine.total_blocks - m.engine.free_blocks);
     })},
    {"dray_preemptions_total", kCounter,
     "Sequences that lost their cache blocks and were computed anew.", DRAY_ENGINE(preemptions)},
    {"dray_restarts_total", kCounter, "Groups of ranks that were started again after a failure.",
     DRAY_ENGINE(restarts)},
    {"dray_restart_seconds_total", kCounter,
     "Seconds from failures of groups of ranks to their new starts.", DRAY_ENGINE(restart_seconds)},
    {"dray_restarting_workers", kGauge,
     "Workers that compute nothing until their group of ranks is started again.",
     DRAY_ENGINE(restarting)},
    {"dray_steps_total", kCounter, "Steps of the engine.", DRAY_ENGINE(steps)},
    {"dray_step_sequences", kHistogram, "Sequences that one step computed: the batch size.",
     ModelHistogram(StepSequences)},
    {"dray_prompt_tokens_total", kCounter, "Tokens of prompts.", DRAY_ENGINE(prompt_tokens)},
    {"dray_generated_tokens_total", kCounter, "Tokens that were generated.",
     DRAY_ENGINE(generated_tokens)},
    {"dray_drafted_tokens_total", kCounter, "Tokens that speculation guessed.",
     DRAY_ENGINE(drafted_tokens)},
    {"dray_accepted_tokens_total", kCounter, "Guesses of speculation that were right.",
     DRAY_ENGINE(accepted_tokens)},
    {"dray_queue_time_seconds", kHistogram, "From a request's arrival to its first step.",
     DRAY_HISTOGRAM(queue_time)},
    {"dray_time_to_first_token_seconds", kHistogram, "From a request's arrival to its first token.",
     DRAY_HISTOGRAM(time_to_first_token)},
    {"dray_time_per_token_seconds", kHistogram, "From one token of a sequence to the next.",
     DRAY_HISTOGRAM(time_between_tokens)},
    {"dray_prefill_time_seconds", kHistogram, "From a request's first step to its first token.",
     DRAY_HISTOGRAM(prefill_time)},
    {"dray_decode_time_seconds", kHistogram, "From a request's first token to its last.",
     DRAY_HISTOGRAM(decode_time)},
    {"dray_request_time_seconds", kHistogram, "From a request's arrival to its end.",
     DRAY_HISTOGRAM(request_time)},
    {"dray_request_prompt_tokens", kHistogram, "Tokens of one request's prompt.",
     DRAY_HISTOGRAM(prompt_tokens)},
    {"dray_request_generated_tokens", kHistogram, "Tokens that were generated for one request.",
     DRAY_HISTOGRAM(generated_tokens)},
};

constexpr Metric kVllmMetrics[] = {
    {"vllm:num_requests_running", kGauge, "Sequences that are being computed.",
     DRAY_ENGINE(running_sequences)},
    {"vllm:num_requests_waiting", kGauge, "Sequences that wait to be computed.",
     DRAY_ENGINE(waiting_sequences)},
    {"vllm:kv_cache_usage_perc", kGauge, "Share of the key/value cache in use, from 0 to 1.",
     ModelValue(CacheUsage)},
    {"vllm:gpu_cache_usage_perc", kGauge, "The same under its older name.", ModelValue(CacheUsage)},
    {"vllm:num_preemptions_total", kCounter, "Preempted sequences.", DRAY_ENGINE(preemptions)},
    {"vllm:prompt_tokens_total", kCounter, "Tokens of prompts.", DRAY_ENGINE(prompt_tokens)},
    {"vllm:generation_tokens_total", kCounter, "Tokens that were generated.",
     DRAY_ENGINE(generated_tokens)},
    {"vllm:request_success_total", kCounter, "Requests that have ended, by the reason.",
     ModelValues(VllmSuccess)},
    {"vllm:spec_decode_num_draft_tokens_total", kCounter, "Tokens that speculation guessed.",
     DRAY_ENGINE(drafted_tokens)},
    {"vllm:spec_decode_num_accepted_tokens_total", kCounter,
     "Guesses of speculation that were right.", DRAY_ENGINE(accepted_tokens)},
    {"vllm:time_to_first_token_seconds", kHistogram, "From a request's arrival to its first token.",
     DRAY_HISTOGRAM(time_to_first_token)},
    {"vllm:time_per_output_token_seconds", kHistogram, "From one token of a sequence to the next.",
     DRAY_HISTOGRAM(time_between_tokens)},
    {"vllm:inter_token_latency_seconds", kHistogram, "The same under its newer name.",
     DRAY_HISTOGRAM(time_between_tokens)},
    {"vllm:e2e_request_latency_seconds", kHistogram, "From a request's arrival to its end.",
     DRAY_HISTOGRAM(request_time)},
    {"vllm:request_queue_time_seconds", kHistogram, "From a request's arrival to its first step.",
     DRAY_HISTOGRAM(queue_time)},
    {"vllm:request_prefill_time_seconds", kHistogram,
     "From a request's first step to its first token.", DRAY_HISTOGRAM(prefill_time)},
    {"vllm:request_decode_time_seconds", kHistogram, "From a request's first token to its last.",
     DRAY_HISTOGRAM(decode_time)},
    {"vllm:request_prompt_tokens", kHistogram, "Tokens of one request's prompt.",
     DRAY_HISTOGRAM(prompt_tokens)},
    {"vllm:request_generation_tokens", kHistogram, "Tokens that were generated for one request.",
     DRAY_HISTOGRAM(generated_tokens)},
};

constexpr Metric kDjlMetrics[] = {
    {"DJLServingStart_total", kCounter, "Starts of this process: 1.",
     ServerValue([](const ServerSample&) { return 1.0; })},
    {"StartupLatency", kGauge,
     "From the server's start until its first models could serve, in microseconds; 0 before.",
     ServerValue(
         [](const ServerSample& s) { return s.loads.start_up.count() * kMicrosecondsPerSecond; })},
    {"ModelLoadingError_total", kCounter, "Models that could not be loaded.",
     ServerValue([](const ServerSample& s) { return static_cast<double>(s.loads.failures); })},
    {"DownloadModel", kGauge,
     "To find the model's files and to unpack an archive, in microseconds.",
     DRAY_LOAD(find, kMicrosecondsPerSecond)},
    {"LoadModel", kGauge, "To read the model's weights and to start its workers, in microseconds.",
     DRAY_LOAD(load, kMicrosecondsPerSecond)},
    {"RegisterWorkflow", kGauge,
     "From the model's registration until it could serve, in microseconds.",
     DRAY_LOAD(total, kMicrosecondsPerSecond)},
    {"Response_2XX_total", kCounter, "Answers with a status from 200 to 299.",
     ServerValue([](const ServerSample& s) { return static_cast<double>(s.http.responses[1]); })},
    {"Response_4XX_total", kCounter, "Answers with a status from 400 to 499.",
     ServerValue([](const ServerSample& s) { return static_cast<double>(s.http.responses[3]); })},
    {"Response_5XX_total", kCounter, "Answers with a status from 500 to 599.",
     ServerValue([](const ServerSample& s) { return static_cast<double>(s.http.responses[4]); })},
    {"WlmError_total", kCounter, "Requests that were refused because a queue was full.",
     ServerValue([](const ServerSample& s) { return static_cast<double>(s.refused_queue_full); })},
    {"ServerError_total", kCounter, "Answers that are a bug's fault.",
     DRAY_HTTP(handler_exceptions)},
    {"RollingBatchSize", kGauge, "Sequences that are being computed.",
     DRAY_ENGINE(running_sequences)},
    {"DynamicBatchSize", kHistogram, "Sequences that one step computed.",
     ModelHistogram(StepSequences)},
    {"RollingBatchTimeout_total", kCounter,
     "Requests that had no token for longer than they may wait.",
     ModelValue([](const ModelSample& m) { return Ended(m, RequestOutcome::kTimedOut); })},
    {"QueueTime", kHistogram, "From a request's arrival to its first step, in microseconds.",
     DRAY_MICROSECONDS(queue_time)},
    {"RequestLatency", kHistogram, "From a request's arrival to its end, in microseconds.",
     DRAY_MICROSECONDS(request_time)},
    {"TokenLatency", kHistogram, "From one token of a sequence to the next, in microseconds.",
     DRAY_MICROSECONDS(time_between_tokens)},
    {"TokenThroughput", kHistogram,
     "Tokens for each second of a request, from its first step to its last token.",
     DRAY_HISTOGRAM(tokens_per_second)},
    {"OutputTokens", kHistogram, "Tokens that were generated for one request.",
     DRAY_HISTOGRAM(generated_tokens)},
};

#undef DRAY_HTTP
#undef DRAY_ENGINE
#undef DRAY_HISTOGRAM
#undef DRAY_MICROSECONDS
#undef DRAY_LOAD

constexpr MetricGroup kGroups[] = {{MetricDialect::kDray, kDrayMetrics},
                                   {MetricDialect::kVllm, kVllmMetrics},
                                   {MetricDialect::kDjl, kDjlMetrics}};

}  // namespace

std::span<const MetricGroup> MetricTable() { return kGroups; }

std::string_view ToString(MetricKind kind) {
  switch (kind) {
    case kCounter:
      return "counter";
    case kGauge:
      return "gauge";
    case kHistogram:
      break;
  }
  return "histogram";
}

}  // namespace dray::api
