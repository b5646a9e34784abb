#include "model/describe/model_description.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/file.h"
#include "base/log.h"
#include "model/config/config_keys.h"
#include "model/describe/quantization_config.h"

namespace dray::model {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;

std::string KnownFamilies() {
  std::string names;
  for (const FamilySpec* family : AllFamilies()) {
    names += (names.empty() ? "" : ", ") + std::string(family->model_type);
  }
  return names;
}

Result<const FamilySpec*> ReadFamily(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(const std::string type, reader.String("model_type", ""));
  if (type.empty()) {
    return reader.Refuse("model_type", fmt::format("is missing; dray serves {}", KnownFamilies()));
  }
  const FamilySpec* family = FindFamily(type);
  if (family == nullptr) {
    return reader.RefuseUnsupported("model_type", fmt::format("dray serves {}", KnownFamilies()));
  }
  return family;
}

// Refuses models whose head does not predict the next token. A model that names no architecture is
// taken for a language model; its weights will show.
Status CheckArchitectures(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(const auto names, reader.Names("architectures"));
  for (const std::string& name : names) {
    const bool is_other = std::any_of(kOtherHeads.begin(), kOtherHeads.end(),
                                      [&](std::string_view head) { return name.ends_with(head); });
    if (!is_other) continue;
    return reader.RefuseUnsupported(
        "architectures",
        "the head of this model is not a language model's; use a checkpoint "
        "whose architecture ends in ForCausalLM or LMHeadModel");
  }
  return OkStatus();
}

Status CheckCommonKeys(ConfigReader& reader, ModelKind kind) {
  for (const std::string_view key : kQuantizationKeys) {
    if (!reader.Has(key)) continue;
    return reader.RefuseUnsupported(
        key, "dray does not read quantised checkpoints; use the float checkpoint it was made from");
  }
  // The readers of encoder-decoders say what these must be.
  if (kind != ModelKind::kEncoderDecoder) {
    for (const std::string_view key : kFalseKeys) {
      DRAY_RETURN_IF_ERROR(reader.RefuseUnless(key, false));
    }
  }
  for (const std::string_view key : kAbsentKeys) {
    DRAY_RETURN_IF_ERROR(reader.RefuseUnless(key, nullptr));
  }
  const Json* pruned = reader.Find("pruned_heads");
  if (pruned != nullptr && !(pruned->is_object() && pruned->AsObject()->empty())) {
    return reader.Refuse("pruned_heads", "pruned heads are not supported");
  }
  return OkStatus();
}

void ReadDType(ConfigReader& reader, ModelConfig& config) {
  const Json* value = reader.Find("dtype");
  const Json* old_spelling = reader.Find("torch_dtype");
  if (value == nullptr) value = old_spelling;
  const std::string* text = value == nullptr ? nullptr : value->AsString();
  if (text == nullptr) return;
  // This is only a hint: the files decide. So an unknown name is not an error.
  const std::optional<DType> dtype = ParseDType(*text);
  if (dtype && IsWeightType(*dtype)) config.dtype = dtype;
}

// In some files token ids below zero mean "none".
Result<std::optional<int32_t>> TokenId(const ConfigReader& reader, std::string_view key,
                                       const Json& value) {
  const std::optional<int64_t> id = value.AsInt64();
  if (!id || *id > std::numeric_limits<int32_t>::max()) {
    return reader.Refuse(key, "it must be a token id");
  }
  if (*id < 0) return std::optional<int32_t>();
  return std::optional<int32_t>(static_cast<int32_t>(*id));
}

// `config` holds the family's defaults; replaces those that the file sets. A null in the file means
// "none".
Status ReadEndTokens(ConfigReader& reader, ModelConfig& config) {
  if (reader.IsNull("bos_token_id")) config.bos_token_id.reset();
  if (reader.IsNull("eos_token_id")) config.eos_token_ids.clear();
  if (const Json* bos = reader.Find("bos_token_id")) {
    const Json::Array* list = bos->AsArray();
    const bool is_single = list != nullptr && list->size() == 1;
    DRAY_ASSIGN_OR_RETURN(config.bos_token_id,
                          TokenId(reader, "bos_token_id", is_single ? list->front() : *bos));
  }
  const Json* eos = reader.Find("eos_token_id");
  if (eos == nullptr) return OkStatus();
  config.eos_token_ids.clear();
  const Json::Array single = {*eos};
  for (const Json& value : eos->is_array() ? *eos->AsArray() : single) {
    DRAY_ASSIGN_OR_RETURN(const auto id, TokenId(reader, "eos_token_id", value));
    if (id) config.eos_token_ids.push_back(*id);
  }
  return OkStatus();
}

// Replaces the token before an answer, if the file names one.
Status ReadStartToken(ConfigReader& reader, ModelConfig& config) {
  if (config.kind != ModelKind::kEncoderDecoder) return OkStatus();
  DRAY_ASSIGN_OR_RETURN(const int64_t start,
                        reader.Int("decoder_start_token_id", 0, config.vocab_size - 1,
                                   config.decoder_start_token_id));
  config.decoder_start_token_id = static_cast<int32_t>(start);
  return OkStatus();
}

Status ReadTokenIds(ConfigReader& reader, ModelConfig& config) {
  DRAY_RETURN_IF_ERROR(ReadStartToken(reader, config));
  return ReadEndTokens(reader, config);
}

void WarnOfUnknownKeys(const ConfigReader& reader) {
  std::string unknown;
  for (const std::string& key : reader.UnreadKeys()) {
    if (key.starts_with('_')) continue;  // notes of the tool that wrote the file
    if (std::binary_search(kHarmlessKeys.begin(), kHarmlessKeys.end(), key)) continue;
    unknown += (unknown.empty() ? "" : ", ") + key;
  }
  if (unknown.empty()) return;
  LogWarning(
      fmt::format("{}: ignored keys that dray does not know: {}; if one of them changes what "
                  "the model computes, its answers will be wrong",
                  reader.where(), unknown));
}

Result<Json> ReadJsonFile(const std::filesystem::path& path) {
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  auto json = Json::Parse(text);
  if (!json.ok()) return json.status().WithPrefix(path.string());
  return json;
}

}  // namespace

Result<ModelDescription> DescribeModel(const std::string& where, const Json& config,
                                       const Json& generation_config) {
  const std::string config_name = where + "config.json";
  const std::string generation_name = where + "generation_config.json";
  if (!config.is_object()) {
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("{}: it must be a JSON object, not a {}", config_name, config.KindName()));
  }
  ConfigReader reader(config_name, config);
  ModelDescription model;
  DRAY_ASSIGN_OR_RETURN(model.family, ReadFamily(reader));
  // The readers of other kinds read the architecture themselves, since it says which head they have.
  if (model.family->kind == ModelKind::kDecoder) DRAY_RETURN_IF_ERROR(CheckArchitectures(reader));
  DRAY_RETURN_IF_ERROR(CheckCommonKeys(reader, model.family->kind));
  DRAY_ASSIGN_OR_RETURN(model.packed, ReadQuantizationConfig(reader));
  DRAY_ASSIGN_OR_RETURN(model.config, model.family->read_config(reader));
  model.config.family = model.family->model_type;
  model.weights.assign(model.family->weights.begin(), model.family->weights.end());
  model.prefixes = model.family->prefixes;
  ReadDType(reader, model.config);
  DRAY_RETURN_IF_ERROR(ReadTokenIds(reader, model.config));
  if (!generation_config.is_null()) {
    if (!generation_config.is_object()) {
      return Status(StatusCode::kInvalidArgument,
                    fmt::format("{}: it must be a JSON object, not a {}", generation_name,
                                generation_config.KindName()));
    }
    ConfigReader generation_reader(generation_name, generation_config);
    DRAY_RETURN_IF_ERROR(ReadTokenIds(generation_reader, model.config));
  }
  WarnOfUnknownKeys(reader);
  return model;
}

ModelDescription EncoderOf(const ModelDescription& model) {
  ModelDescription encoder = model;
  encoder.part = ModelPart::kEncoder;
  encoder.config = EncoderOf(model.config);
  encoder.weights.assign(model.family->encoder_weights.begin(),
                         model.family->encoder_weights.end());
  return encoder;
}

int64_t ModelDescription::num_parameters() const {
  int64_t total = config.encoder ? EncoderOf(*this).num_parameters() : 0;
  for (const WeightRow& row : weights) {
    if (!IsPresent(row, config)) continue;
    const int64_t copies = row.slot < kFirstLayerSlot ? 1 : config.stack.num_layers;
    total += copies * ExtentOf(row.rows, config) * ExtentOf(row.cols, config);
  }
  return total;
}

Result<Json> ReadGenerationConfig(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "generation_config.json";
  if (!HasEntry(path)) return Json();
  return ReadJsonFile(path);
}

Result<ModelDescription> ReadModelDescription(const std::filesystem::path& model_dir) {
  DRAY_ASSIGN_OR_RETURN(const Json config, ReadJsonFile(model_dir / "config.json"));
  DRAY_ASSIGN_OR_RETURN(const Json generation_config, ReadGenerationConfig(model_dir));
  DRAY_ASSIGN_OR_RETURN(ModelDescription model,
                        DescribeModel((model_dir / "").string(), config, generation_config));
  const std::filesystem::path quantize_path = model_dir / "quantize_config.json";
  if (!model.packed && HasEntry(quantize_path)) {
    DRAY_ASSIGN_OR_RETURN(const Json quantize_config, ReadJsonFile(quantize_path));
    DRAY_ASSIGN_OR_RETURN(model.packed,
                          ReadQuantizeConfig(quantize_path.string(), quantize_config));
  }
  return model;
}

}  // namespace dray::model
