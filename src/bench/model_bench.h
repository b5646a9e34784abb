// The benchmarks of a model in this process: micro-runs against the machine's limits, the latency
// grid, and the batch table; of an encoder, texts against the machine's limits. Each loads every variant of the model in turn and returns its
// results, also after an interruption.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/machine_limits.h"
#include "bench/model_run.h"
#include "bench/report/report.h"
#include "engine/encoder/encoder_engine.h"

namespace dray::bench {

// One choice of engine options that is measured.
struct Variant {
  std::string label;  // "int8"
  std::function<Result<std::unique_ptr<engine::LoadedModel>>()> load;
  engine::EngineOptions engine;
  engine::EncoderOptions encoder;  // if the model is one
  int num_threads = 0;             // for the machine's limits; 0: all
};

// Which micro-runs.
enum class MicroKind { kPrompt, kDecode, kBatch };

struct ModelBenchOptions {
  std::vector<MicroKind> kinds = {MicroKind::kPrompt, MicroKind::kDecode, MicroKind::kBatch};
  std::vector<Variant> variants;
  std::vector<int64_t> inputs;   // tokens of a prompt
  std::vector<int64_t> outputs;  // new tokens
  std::vector<int64_t> batches;  // sequences at a time
  int64_t prompt = 512;          // micro-runs: the prompt that is timed by itself
  int64_t repeats = 3;
  uint64_t seed = 1;
  int64_t num_beams = 1;  // of each sequence, in the grid and the batch table
  // How many bytes are read to measure the memory's bandwidth.
  int64_t bandwidth_bytes = MachineLimits::kBufferBytes;
  StopCheck stop = nullptr;
};

// Measures only the machine's limits, with this number of threads (0: all) and the best
// instructions.
Report MeasureLimits(int num_threads, int64_t bandwidth_bytes);

// For each input and output: a prompt, decoding of one sequence, and decoding of each batch. The
// machine's limits are measured before and after each run; the better of both counts.
Result<Report> RunMicro(const ModelBenchOptions& options);

// The latency of each input, output and batch, from the request to the last token. Only the longest
// output is run: a shorter output's latency is the time of its last token in that run.
Result<Report> RunGrid(const ModelBenchOptions& options);

// For each input, output and batch: load time, percentiles of the requests' latency, and tokens a
// second.
Result<Report> RunBatchTable(const ModelBenchOptions& options);

// Whether all texts of an encoder's run have one length, or lengths up to it (MixedLengths).
enum class TextLengths { kEqual, kMixed };

// Of encoders, for each number of texts (`batches`) and length (`inputs`): tokens a second beside the
// machine's limits. kUnsupported if a model is no encoder.
Result<Report> RunTexts(const ModelBenchOptions& options, TextLengths kind);

}  // namespace dray::bench
