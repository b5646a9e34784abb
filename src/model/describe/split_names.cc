#include "model/describe/split_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "model/describe/tensor_names.h"

namespace dray::model {
namespace {

using checkpoint::FasterTransformerFolder;
using checkpoint::SliceAxis;
using checkpoint::SplitTensor;

// What both programs do with a slot.
struct SplitSlot {
  Slot slot;
  SliceAxis axis;
  std::string_view faster_transformer;  // without "model." and ".bin"; empty: not stored
  std::string_view deepspeed;           // after the layer's module; empty: as the family names it
};

constexpr auto kUncut = SliceAxis::kNone;
constexpr auto kRows = SliceAxis::kRows;
constexpr auto kColumns = SliceAxis::kColumns;

constexpr std::array kSlots = {
    SplitSlot{Slot::kTokenEmbedding, kUncut, "wte", ""},
    SplitSlot{Slot::kPositionEmbedding, kUncut, "wpe", ""},
    SplitSlot{Slot::kEmbeddingNormWeight, kUncut, "pre_decoder_layernorm.weight", ""},
    SplitSlot{Slot::kEmbeddingNormBias, kUncut, "pre_decoder_layernorm.bias", ""},
    SplitSlot{Slot::kFinalNormWeight, kUncut, "final_layernorm.weight", ""},
    SplitSlot{Slot::kFinalNormBias, kUncut, "final_layernorm.bias", ""},
    SplitSlot{Slot::kHead, kUncut, "lm_head.weight", ""},
    SplitSlot{Slot::kHeadBias, kUncut, "lm_head.bias", ""},
    SplitSlot{Slot::kAttentionNormWeight, kUncut, "layers.{}.input_layernorm.weight", "norm_w"},
    SplitSlot{Slot::kAttentionNormBias, kUncut, "layers.{}.input_layernorm.bias", "norm_b"},
    SplitSlot{Slot::kFfnNormWeight, kUncut, "layers.{}.post_attention_layernorm.weight",
              "mlp.attn_nw"},
    SplitSlot{Slot::kFfnNormBias, kUncut, "layers.{}.post_attention_layernorm.bias", "mlp.attn_nb"},
    SplitSlot{Slot::kQkv, kRows, "layers.{}.attention.query_key_value.weight",
              "attention.attn_qkvw"},
    SplitSlot{Slot::kQkvBias, kRows, "layers.{}.attention.query_key_value.bias",
              "attention.attn_qkvb"},
    SplitSlot{Slot::kAttentionOut, kColumns, "layers.{}.attention.dense.weight",
              "attention.attn_ow"},
    SplitSlot{Slot::kAttentionOutBias, kUncut, "layers.{}.attention.dense.bias",
              "attention.attn_ob"},
    SplitSlot{Slot::kFfnIn, kRows, "layers.{}.mlp.dense_h_to_4h.weight", "mlp.inter_w"},
    SplitSlot{Slot::kFfnInBias, kRows, "layers.{}.mlp.dense_h_to_4h.bias", "mlp.inter_b"},
    SplitSlot{Slot::kFfnOut, kColumns, "layers.{}.mlp.dense_4h_to_h.weight", "mlp.output_w"},
    SplitSlot{Slot::kFfnOutBias, kUncut, "layers.{}.mlp.dense_4h_to_h.bias", "mlp.output_b"},
};

const SplitSlot* FindSlot(Slot slot) {
  const auto* it = std::find_if(kSlots.begin(), kSlots.end(),
                                [&](const SplitSlot& known) { return known.slot == slot; });
  return it == kSlots.end() ? nullptr : it;
}

bool IsQkv(Slot slot) { return slot == Slot::kQkv || slot == Slot::kQkvBias; }

// A family that DeepSpeed reads, and what FasterTransformer's config.ini calls it.
struct SplitFamily {
  std::string_view model_type;
  std::string_view section;  // empty: FasterTransformer does not read the family
  std::string_view module;   // of layer {}, before DeepSpeed's names
};
constexpr std::array kFamilies = {
    SplitFamily{"gpt2", "gpt", "h.{}."},  SplitFamily{"opt", "gpt", "decoder.layers.{}."},
    SplitFamily{"bloom", "gpt", "h.{}."}, SplitFamily{"gptj", "gptj", "h.{}."},
    SplitFamily{"gpt_neo", "", "h.{}."},  SplitFamily{"gpt_neox", "gptneox", "layers.{}."},
};

const SplitFamily* FindSplitFamily(const ModelDescription& model) {
  const auto* it = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const SplitFamily& known) {
    return known.model_type == model.family->model_type;
  });
  return it == kFamilies.end() ? nullptr : it;
}

Status NotRead(const ModelDescription& model, std::string_view what) {
  return {
      StatusCode::kUnsupported,
      fmt::format("{} of model_type {} are not read; serve the Hugging Face checkpoint that this "
                  "one was converted from",
                  what, model.family->model_type)};
}

// One row for each slot: the parts of a slot are stored as one tensor, queries before keys before
// values.
std::vector<WeightRow> WholeSlots(std::span<const WeightRow> rows) {
  std::vector<WeightRow> whole;
  for (const WeightRow& row : rows) {
    const bool is_known = std::any_of(
        whole.begin(), whole.end(), [&](const WeightRow& other) { return other.slot == row.slot; });
    if (is_known) continue;
    whole.push_back(row);
    if (!IsQkv(row.slot)) continue;
    whole.back().rows = Extent::kQkv;
    whole.back().part = Part::kWhole;
  }
  return whole;
}

Shape ShapeOf(const WeightRow& row, const ModelConfig& config) {
  const int64_t rows = ExtentOf(row.rows, config);
  if (row.cols == Extent::kNone) return {rows};
  return {rows, ExtentOf(row.cols, config)};
}

// How both programs store the row's tensor.
SplitTensor StoredAs(const WeightRow& row, const ModelConfig& config) {
  SplitTensor tensor;
  tensor.shape = ShapeOf(row, config);
  tensor.axis = FindSlot(row.slot)->axis;
  if (IsQkv(row.slot) && row.transform != Transform::kPerHeadQkv) tensor.sections = 3;
  if (row.slot >= kFirstLayerSlot) tensor.storage = checkpoint::Storage::kTransposed;
  return tensor;
}

// Appends `tensor` with each of the names that the row's tensor may have in each layer. A name that
// another row has already is that row's: the token table may have the head's, if they are tied.
void AppendLayers(const ModelDescription& model, const WeightRow& row, SplitTensor tensor,
                  std::vector<SplitTensor>& tensors) {
  const bool once = row.slot < kFirstLayerSlot;
  const int64_t first = once ? kNoLayer : 0;
  const int64_t end = once ? kNoLayer + 1 : model.config.stack.num_layers;
  for (int64_t layer = first; layer < end; ++layer) {
    for (const std::string& name : CandidateNames(model, row, layer)) {
      const bool is_known = once && std::any_of(tensors.begin(), tensors.end(),
                                                [&](const auto& t) { return t.name == name; });
      if (is_known) continue;
      tensor.name = name;
      tensors.push_back(tensor);
    }
  }
}

Status CheckAgainstConfig(const FasterTransformerFolder& folder, const SplitFamily& family,
                          const ModelConfig& config) {
  if (folder.section != family.section) {
    return {StatusCode::kInvalidArgument,
            fmt::format("{}: its section is [{}], but a model of config.json's model_type {} has "
                        "[{}]: the files do not belong together",
                        folder.config_path().string(), folder.section, family.model_type,
                        family.section)};
  }
  const StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(folder.CheckSize("num_layer", stack.num_layers));
  DRAY_RETURN_IF_ERROR(folder.CheckSize("head_num", stack.num_heads));
  DRAY_RETURN_IF_ERROR(folder.CheckSize("size_per_head", stack.head_dim));
  return folder.CheckSize("vocab_size", config.vocab_size);
}

// The names of DeepSpeed's layers, [module][slot]. Rows keep views of them.
const std::string& DeepSpeedName(std::string_view module, const SplitSlot& slot) {
  static const auto kNames = [] {
    std::map<std::pair<std::string_view, Slot>, std::string> names;
    for (const SplitFamily& family : kFamilies) {
      for (const SplitSlot& known : kSlots) {
        names[{family.module, known.slot}] =
            std::string(family.module) + std::string(known.deepspeed);
      }
    }
    return names;
  }();
  return kNames.at({module, slot.slot});
}

}  // namespace

Result<std::vector<SplitTensor>> UseFasterTransformerNames(const FasterTransformerFolder& folder,
                                                           ModelDescription& model) {
  const SplitFamily* const family = FindSplitFamily(model);
  if (family == nullptr || family->section.empty()) {
    return NotRead(model, folder.path.string() + ": FasterTransformer files");
  }
  DRAY_RETURN_IF_ERROR(CheckAgainstConfig(folder, *family, model.config));
  ModelConfig& config = model.config;
  if (config.embed_dim != config.stack.hidden) {
    config.embed_dim = config.stack.hidden;
    config.tied_head = false;
  }
  model.weights = WholeSlots(model.weights);
  model.prefixes = {};
  std::erase_if(model.weights, [](const WeightRow& row) { return FindSlot(row.slot) == nullptr; });
  for (WeightRow& row : model.weights) {
    row.name = FindSlot(row.slot)->faster_transformer;
    row.transform = Transform::kNone;
  }
  std::vector<SplitTensor> tensors;
  for (const WeightRow& row : model.weights) {
    SplitTensor tensor = StoredAs(row, config);
    const bool is_row_bias = row.slot == Slot::kAttentionOutBias || row.slot == Slot::kFfnOutBias;
    if (is_row_bias && family->section == "gptneox") {
      tensor.multiplier = static_cast<float>(folder.num_slices);
    }
    if (row.slot == Slot::kPositionEmbedding) tensor.first_row = config.stack.position_offset;
    AppendLayers(model, row, std::move(tensor), tensors);
  }
  return tensors;
}

Result<std::vector<SplitTensor>> UseDeepSpeedNames(ModelDescription& model) {
  const SplitFamily* const family = FindSplitFamily(model);
  if (family == nullptr) return NotRead(model, "DeepSpeed's sliced checkpoints");
  const bool is_per_head = family->model_type == "bloom";
  model.weights = WholeSlots(model.weights);
  std::vector<SplitTensor> tensors;
  for (WeightRow& row : model.weights) {
    const bool is_in_layer = row.slot >= kFirstLayerSlot;
    if (is_in_layer) {
      row.name = DeepSpeedName(family->module, *FindSlot(row.slot));
      row.transform = is_per_head && IsQkv(row.slot) ? Transform::kPerHeadQkv : Transform::kNone;
    }
    SplitTensor tensor;
    if (is_in_layer) tensor = StoredAs(row, model.config);
    if (row.slot == Slot::kHead && !model.config.tied_head) {
      // DeepSpeed cuts the head's input features and adds up the logits.
      tensor = {.name = {}, .shape = ShapeOf(row, model.config), .axis = SliceAxis::kColumns};
    }
    if (tensor.shape.rank() > 0) AppendLayers(model, row, std::move(tensor), tensors);
  }
  return tensors;
}

}  // namespace dray::model
