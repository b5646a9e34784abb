// Reads the parsed files of sentence-transformers: the list of modules, and the configurations of
// pooling and of dense layers.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "model/config/config_reader.h"
#include "model/families/family_config.h"
#include "model/sentence/sentence_config.h"

namespace dray::model {
namespace {

using kernels::Activation;

constexpr std::array<std::string_view, 5> kModuleTypes = {"Transformer", "Pooling", "Dense",
                                                          "Normalize", "Dropout"};
// Far more than any model has, so that a file cannot ask for all memory.
constexpr size_t kMaxModules = 64;

Status NotAnObject(const std::string& where, const Json& json) {
  return {StatusCode::kInvalidArgument,
          fmt::format("{}: it must be a JSON object, not a {}", where, json.KindName())};
}

// A folder must not lead out of the model's own.
bool StaysInside(const std::filesystem::path& folder) {
  if (folder.is_absolute()) return false;
  return std::none_of(folder.begin(), folder.end(), [](const auto& part) { return part == ".."; });
}

Result<SentenceModule> ParseModule(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(const std::string type, reader.String("type", ""));
  DRAY_ASSIGN_OR_RETURN(const std::string path, reader.String("path", ""));
  SentenceModule module;
  module.type = type.substr(type.rfind('.') + 1);
  const bool is_known =
      type.starts_with("sentence_transformers.") &&
      std::find(kModuleTypes.begin(), kModuleTypes.end(), module.type) != kModuleTypes.end();
  if (!is_known) {
    return reader.RefuseUnsupported(
        "type", fmt::format("dray computes the modules {} of sentence_transformers",
                            fmt::join(kModuleTypes, ", ")));
  }
  module.folder = path;
  if (path.find('\0') != std::string::npos || !StaysInside(module.folder)) {
    return reader.Refuse("path", "it must be a folder inside the model's");
  }
  return module;
}

struct ModeKey {
  std::string_view flag;  // in configurations with a key for each mode
  std::string_view name;  // in configurations with one key
  PoolingMode mode;
};
// In the order in which sentence-transformers puts their results one behind the other.
constexpr std::array<ModeKey, 6> kModes = {{
    {"pooling_mode_cls_token", "cls", PoolingMode::kCls},
    {"pooling_mode_max_tokens", "max", PoolingMode::kMax},
    {"pooling_mode_mean_tokens", "mean", PoolingMode::kMean},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", PoolingMode::kMeanSqrtLen},
    {"pooling_mode_weightedmean_tokens", "weightedmean", PoolingMode::kWeightedMean},
    {"pooling_mode_lasttoken", "lasttoken", PoolingMode::kLastToken},
}};

// The mode of that name.
Result<PoolingMode> ParseMode(const ConfigReader& reader, const Json& value) {
  const std::string* name = value.AsString();
  for (const ModeKey& key : kModes) {
    if (name != nullptr && *name == key.name) return key.mode;
  }
  return reader.Refuse("pooling_mode",
                       "it must be of cls, max, mean, mean_sqrt_len_tokens, weightedmean and "
                       "lasttoken");
}

// One name, or a list of names whose results stand in its order.
Result<std::vector<PoolingMode>> ParseModes(const ConfigReader& reader, const Json& value) {
  const Json::Array single = {value};
  const Json::Array& names = value.is_array() ? *value.AsArray() : single;
  if (names.empty() || names.size() > kModes.size()) {
    return reader.Refuse("pooling_mode", fmt::format("it must name 1 to {} modes", kModes.size()));
  }
  std::vector<PoolingMode> modes;
  for (const Json& name : names) {
    DRAY_ASSIGN_OR_RETURN(const PoolingMode mode, ParseMode(reader, name));
    modes.push_back(mode);
  }
  return modes;
}

}  // namespace

Result<std::vector<SentenceModule>> ParseModules(const std::string& where, const Json& modules) {
  const Json::Array* list = modules.AsArray();
  if (list == nullptr || list->empty() || list->size() > kMaxModules) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("{}: it must be a list of 1 to {} modules", where, kMaxModules));
  }
  std::vector<SentenceModule> parsed;
  for (const Json& one : *list) {
    const std::string name = fmt::format("{}: module {}", where, parsed.size());
    if (!one.is_object()) return NotAnObject(name, one);
    ConfigReader reader(name, one);
    DRAY_ASSIGN_OR_RETURN(SentenceModule module, ParseModule(reader));
    parsed.push_back(std::move(module));
  }
  return parsed;
}

Result<PoolingConfig> ParsePooling(const std::string& where, const Json& pooling) {
  if (!pooling.is_object()) return NotAnObject(where, pooling);
  ConfigReader reader(where, pooling);
  PoolingConfig config;
  for (const std::string_view key : {"word_embedding_dimension", "embedding_dimension"}) {
    if (!reader.Has(key)) continue;
    DRAY_ASSIGN_OR_RETURN(config.width, reader.Int(key, 1, kMaxHidden));
  }
  DRAY_ASSIGN_OR_RETURN(config.includes_prompt, reader.Bool("include_prompt", true));
  if (const Json* names = reader.Find("pooling_mode")) {
    DRAY_ASSIGN_OR_RETURN(config.modes, ParseModes(reader, *names));
    return config;
  }
  for (const ModeKey& key : kModes) {
    DRAY_ASSIGN_OR_RETURN(const bool is_on, reader.Bool(key.flag, false));
    if (is_on) config.modes.push_back(key.mode);
  }
  if (config.modes.empty()) config.modes.push_back(PoolingMode::kMean);  // as the library does
  return config;
}

Result<DenseStep> ParseDense(const std::string& where, const Json& dense) {
  if (!dense.is_object()) return NotAnObject(where, dense);
  constexpr std::array<std::pair<std::string_view, Activation>, 5> kActivations = {{
      {"Tanh", Activation::kTanh},
      {"Identity", Activation::kNone},
      {"ReLU", Activation::kRelu},
      {"GELU", Activation::kGelu},
      {"SiLU", Activation::kSilu},
  }};
  ConfigReader reader(where, dense);
  DenseStep step;
  DRAY_ASSIGN_OR_RETURN(step.in_features, reader.Int("in_features", 1, kMaxHidden));
  DRAY_ASSIGN_OR_RETURN(step.out_features, reader.Int("out_features", 1, kMaxHidden));
  DRAY_ASSIGN_OR_RETURN(step.has_bias, reader.Bool("bias", true));
  DRAY_RETURN_IF_ERROR(reader.RefuseUnless("use_residual", false));
  for (const std::string_view key : {"module_input_name", "module_output_name"}) {
    DRAY_RETURN_IF_ERROR(reader.RefuseUnless(key, "sentence_embedding"));
  }
  DRAY_ASSIGN_OR_RETURN(const std::string name, reader.String("activation_function", "Tanh"));
  for (const auto& [known, activation] : kActivations) {
    if (name.substr(name.rfind('.') + 1) != known) continue;
    step.activation = activation;
    return step;
  }
  return reader.RefuseUnsupported(
      "activation_function",
      "dray computes torch's activations Tanh, Identity, ReLU, GELU and SiLU");
}

}  // namespace dray::model
