#include "cli/bench/bench_variants.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/runner/loaded_model.h"
#include "settings/engine_settings.h"

namespace dray::cli {
namespace {

// Flags that may have a list of values. In the values of other flags a comma is an ordinary
// character.
constexpr std::string_view kListFlags[] = {"dtype",      "quantize",
                                           "threads",    "kv-cache-dtype",
                                           "block-size", "max-rolling-batch-prefill-tokens"};

struct Choice {
  ModelArguments arguments;
  std::string label;
};

std::vector<std::string> Split(const std::string& list) {
  std::vector<std::string> values;
  size_t begin = 0;
  while (true) {
    const size_t comma = list.find(',', begin);
    values.push_back(list.substr(begin, comma - begin));
    if (comma == std::string::npos) return values;
    begin = comma + 1;
  }
}

// Combines every choice with every value of one flag. The label names the value if the flag has
// several values or sets the weights' format.
std::vector<Choice> Combine(const std::vector<Choice>& choices, const std::string& flag,
                            const std::vector<std::string>& values) {
  std::vector<Choice> combined;
  for (const Choice& choice : choices) {
    for (const std::string& value : values) {
      Choice one = choice;
      one.arguments.flags[flag] = value;
      if (flag == "dtype" || flag == "quantize") {
        one.label.append(one.label.empty() ? "" : ", ").append(value);
      } else if (values.size() > 1) {
        one.label.append(one.label.empty() ? "" : ", ").append(flag).append(" ").append(value);
      }
      combined.push_back(std::move(one));
    }
  }
  return combined;
}

// The demo model's files are written anew for each time that it is loaded, and exist only as long as that takes.
Result<std::unique_ptr<engine::LoadedModel>> LoadDemo(const settings::ModelSettings& settings) {
  DRAY_ASSIGN_OR_RETURN(const DemoModel demo, DemoModel::Extract());
  DRAY_ASSIGN_OR_RETURN(const auto load, settings::MakeLoadModelOptions(settings, demo.dir()));
  return engine::LoadModel(load);
}

Result<bench::Variant> MakeVariant(const Choice& choice) {
  DRAY_ASSIGN_OR_RETURN(const ResolvedModel resolved, ResolveModel(choice.arguments));
  const settings::ModelSettings& model = resolved.settings.model;
  bench::Variant variant;
  variant.label =
      choice.label.empty() ? std::string(settings::SpellingOf(model.dtype)) : choice.label;
  DRAY_ASSIGN_OR_RETURN(const engine::LoadModelOptions load,
                        settings::MakeLoadModelOptions(model, resolved.files.model));
  if (resolved.demo) {
    variant.load = [model] { return LoadDemo(model); };
  } else {
    variant.load = [load] { return engine::LoadModel(load); };
  }
  DRAY_ASSIGN_OR_RETURN(variant.engine, settings::MakeEngineOptions(model));
  variant.encoder = settings::MakeEncoderOptions(model);
  variant.num_threads = static_cast<int>(model.threads);
  return variant;
}

}  // namespace

Result<std::vector<bench::Variant>> MakeVariants(const ModelArguments& arguments) {
  std::vector<Choice> choices = {{arguments, ""}};
  for (const std::string_view name : kListFlags) {
    const auto flag = arguments.flags.find(std::string(name));
    if (flag != arguments.flags.end()) choices = Combine(choices, flag->first, Split(flag->second));
  }
  std::vector<bench::Variant> variants;
  for (const Choice& choice : choices) {
    DRAY_ASSIGN_OR_RETURN(auto variant, MakeVariant(choice));
    variants.push_back(std::move(variant));
  }
  return variants;
}

}  // namespace dray::cli
