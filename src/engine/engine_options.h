// What an operator can set about an engine, with the defaults that fit a laptop.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/make_backend.h"
#include "kernels/weight_matrix.h"
#include "tensor/dtype.h"

namespace dray::model {
struct Weight;       // model/weights/weights.h
struct WeightPlace;  // model/weights/weights.h
}  // namespace dray::model

namespace dray::engine {

enum class SpeculationMethod { kNone, kPromptLookup, kDraftModel };

// Speculation (speculation/drafter.h) changes how fast tokens come, but never the tokens.
struct SpeculationOptions {
  SpeculationMethod method = SpeculationMethod::kNone;
  // The most guesses of one sequence in one step; 0: as many as pay off.
  int64_t max_drafts = 0;
  // Prompt lookup: how many tokens at the text's end must at least have occurred before, and how
  // many are compared at most.
  int64_t lookup_min = 1;
  int64_t lookup_max = 4;
  // kMeasured learns from the clock what a row costs. Tests that need the same numbers of guesses
  // in every run use kFixed.
  enum class Costs { kMeasured, kFixed } costs = Costs::kMeasured;
};

struct EngineOptions {
  // Tokens of a step. 512 keeps the arithmetic units busy while a step stays short enough for
  // decodes beside it.
  int64_t max_batch_tokens = 512;
  // The most tokens of one prompt in a step.
  int64_t max_prefill_chunk_tokens = 512;
  // Sequences that are computed together.
  int64_t max_sequences = 64;
  // Prompt and new tokens of one sequence; 0: what the model allows.
  int64_t max_context_tokens = 0;
  // Memory for keys and values; 0: enough for max_sequences of max_context_tokens, but at most a
  // quarter of the memory that is free once the weights are loaded.
  int64_t kv_cache_bytes = 0;
  // What counts as free for that quarter; absent: what the device's allocator calls free. A process
  // with several models knows better, since a cache takes its memory only as it is used.
  std::optional<int64_t> free_memory_bytes = std::nullopt;
  // Tokens in a block of the cache; a multiple of 16. 32 keys of one head dimension are
  // two AVX-512 registers.
  int32_t block_size = 32;
  // How keys and values are stored (f32, f16, bf16, i8); absent: f32 beside f32 weights, else the
  // weights' 16-bit format.
  std::optional<DType> kv_dtype = std::nullopt;
  SpeculationOptions speculation = {};
  // How a pipeline's steps are divided (scheduler/pipeline_costs.h): by costs that are measured when the
  // engine is made, or with a micro-batch for each stage, as in tests that need the same steps in every run.
  enum class PipelineCosts { kMeasured, kFixed } pipeline_costs = PipelineCosts::kMeasured;
  // How often within an hour a failed runner is replaced, where it can be
  // (recovery/runner_keeper.h). 100 is more often than any healthy group of ranks fails, and seldom
  // enough to end a group that keeps failing.
  int64_t max_restarts_per_hour = 100;
};

// Where weights come from: the checkpoint, or a generator of random numbers (only config.json is
// read), so that a size can be timed without its checkpoint.
enum class LoadFormat { kCheckpoint, kDummy };

// Weights in integers, and activations by steps that were measured beforehand.
struct SmoothingOptions {
  std::filesystem::path calibration_file;  // of model/weights/calibration.h
  double alpha = 0.5;                      // from 0 to 1: model/weights/balance/
};

// What computes the ranks of a model: [rank].
using Backends = std::vector<std::shared_ptr<kernels::Backend>>;

// Where the ranks of a model compute (docs/ranks.md): on threads of this process; in processes that
// this one starts on the same machine; or in the processes of an MPI job, which this one starts by
// mpirun unless it is rank 0 of one itself.
enum class RankTransport { kThreads, kProcesses, kMpi };

// Which of `count` equal shares of the processors. The workers of a model have a share each.
struct ProcessorShare {
  int64_t index = 0;
  int64_t count = 1;
};

struct RankOptions {
  RankTransport transport = RankTransport::kThreads;
  // Of ranks in other processes: how long a rank may be silent, or keep another rank waiting, before
  // it is lost.
  std::chrono::milliseconds timeout{60'000};
  // Of a job that this process starts by mpirun: Open MPI's file of machines ("node1 slots=2", a line
  // for each). Empty: as Open MPI itself is configured, which is this machine alone by default.
  std::filesystem::path hostfile = {};
  // The program whose command `rank` is a rank; empty: this process's own.
  std::filesystem::path program = {};
  // Of ranks in other processes: what they have together of the processors of each machine. Ranks that are
  // threads have those of their backends.
  ProcessorShare share = {};
};

// Where the weights of an artifact that fits into memory are: in the mapping of its file, which all processes share,
// or in a copy in huge pages, through which computing is faster.
enum class ArtifactMemory { kAuto, kMap, kCopy };

// How a model runs whose weights do not fit into memory (runner/artifact/offload.h).
struct OffloadFacts {
  int64_t limit_bytes = 0;     // what weights may take
  int64_t memory_bytes = 0;    // what they take
  int64_t streamed_bytes = 0;  // what each step reads from the disk
};

struct LoadModelOptions {
  std::filesystem::path model_dir = {};
  // How weights are stored and computed; absent: as the checkpoint holds them.
  std::optional<kernels::WeightForm> format = std::nullopt;
  // The same for what lies outside of the layers: token and position tables, the
  // head; absent: `format`.
  std::optional<kernels::WeightForm> table_format = std::nullopt;
  std::optional<SmoothingOptions> smoothing = std::nullopt;
  // Whether keys and values will be kept in 8 bits: then the channels that make them are balanced
  // (model/weights/balance/), as those of weights in integers always are.
  bool int8_cache = false;
  // "gptq" or "awq": the checkpoint must be quantised so. Its integers are kept, and `format` is
  // for its floats.
  std::string quantized_by = {};
  // How many ranks divide every layer (docs/ranks.md). kMaxDegree: as many as suit the machine, at
  // most the model's query heads.
  static constexpr int64_t kMaxDegree = 0;
  int64_t tensor_parallel_degree = 1;
  // How many stages divide the layers, each with as many ranks. kMaxDegree: one. In an MPI job that a
  // user has started, degrees of 1 or kMaxDegree, both, stand for a rank for each process: those of a
  // machine are a stage; kMaxDegree beside another degree stands for what makes a rank of each process.
  int64_t pipeline_parallel_degree = 1;
  RankOptions ranks = {};
  // The only rank that is loaded, counted stage by stage, in a process that is one rank of the model.
  // Absent: all of them.
  std::optional<int64_t> only_rank = std::nullopt;
  // The backends of the ranks, as MakeBackends makes them. If a model has fewer query heads, it uses
  // the first ones. Empty: `tensor_parallel_degree` backends are made from `backend_options`.
  Backends backends = {};
  kernels::BackendOptions backend_options = {};
  bool forbid_pickle = false;
  LoadFormat load_format = LoadFormat::kCheckpoint;
  // Whether all bytes of an artifact are read and compared with their checksums before the model is
  // ready.
  bool verify_artifact = true;
  ArtifactMemory artifact_memory = ArtifactMemory::kAuto;
  // The memory that weights may take. Those of a larger artifact are read from its file while the model computes
  // (runner/artifact/offload.h), those of a larger checkpoint are refused. 0: no limit.
  int64_t max_memory_bytes = 0;
  // Takes each weight in place of the model, which then has none (model/weights/loader.h). Only for
  // one rank on a thread of this process.
  std::function<Status(const model::WeightPlace& place, const model::Weight& weight)> take =
      nullptr;
  // Called while weights are read, with the bytes done and their total.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress = nullptr;
  // Ends loading with kCancelled.
  std::stop_token stop = {};
};

}  // namespace dray::engine
