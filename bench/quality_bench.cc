// How much quality does a number format cost? Prints the bits per byte of held-out text for each
// format of weights and of the key/value cache, as models/demo/README.md defines them.
//
//   quality_bench [MODEL_DIR] [--text FILE] [--stories N] [--calibration FILE] [--kv bf16,...]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "engine/engine_core.h"
#include "settings/quantization_settings.h"
#include "tokenizer/tokenizer.h"

namespace dray::bench {
namespace {

struct Options {
  std::string model_dir = "models/demo";
  std::string text = "models/demo/heldout.txt";
  std::string calibration;
  std::vector<std::string> kv = {"bf16", "f32", "f16", "i8"};
  size_t stories = 1000;
};

struct Story {
  std::vector<int32_t> ids;
  size_t bytes = 0;
};

// The format of the weights, as --dtype or --quantize and related flags give it.
struct Weights {
  std::string_view dtype;
  std::string_view quantize = "none";
  int64_t group = 0;
  double alpha = 0;  // for smoothquant
};

constexpr Weights kWeights[] = {
    {"bf16"},
    {"fp32"},
    {"fp16"},
    {"auto", "int8_weight_only"},
    {"auto", "dynamic_int8"},
    {"auto", "dynamic_int8", 64},
    {"auto", "smoothquant", 0, 0.3},
    {"auto", "smoothquant", 0, 0.5},
    {"auto", "smoothquant", 0, 0.7},
    {"auto", "int4"},
    {"auto", "int4", 32},
    {"auto", "int4", 128},
    {"auto", "int4_asym"},
    {"auto", "int4_asym", 32},
    {"bf16", "int4"},
};

// Adds up the log-probabilities of a prompt's tokens.
class Scorer : public engine::EventSink {
 public:
  void OnEvent(engine::Event event) override {
    if (const auto* prompt = std::get_if<engine::PromptEvent>(&event)) {
      for (const float logprob : prompt->logprobs) nats -= static_cast<double>(logprob);
    }
  }
  double nats = 0;
};

std::vector<std::string_view> SplitAtBlankLines(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = text.find("\n\n");
    std::string_view part = text.substr(0, end);
    while (part.ends_with('\n')) part.remove_suffix(1);
    if (!part.empty()) parts.push_back(part);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
  }
  return parts;
}

Result<std::vector<Story>> ReadStories(const Options& options) {
  DRAY_ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::Tokenizer::Load(options.model_dir));
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(options.text, uint64_t{1} << 30));
  std::vector<Story> stories;
  for (const std::string_view part : SplitAtBlankLines(text)) {
    if (stories.size() == options.stories) break;
    Story story;
    DRAY_ASSIGN_OR_RETURN(story.ids, tokenizer->Encode(part, {}));
    if (tokenizer->eos_id()) story.ids.push_back(*tokenizer->eos_id());
    story.bytes = part.size();
    stories.push_back(std::move(story));
  }
  return stories;
}

std::string Label(const Weights& weights) {
  if (weights.quantize == "none") return std::string(weights.dtype);
  std::string label(weights.quantize);
  if (weights.group > 0) label += fmt::format(" {}", weights.group);
  if (weights.alpha > 0) label += fmt::format(" {}", weights.alpha);
  return weights.dtype == "auto" ? label : fmt::format("{}, rest {}", label, weights.dtype);
}

Result<engine::LoadModelOptions> LoadOptions(const Options& options, const Weights& weights) {
  settings::WeightDType dtype;
  DRAY_RETURN_IF_ERROR(settings::SetWeightDType(dtype, weights.dtype));
  settings::QuantizationSettings quantization;
  DRAY_RETURN_IF_ERROR(settings::SetQuantize(quantization, weights.quantize));
  quantization.group_size = weights.group;
  quantization.smoothquant_alpha = weights.alpha;
  if (weights.alpha > 0) quantization.calibration_file = options.calibration;
  DRAY_ASSIGN_OR_RETURN(auto load, settings::MakeQuantization(dtype, quantization));
  load.model_dir = options.model_dir;
  return load;
}

Result<double> BitsPerByte(const Options& options, const Weights& weights, DType kv,
                           const std::vector<Story>& stories) {
  DRAY_ASSIGN_OR_RETURN(const auto load, LoadOptions(options, weights));
  DRAY_ASSIGN_OR_RETURN(auto model, engine::LoadModel(load));
  DRAY_ASSIGN_OR_RETURN(auto core,
                        engine::EngineCore::Make(*model, {.max_sequences = 8, .kv_dtype = kv}));
  double nats = 0;
  size_t bytes = 0;
  uint64_t id = 0;
  for (const Story& story : stories) {
    engine::GenerateRequest request;
    request.prompt = story.ids;
    request.params.max_new_tokens = 1;
    request.params.prompt_logprobs = 0;
    DRAY_RETURN_IF_ERROR(core->Validate(request));
    const auto scorer = std::make_shared<Scorer>();
    core->Add(RequestId(++id), std::move(request), scorer);
    while (core->Step()) {
    }
    nats += scorer->nats;
    bytes += story.bytes;
  }
  return nats / std::log(2.0) / static_cast<double>(bytes);
}

int Run(const Options& options) {
  const auto stories = ReadStories(options);
  if (!stories.ok()) {
    fmt::print(stderr, "{}\n", stories.status().ToString());
    return 1;
  }
  // The bits per byte of the first variant, with bf16 weights, keys and values. The others are
  // compared with it.
  double first = 0;
  fmt::print("{:<24} keys and values  bits per byte\n", "weights");
  for (const Weights& weights : kWeights) {
    if (weights.quantize == "smoothquant" && options.calibration.empty()) continue;
    for (const std::string& kv : options.kv) {
      const auto bits = BitsPerByte(options, weights, *ParseDType(kv), *stories);
      if (!bits.ok()) {
        fmt::print(stderr, "{}\n", bits.status().ToString());
        return 1;
      }
      if (first == 0) first = *bits;
      fmt::print("{:<24} {:<16} {:.5f} {:+.3f} %\n", Label(weights), kv, *bits,
                 100 * (*bits / first - 1));
      std::fflush(stdout);
    }
  }
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) {
  CLI::App app("Bits per byte of held-out text in each number format");
  dray::bench::Options options;
  app.add_option("model", options.model_dir, "Model directory");
  app.add_option("--text", options.text, "Text, split at blank lines");
  app.add_option("--calibration", options.calibration, "For smoothquant: of dray calibrate");
  app.add_option("--kv", options.kv, "Formats of keys and values: bf16, f32, f16, i8")
      ->delimiter(',')
      ->check(CLI::IsMember({"bf16", "f32", "f16", "i8"}));
  app.add_option("--stories", options.stories, "At most so many parts of it");
  CLI11_PARSE(app, argc, argv);
  return dray::bench::Run(options);
}
