#include "model/sentence/sentence_config.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "model/config/config_reader.h"
#include "model/families/family_config.h"

namespace dray::model {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 20;
// Tokenizers without a limit have a huge number as theirs.
constexpr double kNoLimit = 1e9;
constexpr size_t kMaxPromptBytes = size_t{64} << 10;

Result<Json> ReadJsonFile(const std::filesystem::path& path) {
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  auto json = Json::Parse(text);
  if (!json.ok()) return json.status().WithPrefix(path.string());
  return json;
}

// The file as an object; null if there is no such file.
Result<Json> ReadObject(const std::filesystem::path& path) {
  if (!HasEntry(path)) return Json();
  DRAY_ASSIGN_OR_RETURN(Json json, ReadJsonFile(path));
  if (json.is_object()) return json;
  return Status(StatusCode::kInvalidArgument, fmt::format("{}: it must be a JSON object, not a {}",
                                                          path.string(), json.KindName()));
}

// The limit and the spelling of texts, which lie beside config.json. The name of the file has the
// library's name for the model's family.
Status ReadTextRules(SentenceConfig& config) {
  constexpr std::array<std::string_view, 7> kFamilies = {
      "bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"};
  for (const std::string_view family : kFamilies) {
    const auto path = config.transformer_dir / fmt::format("sentence_{}_config.json", family);
    DRAY_ASSIGN_OR_RETURN(const Json json, ReadObject(path));
    if (json.is_null()) continue;
    ConfigReader reader(path.string(), json);
    if (reader.Has("max_seq_length")) {
      DRAY_ASSIGN_OR_RETURN(config.max_tokens, reader.Int("max_seq_length", 1, kMaxPositions));
    }
    DRAY_ASSIGN_OR_RETURN(config.lower_case, reader.Bool("do_lower_case", false));
    break;
  }
  if (config.max_tokens) return OkStatus();
  const auto path = config.transformer_dir / "tokenizer_config.json";
  DRAY_ASSIGN_OR_RETURN(const Json json, ReadObject(path));
  const Json* limit = json.Find("model_max_length");
  const std::optional<double> number = limit == nullptr ? std::nullopt : limit->AsDouble();
  if (number && *number >= 1 && *number < kNoLimit) {
    config.max_tokens = static_cast<int64_t>(*number);
  }
  return OkStatus();
}

// The prompt that the library puts before texts if the caller names none.
Status ReadPrompt(const std::filesystem::path& model_dir, SentenceConfig& config) {
  const auto path = model_dir / "config_sentence_transformers.json";
  DRAY_ASSIGN_OR_RETURN(const Json json, ReadObject(path));
  if (json.is_null()) return OkStatus();
  ConfigReader reader(path.string(), json);
  DRAY_ASSIGN_OR_RETURN(const std::string name, reader.String("default_prompt_name", ""));
  if (name.empty()) return OkStatus();
  const Json* prompts = reader.Find("prompts");
  const Json* prompt = prompts == nullptr ? nullptr : prompts->Find(name);
  const std::string* text = prompt == nullptr ? nullptr : prompt->AsString();
  if (text == nullptr || text->size() > kMaxPromptBytes) {
    return reader.Refuse("default_prompt_name",
                         fmt::format("\"prompts\" must have a text of that name, of at most {} "
                                     "bytes",
                                     kMaxPromptBytes));
  }
  config.prompt = *text;
  return OkStatus();
}

// Reads the modules behind the transformer.
class ModuleReader {
 public:
  ModuleReader(const std::filesystem::path& model_dir, SentenceConfig& config)
      : dir_(model_dir), where_((model_dir / "modules.json").string()), config_(config) {}

  Status Read() {
    DRAY_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(dir_ / "modules.json"));
    DRAY_ASSIGN_OR_RETURN(const auto modules, ParseModules(where_, json));
    if (modules.front().type != "Transformer") {
      return Refuse(
          fmt::format("its first module is {}; it must be Transformer", modules.front().type));
    }
    config_.transformer_dir = dir_ / modules.front().folder;
    for (size_t i = 1; i < modules.size(); ++i) DRAY_RETURN_IF_ERROR(Add(modules[i]));
    if (!has_pooling_) return Refuse("it has no module Pooling, which makes one vector of a text");
    return OkStatus();
  }
  bool includes_prompt() const { return includes_prompt_; }

 private:
  Status Refuse(std::string_view reason) const {
    return {StatusCode::kInvalidArgument, fmt::format("{}: {}", where_, reason)};
  }

  Status Add(const SentenceModule& module) {
    if (module.type == "Dropout") return OkStatus();  // does nothing outside of training
    if (module.type == "Transformer") return Refuse("it has two modules Transformer");
    if (module.type == "Pooling") return AddPooling(dir_ / module.folder / "config.json");
    if (!has_pooling_) {
      return Refuse(fmt::format("its module {} stands before Pooling", module.type));
    }
    if (module.type == "Normalize") {
      config_.steps.emplace_back(NormalizeStep());
      return OkStatus();
    }
    return AddDense(dir_ / module.folder);
  }

  Status AddPooling(const std::filesystem::path& path) {
    if (has_pooling_) return Refuse("it has two modules Pooling");
    has_pooling_ = true;
    DRAY_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
    DRAY_ASSIGN_OR_RETURN(PoolingConfig pooling, ParsePooling(path.string(), json));
    config_.pooling = std::move(pooling.modes);
    includes_prompt_ = pooling.includes_prompt;
    config_.width = pooling.width;
    return OkStatus();
  }

  Status AddDense(const std::filesystem::path& folder) {
    const std::string where = (folder / "config.json").string();
    DRAY_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(folder / "config.json"));
    DRAY_ASSIGN_OR_RETURN(DenseStep step, ParseDense(where, json));
    step.folder = folder;
    config_.steps.emplace_back(std::move(step));
    return OkStatus();
  }

  const std::filesystem::path& dir_;
  const std::string where_;
  SentenceConfig& config_;
  bool has_pooling_ = false;
  bool includes_prompt_ = true;
};

}  // namespace

int64_t SentenceConfig::vector_size(int64_t hidden) const {
  int64_t size = hidden * static_cast<int64_t>(pooling.size());
  for (const SentenceStep& step : steps) {
    if (const auto* dense = std::get_if<DenseStep>(&step)) size = dense->out_features;
  }
  return size;
}

Status CheckSizes(const SentenceConfig& config, int64_t hidden) {
  if (config.width && *config.width != hidden) {
    return {
        StatusCode::kInvalidArgument,
        fmt::format("{}: the pooling is for states of {} numbers, but those of the model have {}",
                    (config.model_dir / "modules.json").string(), *config.width, hidden)};
  }
  int64_t size = hidden * static_cast<int64_t>(config.pooling.size());
  for (const SentenceStep& step : config.steps) {
    const auto* dense = std::get_if<DenseStep>(&step);
    if (dense == nullptr) continue;
    if (dense->in_features != size) {
      return {StatusCode::kInvalidArgument,
              fmt::format("{}: in_features is {}, but the vectors before it have {} numbers",
                          (dense->folder / "config.json").string(), dense->in_features, size)};
    }
    size = dense->out_features;
  }
  return OkStatus();
}

Result<std::filesystem::path> FindTransformerDir(const std::filesystem::path& model_dir) {
  const auto path = model_dir / "modules.json";
  if (HasEntry(model_dir / "config.json") || !HasEntry(path)) return model_dir;
  DRAY_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
  DRAY_ASSIGN_OR_RETURN(const auto modules, ParseModules(path.string(), json));
  return modules.front().folder.empty() ? model_dir : model_dir / modules.front().folder;
}

Result<SentenceConfig> ReadSentenceConfig(const std::filesystem::path& model_dir) {
  SentenceConfig config;
  config.model_dir = config.transformer_dir = model_dir;
  if (!HasEntry(model_dir / "modules.json")) {
    DRAY_RETURN_IF_ERROR(ReadTextRules(config));
    return config;
  }
  ModuleReader modules(model_dir, config);
  DRAY_RETURN_IF_ERROR(modules.Read());
  DRAY_RETURN_IF_ERROR(ReadTextRules(config));
  DRAY_RETURN_IF_ERROR(ReadPrompt(model_dir, config));
  if (!config.prompt.empty() && !modules.includes_prompt()) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("{}: the prompt of default_prompt_name would have to be left out of "
                              "the pooling (include_prompt is false), which dray does not compute",
                              model_dir.string()));
  }
  return config;
}

}  // namespace dray::model
