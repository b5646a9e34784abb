#include "settings/settings_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "settings/rank_settings.h"
#include "settings/setting_values.h"

namespace dray::settings {
namespace {

using S = Settings;
using Scope = Setting::Scope;
using Text = std::string_view;

constexpr int64_t kMaxSeconds = 365 * 24 * 3600;
constexpr int64_t kMaxMegabytes = 1 << 30;
// Of one model; each has a thread of its own at least.
constexpr int64_t kMaxWorkers = 64;
constexpr int64_t kMaxKeptAnswers = 1'000'000;

// Formats of files need not be named, because the files show theirs.
Status SetLoadFormat(engine::LoadFormat& out, Text text) {
  constexpr std::array<Text, 6> kFormats = {"auto", "dummy", "safetensors", "pt", "gguf", "hf"};
  if (std::find(kFormats.begin(), kFormats.end(), text) == kFormats.end()) {
    return MustBe("it must be auto or dummy");
  }
  out = text == "dummy" ? engine::LoadFormat::kDummy : engine::LoadFormat::kCheckpoint;
  return OkStatus();
}

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

// A number of ranks, or "max".
// What --enable-streaming takes: true, false, and an old third value.
Status SetStreaming(bool& out, Text text) {
  if (text == "huggingface") {
    out = true;
    return OkStatus();
  }
  return SetBool(out, text);
}

constexpr Setting kSettings[] = {
    {"option.model_id", "model-id", "FOLDER", "",
     "The folder of the checkpoint: config.json, weights and tokenizer; or a .gguf file.",
     Scope::kModel, "option.model", "HF_MODEL_ID",
     [](S& s, Text v) { return SetText(s.model.model_id, v); }},
    {"model_name", "model-name", "NAME", "the last part of the model's folder",
     "The model's name in /predictions/NAME.", Scope::kModel,
     "option.modelName option.modeName option.served_model_name", "",
     [](S& s, Text v) { return SetText(s.model.model_name, v); }},
    {"option.tokenizer", "tokenizer", "FOLDER", "the model's folder",
     "Where the tokenizer's files are: a folder, or a .gguf file.", Scope::kModel, "", "",
     [](S& s, Text v) { return SetText(s.model.tokenizer, v); }},
    {"option.dtype", "dtype", "TYPE", "auto",
     "How weights are kept and computed: auto (as in the checkpoint), fp32, fp16, bf16, int8, "
     "int4.",
     Scope::kModel, "option.data_type", "",
     [](S& s, Text v) { return SetWeightDType(s.model.dtype, v); }},
    {"option.quantize", "quantize", "METHOD", "none",
     "How weights become integers: dynamic_int8 (also what dtype=int8 means), int8_weight_only, "
     "int4 (also dtype=int4), int4_asym (with zero points), smoothquant; or what the checkpoint "
     "is already: gptq, awq. A dtype beside it names the floats that the token table and the head "
     "stay in.",
     Scope::kModel, "option.quantization", "HF_MODEL_QUANTIZE",
     [](S& s, Text v) { return SetQuantize(s.model.quantization, v); }},
    {"option.quantize_group_size", "quantize-group-size", "N", "0",
     "Input channels that share a scale: 32, 64 or 128, for dynamic_int8, int4 and int4_asym; 0: "
     "all of dynamic_int8, 64 of int4.",
     Scope::kModel, "", "", [](S& s, Text v) { return SetGroupSize(s.model.quantization, v); }},
    {"option.smoothquant_alpha", "smoothquant-alpha", "A", "0.5",
     "With smoothquant: how much of the activations' range goes over to the weights, from 0 to 1.",
     Scope::kModel, "", "",
     [](S& s, Text v) { return SetSmoothquantAlpha(s.model.quantization, v); }},
    {"option.calibration_file", "calibration-file", "FILE",
     "calibration.json in the model's folder",
     "With smoothquant: what dray calibrate wrote of this model; here or in the model's folder.",
     Scope::kModel, "", "",
     [](S& s, Text v) { return SetText(s.model.quantization.calibration_file, v); }},
    {"option.load_format", "load-format", "FORMAT", "auto",
     "Where weights come from: auto (the checkpoint's files), or dummy (random numbers; only "
     "the configuration is read, to time a size without its checkpoint).",
     Scope::kModel, "", "", [](S& s, Text v) { return SetLoadFormat(s.model.load_format, v); }},
    {"option.forbid_pickle", "forbid-pickle", "BOOL", "false",
     "Refuse checkpoints in torch's pickle format; only safetensors are read.", Scope::kModel, "",
     "", [](S& s, Text v) { return SetBool(s.model.forbid_pickle, v); }},
    {"option.threads", "threads", "N", "0",
     "Processor threads that compute; 0: all that this process may use.", Scope::kModel, "", "",
     [](S& s, Text v) { return SetCount(s.model.threads, v, 0, 1024); }},
    {"option.threads_batch", "threads-batch", "N", "0",
     "Processor threads for prompts and steps of 32 tokens or more; 0: as threads.", Scope::kModel,
     "option.threads_prompt", "",
     [](S& s, Text v) { return SetCount(s.model.threads_batch, v, 0, 1024); }},
    {"option.pin_threads", "pin-threads", "BOOL", "true",
     "Keep each thread on its processor if they take all, else on its memory node.", Scope::kModel,
     "", "", [](S& s, Text v) { return SetBool(s.model.pin_threads, v); }},
    {"option.tensor_parallel_degree", "tensor-parallel-degree", "N", "1",
     "How many ranks divide every layer of the model and the threads; max: one for each memory "
     "node.",
     Scope::kModel, "option.tensor_parallel_size", "",
     [](S& s, Text v) { return SetDegree(s.model.tensor_parallel_degree, v); }},
    {"option.pipeline_parallel_degree", "pipeline-parallel-degree", "N", "1",
     "How many stages divide the layers of the model and the threads, each with as many ranks; "
     "max: one.",
     Scope::kModel, "option.pipeline_parallel_size", "",
     [](S& s, Text v) { return SetDegree(s.model.pipeline_parallel_degree, v); }},
    {"option.rank_transport", "rank-transport", "KIND", "threads",
     "Where the ranks compute: threads (of the server's process), processes (one for each rank; "
     "the server outlives them and starts them again), or mpi (processes that mpirun starts). "
     "Under a user's own mpirun it is mpi.",
     Scope::kModel, "", "",
     [](S& s, Text v) { return SetRankTransport(s.model.rank_transport, v); }},
    {"option.rank_timeout", "rank-timeout", "SECONDS", "60",
     "With ranks in processes, or over MPI: how long a rank may give no sign of life, or keep "
     "another rank waiting, before it is lost.",
     Scope::kModel, "", "",
     [](S& s, Text v) { return SetCount(s.model.rank_timeout_s, v, 1, 86400); }},
    {"option.oversubscribe", "oversubscribe", "BOOL", "false",
     "Let ranks share processors if they are more than there are processors.", Scope::kModel, "",
     "", [](S& s, Text v) { return SetBool(s.model.oversubscribe, v); }},
    {"option.max_model_len", "max-model-len", "TOKENS", "0",
     "Prompt and new tokens of one sequence; 0: what the model allows.", Scope::kModel,
     "option.n_positions option.max_tokens option.max_seq_len", "",
     [](S& s, Text v) { return SetCount(s.model.max_model_len, v, 0, 1 << 30); }},
    {"option.max_rolling_batch_size", "max-rolling-batch-size", "N", "32",
     "Sequences that are computed together.", Scope::kModel, "option.max_num_seqs",
     "MAX_BATCH_SIZE",
     [](S& s, Text v) { return SetCount(s.model.max_rolling_batch_size, v, 1, 65536); }},
    {"option.max_rolling_batch_prefill_tokens", "max-rolling-batch-prefill-tokens", "TOKENS", "0",
     "Prompt tokens that one step computes; 0: the engine's own choice.", Scope::kModel,
     "option.max_num_batched_tokens", "MAX_BATCH_PREFILL_TOKENS",
     [](S& s, Text v) {
       return SetCount(s.model.max_rolling_batch_prefill_tokens, v, 0, 1 << 30);
     }},
    {"option.kv_cache_bytes", "kv-cache-bytes", "BYTES", "0",
     "Memory for keys and values, e.g. 4GiB; 0: what the batch can use, within what is free.",
     Scope::kModel, "option.kv_cache_memory_bytes", "",
     [](S& s, Text v) { return SetBytes(s.model.kv_cache_bytes, v, 0); }},
    {"option.kv_cache_dtype", "kv-cache-dtype", "TYPE", "auto",
     "How keys and values are kept: auto (follows dtype), fp32, fp16, bf16, int8.", Scope::kModel,
     "", "", [](S& s, Text v) { return SetCacheDType(s.model.kv_cache_dtype, v); }},
    {"option.block_size", "block-size", "TOKENS", "0",
     "Tokens in one block of the key/value cache; 0: the engine's own choice.", Scope::kModel, "",
     "", [](S& s, Text v) { return SetCount(s.model.block_size, v, 0, 1024); }},
    {"option.speculative_method", "speculative-method", "METHOD", "auto",
     "How tokens are guessed ahead, which changes none of them: ngram (from the text so far), "
     "draft_model, none, auto (draft_model if one is named, else none).",
     Scope::kModel, "", "",
     [](S& s, Text v) { return SetSpeculativeMethod(s.model.speculation, v); }},
    {"option.speculative_draft_model", "speculative-draft-model", "FOLDER", "",
     "The folder of a smaller model with the same vocabulary, which guesses tokens ahead.",
     Scope::kModel, "option.draft_model_id option.speculative_model", "",
     [](S& s, Text v) { return SetDraftModel(s.model.speculation, v); }},
    {"option.speculative_draft_dtype", "speculative-draft-dtype", "TYPE", "auto",
     "How the draft model's weights are kept: as dtype.", Scope::kModel, "", "",
     [](S& s, Text v) { return SetWeightDType(s.model.speculation.draft_dtype, v); }},
    {"option.num_speculative_tokens", "num-speculative-tokens", "N", "0",
     "The most tokens guessed at a time for one sequence, 16 at the utmost; 0: as many as pay.",
     Scope::kModel, "option.speculative_length option.spec_length", "",
     [](S& s, Text v) { return SetCount(s.model.speculation.num_tokens, v, 0, 1024); }},
    {"option.prompt_lookup_max", "prompt-lookup-max", "N", "4",
     "With ngram: how many of the last tokens are looked for in the text before them.",
     Scope::kModel, "option.ngram_prompt_lookup_max", "",
     [](S& s, Text v) { return SetCount(s.model.speculation.lookup_max, v, 1, 1024); }},
    {"option.prompt_lookup_min", "prompt-lookup-min", "N", "1",
     "With ngram: how many of them must be found.", Scope::kModel, "option.ngram_prompt_lookup_min",
     "", [](S& s, Text v) { return SetCount(s.model.speculation.lookup_min, v, 1, 1024); }},
    {"option.speculative_config", "speculative-config", "JSON", "",
     "The same as one JSON object, as vLLM takes it: method, model, num_speculative_tokens, "
     "prompt_lookup_max, prompt_lookup_min.",
     Scope::kModel, "", "",
     [](S& s, Text v) { return SetSpeculativeConfig(s.model.speculation, v); }},
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
     "Threads that read requests and write answers; 0: two.", Scope::kServer, "", "",
     SetHttpThreads},
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
    {"model_store", "model-store", "FOLDER", "",
     "A folder of models: folders, .gguf files and archives (.zip, .mar, .tar, .tar.gz, .tgz, "
     ".tar.z); or a model itself.",
     Scope::kServer, "", "", [](S& s, Text v) { return SetText(s.server.model_store, v); }},
    {"load_models", "load-models", "LIST", "ALL",
     "Models to load at the start: ALL of the store, NONE, or a list of URLs, separated by commas "
     "or spaces, each of which may be written [name:version:engine:devices]=URL.",
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

std::span<const Setting> SettingTable() { return kSettings; }

std::string EnvironmentName(std::string_view property) {
  std::string out;
  if (property.starts_with("option.")) {
    out = "OPTION_";
    property.remove_prefix(7);
  } else {
    out = "SERVING_";
  }
  for (const char c : property) {
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

}  // namespace dray::settings
