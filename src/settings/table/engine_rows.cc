// The settings of a model's files, numbers, ranks, cache and speculation.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "settings/memory_settings.h"
#include "settings/rank_settings.h"
#include "settings/setting_values.h"
#include "settings/table/rows.h"

namespace dray::settings {
namespace {

using S = Settings;
using Scope = Setting::Scope;
using Text = std::string_view;

// Formats of files need not be named, because the files show theirs.
Status SetLoadFormat(engine::LoadFormat& out, Text text) {
  constexpr std::array<Text, 6> kFormats = {"auto", "dummy", "safetensors", "pt", "gguf", "hf"};
  if (std::find(kFormats.begin(), kFormats.end(), text) == kFormats.end()) {
    return MustBe("it must be auto or dummy");
  }
  out = text == "dummy" ? engine::LoadFormat::kDummy : engine::LoadFormat::kCheckpoint;
  return OkStatus();
}

Status SetTask(Task& out, Text text) {
  const auto task = ParseTask(text);
  if (!task) return MustBe(fmt::format("it must be one of {}", kTasks));
  out = *task;
  return OkStatus();
}

constexpr Setting kRows[] = {
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
    {"option.task", "task", "TASK", "auto",
     "What the model is for: auto (what its architecture is for), text-generation, "
     "text2text-generation (of an encoder-decoder), text-embedding, feature-extraction (the state "
     "of "
     "each token) or text-classification.",
     Scope::kModel, "", "", [](S& s, Text v) { return SetTask(s.model.task, v); }},
    {"option.load_format", "load-format", "FORMAT", "auto",
     "Where weights come from: auto (the checkpoint's files), or dummy (random numbers; only "
     "the configuration is read, to time a size without its checkpoint).",
     Scope::kModel, "", "", [](S& s, Text v) { return SetLoadFormat(s.model.load_format, v); }},
    {"option.forbid_pickle", "forbid-pickle", "BOOL", "false",
     "Refuse checkpoints in torch's pickle format; only safetensors are read.", Scope::kModel, "",
     "", [](S& s, Text v) { return SetBool(s.model.forbid_pickle, v); }},
    {"option.verify_artifact", "verify-artifact", "BOOL", "true",
     "Read all bytes of an artifact and compare their checksums before the model is ready.",
     Scope::kModel, "", "", [](S& s, Text v) { return SetBool(s.model.verify_artifact, v); }},
    {"option.save_mp_checkpoint_path", "save-mp-checkpoint-path", "FOLDER", "",
     "Where an artifact of the model is written before it is loaded, and is served from then on.",
     Scope::kModel, "", "", [](S& s, Text v) { return SetText(s.model.save_artifact, v); }},
    {"option.artifact_memory", "artifact-memory", "WHERE", "auto",
     "Where the weights of an artifact are: map (the system's pages of the file, which processes "
     "share), copy (huge pages, which are faster), or auto: copy where the file is in small pages "
     "and memory allows.",
     Scope::kModel, "", "",
     [](S& s, Text v) { return SetArtifactMemory(s.model.artifact_memory, v); }},
    {"option.max_memory", "max-memory", "BYTES", "0",
     "Memory for weights, also as {\"cpu\": \"8GiB\"}; the rest of an artifact is read from the "
     "disk "
     "while the model computes. 0: what is free.",
     Scope::kModel, "", "", [](S& s, Text v) { return SetMaxMemory(s.model.max_memory_bytes, v); }},
    {"option.offload_dir", "offload-dir", "FOLDER", "",
     "Where an artifact of a model is written that does not fit into memory, and run from.",
     Scope::kModel, "option.offload_folder", "",
     [](S& s, Text v) { return SetText(s.model.offload_dir, v); }},
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
    {"option.hostfile", "hostfile", "FILE", "Open MPI's own",
     "With ranks over MPI: the machines of the ranks, as in a file for mpirun's --hostfile. This "
     "machine comes first. Without it the ranks are on this machine.",
     Scope::kModel, "", "", [](S& s, Text v) { return SetText(s.model.hostfile, v); }},
    {"option.oversubscribe", "oversubscribe", "BOOL", "false",
     "Let ranks share processors if they are more than there are processors.", Scope::kModel, "",
     "", [](S& s, Text v) { return SetBool(s.model.oversubscribe, v); }},
    {"option.max_model_len", "max-model-len", "TOKENS", "0",
     "Prompt and new tokens of one sequence; 0: what the model allows.", Scope::kModel,
     "option.n_positions option.max_tokens option.max_seq_len", "",
     [](S& s, Text v) { return SetCount(s.model.max_model_len, v, 0, 1 << 30); }},
    {"option.max_rolling_batch_size", "max-rolling-batch-size", "N", "32",
     "Sequences that are computed together; by default 256 with option.rolling_batch=vllm, trtllm "
     "or lmi-dist.",
     Scope::kModel, "option.max_num_seqs", "MAX_BATCH_SIZE",
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
};

}  // namespace

std::span<const Setting> EngineRows() { return kRows; }

}  // namespace dray::settings
