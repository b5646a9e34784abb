// How much quality does a number format cost? Prints, as a table in Markdown, the bits per byte of
// held-out text for each format of weights and of the key/value cache. With --outliers there is a
// column for each kind of model with outlier channels (tests/outliers/outliers.h): in floats these
// models are the first one, and formats cost more on them.
//
//   quality_bench [MODEL_DIR] [--text FILE] [--stories N] [--calibration-text FILE] [--kv bf16,...]
//                 [--methods int4,...] [--outliers norms,...] [--factor F] [--channels N] [--seed N]
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "cli/flags/flags.h"
#include "held_out_bits.h"
#include "measured_models.h"
#include "outliers/outliers.h"
#include "settings/quantization_settings.h"

namespace dray::bench {
namespace {

// Of the text that calibrates: some ten thousand tokens.
constexpr size_t kCalibrationStories = 40;

struct Options {
  std::string model_dir = "models/demo";
  std::string text = "models/demo/heldout.txt";
  std::string calibration_text;  // for smoothquant; empty: it is left out
  std::vector<std::string> kv = {"bf16", "f32", "f16", "i8"};
  std::vector<std::string> methods;  // empty: all
  uint64_t stories = 1000;
  std::vector<std::string> kinds;  // of outliers
  testing::Outliers outliers;
};

// The format of the weights, as --dtype or --quantize and related flags give it.
struct Weights {
  std::string_view dtype;
  std::string_view quantize = "none";
  int64_t group = 0;
  double alpha = 0;  // for smoothquant

  std::string_view method() const { return quantize == "none" ? dtype : quantize; }
};

constexpr Weights kWeights[] = {
    {"bf16"},
    {"fp32"},
    {"fp16"},
    {"auto", "int8_weight_only"},
    {"auto", "dynamic_int8"},
    {"auto", "dynamic_int8", 128},
    {"auto", "dynamic_int8", 64},
    {"auto", "dynamic_int8", 32},
    {"auto", "smoothquant", 0, 0.3},
    {"auto", "smoothquant", 0, 0.5},
    {"auto", "smoothquant", 0, 0.7},
    {"auto", "int4"},
    {"auto", "int4", 32},
    {"auto", "int4", 128},
    {"auto", "int4_asym"},
    {"auto", "int4_asym", 32},
    {"auto", "int4_asym", 128},
    {"bf16", "int4"},
};

std::string Label(const Weights& weights) {
  if (weights.quantize == "none") return std::string(weights.dtype);
  std::string label(weights.quantize);
  if (weights.group > 0) label += fmt::format(" {}", weights.group);
  if (weights.alpha > 0) label += fmt::format(" {}", weights.alpha);
  return weights.dtype == "auto" ? label : fmt::format("{}, rest {}", label, weights.dtype);
}

bool IsWanted(const Weights& weights, const Options& options) {
  if (weights.quantize == "smoothquant" && options.calibration_text.empty()) return false;
  const auto& methods = options.methods;
  return methods.empty() ||
         std::find(methods.begin(), methods.end(), weights.method()) != methods.end();
}

Result<engine::LoadModelOptions> LoadOptions(const Weights& weights, const MeasuredModel& model) {
  settings::WeightDType dtype;
  DRAY_RETURN_IF_ERROR(settings::SetWeightDType(dtype, weights.dtype));
  settings::QuantizationSettings quantization;
  DRAY_RETURN_IF_ERROR(settings::SetQuantize(quantization, weights.quantize));
  quantization.group_size = weights.group;
  quantization.smoothquant_alpha = weights.alpha;
  if (weights.alpha > 0) quantization.calibration_file = model.calibration;
  DRAY_ASSIGN_OR_RETURN(auto load, settings::MakeQuantization(dtype, quantization));
  load.model_dir = model.dir;
  return load;
}

// Prints the row of these formats, a cell as soon as it is known.
Status PrintRow(const Weights& weights, const std::string& kv, const std::vector<Story>& stories,
                std::vector<MeasuredModel>& models) {
  fmt::print("| {} | {} |", Label(weights), kv);
  for (MeasuredModel& model : models) {
    DRAY_ASSIGN_OR_RETURN(const auto load, LoadOptions(weights, model));
    DRAY_ASSIGN_OR_RETURN(const double bits, BitsPerByte(load, *ParseDType(kv), stories));
    const bool is_first = model.reference == 0;
    if (is_first) model.reference = bits;
    fmt::print("{}", is_first ? fmt::format(" {:.5f} |", bits)
                              : fmt::format(" {:+.3f} % |", 100 * (bits / model.reference - 1)));
    std::fflush(stdout);
  }
  fmt::print("\n");
  return OkStatus();
}

Status CheckCacheFormats(const std::vector<std::string>& names) {
  constexpr std::string_view kKnown[] = {"bf16", "f32", "f16", "i8"};
  for (const std::string& name : names) {
    if (std::find(std::begin(kKnown), std::end(kKnown), name) == std::end(kKnown)) {
      return {StatusCode::kInvalidArgument,
              fmt::format("--kv \"{}\" is no format of keys and values: use bf16, f32, f16 or i8",
                          name)};
    }
  }
  return OkStatus();
}

Status Run(const Options& options) {
  DRAY_RETURN_IF_ERROR(CheckCacheFormats(options.kv));
  DRAY_ASSIGN_OR_RETURN(const auto stories,
                        ReadStories(options.model_dir, options.text, options.stories));
  const ScratchFolder scratch;
  DRAY_ASSIGN_OR_RETURN(
      auto models, MakeModels(options.model_dir, options.kinds, options.outliers, scratch.dir()));
  if (!options.calibration_text.empty()) {
    DRAY_ASSIGN_OR_RETURN(const auto text, ReadStories(options.model_dir, options.calibration_text,
                                                       kCalibrationStories));
    DRAY_RETURN_IF_ERROR(Calibrate(models, text, scratch.dir()));
  }
  fmt::print("| weights | keys and values |");
  for (const MeasuredModel& model : models) fmt::print(" {} |", model.name);
  fmt::print("\n| --- | --- |");
  for (size_t i = 0; i < models.size(); ++i) fmt::print(" --- |");
  fmt::print("\n");
  // The first row has bf16 weights, keys and values. All others are compared with it.
  for (const Weights& weights : kWeights) {
    const bool is_reference = &weights == kWeights;
    if (!is_reference && !IsWanted(weights, options)) continue;
    for (const std::string& kv : options.kv) {
      DRAY_RETURN_IF_ERROR(PrintRow(weights, kv, stories, models));
    }
  }
  return OkStatus();
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) {
  using dray::cli::CommaList;
  dray::bench::Options options;
  dray::testing::Outliers& outliers = options.outliers;
  const auto exit_code = dray::cli::ParseFlags(
      "Bits per byte of held-out text in each number format",
      {{.names = "model", .target = &options.model_dir, .help = "Folder of the model"},
       {.names = "--text", .target = &options.text, .help = "Text, split at blank lines"},
       {.names = "--calibration-text",
        .target = &options.calibration_text,
        .help = "For smoothquant: what each model is calibrated with, split at blank lines"},
       {.names = "--kv",
        .target = CommaList{&options.kv},
        .help = "Formats of keys and values: bf16, f32, f16, i8"},
       {.names = "--methods",
        .target = CommaList{&options.methods},
        .help = "Only these values of --quantize or --dtype"},
       {.names = "--stories", .target = &options.stories, .help = "At most so many parts of it"},
       {.names = "--outliers",
        .target = CommaList{&options.kinds},
        .help = "Columns for models with outlier channels: norms, ffn, values, keys, stream, all"},
       {.names = "--factor",
        .target = &outliers.factor,
        .help = "How much larger these channels are"},
       {.names = "--channels", .target = &outliers.channels, .help = "How many of each part"},
       {.names = "--seed", .target = &outliers.seed, .help = "Decides which"}},
      argc, argv);
  if (exit_code) return *exit_code;
  const dray::Status status = dray::bench::Run(options);
  if (status.ok()) return 0;
  fmt::print(stderr, "\nquality_bench: {}\n", status.ToString());
  return 1;
}
