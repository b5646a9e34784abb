// How many tokens a second an encoder computes, for numbers of texts and lengths, beside the arithmetic that
// this takes. A folder with config.json is enough: without weights they are random.
//
//   build/release/bench/encoder_bench --model FOLDER --format f32
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/flags/flags.h"
#include "engine/runner/cache_size.h"
#include "engine/runner/loaded_model.h"
#include "model/forward/encoder.h"

namespace dray {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string model;
  std::string format = "f32";
  int threads = 0;
  std::vector<int64_t> batches = {1, 8, 32};
  std::vector<int64_t> lengths = {16, 128, 512};
  double seconds = 1;  // of each cell, at least
};

Result<kernels::WeightForm> FormatOf(const std::string& name) {
  using kernels::WeightFormat;
  for (const auto format : {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16,
                            WeightFormat::kI8, WeightFormat::kI4}) {
    if (name == Name(format)) return kernels::WeightForm(format);
  }
  return Status(StatusCode::kInvalidArgument, "--format must be f32, f16, bf16, int8 or int4");
}

// Multiplications and additions of a pass: twice the weights of the layers for each token, and the
// products of attention.
double Operations(const model::StackConfig& stack, int64_t texts, int64_t length) {
  const auto width = static_cast<double>(stack.query_width());
  const double weights = static_cast<double>(stack.hidden * stack.qkv_width()) +
                         static_cast<double>(stack.query_width() * stack.hidden) +
                         2.0 * static_cast<double>(stack.hidden * stack.ffn);
  const auto tokens = static_cast<double>(texts * length);
  return static_cast<double>(stack.num_layers) *
         (2 * tokens * weights + 4 * tokens * static_cast<double>(length) * width);
}

// Texts of equal length. A pass of more than `max_tokens` is several, as in the engine.
class Passes {
 public:
  Passes(engine::LoadedModel& model, int64_t max_tokens, int64_t max_texts)
      : backend_(*model.ranks.front().backend), max_tokens_(max_tokens) {
    const engine::RankModel& rank = model.ranks.front();
    encoder_ = model::Encoder::Make({.config = model.description.config,
                                     .stack = rank.stack,
                                     .weights = rank.weights,
                                     .backend = backend_},
                                    {.max_batch_tokens = max_tokens,
                                     .max_texts = max_texts,
                                     .kv_dtype = engine::KvDTypeBeside(model.table_format.format)})
                   .value();
    vocab_ = model.description.config.vocab_size;
    states_.resize(static_cast<size_t>(max_tokens * model.description.config.stack.hidden));
    hidden_ = static_cast<size_t>(model.description.config.stack.hidden);
  }

  Status Run(int64_t texts, int64_t length) {
    while (texts > 0) {
      const int64_t count = std::min(texts, std::max<int64_t>(1, max_tokens_ / length));
      DRAY_RETURN_IF_ERROR(RunOne(count, length));
      texts -= count;
    }
    return OkStatus();
  }

 private:
  Status RunOne(int64_t texts, int64_t length) {
    batch_.Clear();
    for (int64_t i = 0; i < texts * length; ++i) {
      batch_.ids.push_back(static_cast<int32_t>(5 + i * 37 % (vocab_ - 5)));
      batch_.types.push_back(0);
    }
    batch_.lengths.assign(static_cast<size_t>(texts), static_cast<int32_t>(length));
    kernels::StepTurn turn(backend_, texts * length);
    DRAY_RETURN_IF_ERROR(encoder_->Forward(batch_));
    DRAY_RETURN_IF_ERROR(encoder_->States(std::span(states_).first(batch_.ids.size() * hidden_)));
    return turn.Finish();
  }

  kernels::Backend& backend_;
  const int64_t max_tokens_;
  int64_t vocab_ = 0;
  size_t hidden_ = 0;
  std::unique_ptr<model::Encoder> encoder_;
  model::EncoderBatch batch_;
  std::vector<float> states_;
};

// The median of the seconds of a call.
Result<double> MedianSeconds(Passes& passes, int64_t texts, int64_t length, double at_least) {
  DRAY_RETURN_IF_ERROR(passes.Run(texts, length));
  std::vector<double> times;
  double total = 0;
  while (total < at_least || times.size() < 3) {
    const auto start = Clock::now();
    DRAY_RETURN_IF_ERROR(passes.Run(texts, length));
    times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    total += times.back();
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2),
                   times.end());
  return times[times.size() / 2];
}

Status Run(const Options& options) {
  DRAY_ASSIGN_OR_RETURN(const kernels::WeightForm format, FormatOf(options.format));
  const bool has_weights =
      std::filesystem::exists(std::filesystem::path(options.model) / "model.safetensors");
  DRAY_ASSIGN_OR_RETURN(
      const auto model,
      engine::LoadModel({.model_dir = options.model,
                         .format = format,
                         .backend_options = {.cpu = {.num_threads = options.threads}},
                         .load_format = has_weights ? engine::LoadFormat::kCheckpoint
                                                    : engine::LoadFormat::kDummy}));
  Passes passes(*model, 1024, 128);
  fmt::print("{} as {} on {}\n", options.model, options.format, model->DescribeBackends());
  fmt::print("{:>6} {:>7} {:>10} {:>12} {:>10}\n", "texts", "tokens", "ms", "tokens/s", "GFLOP/s");
  for (const int64_t texts : options.batches) {
    for (const int64_t length : options.lengths) {
      DRAY_ASSIGN_OR_RETURN(const double seconds,
                            MedianSeconds(passes, texts, length, options.seconds));
      fmt::print("{:>6} {:>7} {:>10.2f} {:>12.0f} {:>10.1f}\n", texts, length, seconds * 1e3,
                 static_cast<double>(texts * length) / seconds,
                 Operations(model->description.config.stack, texts, length) / seconds / 1e9);
    }
  }
  return OkStatus();
}

}  // namespace
}  // namespace dray

int main(int argc, char** argv) {
  dray::Options options;
  const auto exit_code = dray::cli::ParseFlags(
      "Tokens a second of an encoder",
      {{.names = "--model",
        .target = &options.model,
        .help = "A folder with config.json; without weights they are random",
        .is_required = true},
       {.names = "--format", .target = &options.format, .help = "f32, f16, bf16, int8 or int4"},
       {.names = "--threads", .target = &options.threads, .help = "Threads; 0: all processors"},
       {.names = "--batches",
        .target = dray::cli::CommaList{&options.batches},
        .help = "Numbers of texts"},
       {.names = "--lengths",
        .target = dray::cli::CommaList{&options.lengths},
        .help = "Tokens of each text"},
       {.names = "--seconds", .target = &options.seconds, .help = "Of each cell, at least"}},
      argc, argv);
  if (exit_code) return *exit_code;
  const dray::Status status = dray::Run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "{}\n", status.message());
  return 1;
}
