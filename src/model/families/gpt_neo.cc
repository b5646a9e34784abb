// GPT-Neo: pre-norm, learned positions, layers that see all tokens and layers that see a window of them
// in turns, and attention scores without a scale.
#include <fmt/format.h>

#include "model/families/families.h"
#include "model/families/family_config.h"

namespace dray::model {
namespace {

constexpr SizeKeys kSizes = {
    .hidden = {"hidden_size"},
    .num_layers = {"num_layers", "num_hidden_layers"},
    .num_heads = {"num_heads", "num_attention_heads"},
    .default_vocab = 50257,
    .default_hidden = 2048,
    .default_layers = 24,
    .default_heads = 16,
};

constexpr std::string_view kTypesKey = "attention_types";

// Appends the windows of one pass over `names`, each of which is "global" or "local".
Status AppendWindows(const ConfigReader& reader, const Json& names, int64_t window,
                     std::vector<int64_t>& windows) {
  const Json::Array* const list = names.AsArray();
  if (list == nullptr) return reader.Refuse(kTypesKey, "the names of layers must be lists");
  for (const Json& entry : *list) {
    const std::string* const name = entry.AsString();
    if (name == nullptr || (*name != "global" && *name != "local")) {
      return reader.Refuse(kTypesKey, "dray knows global and local layers");
    }
    windows.push_back(*name == "local" ? window : 0);
  }
  return OkStatus();
}

// The windows that [[["global", "local"], 12]] describes: 12 times one layer of each kind. Further
// pairs of a list and a count describe further layers.
Result<std::vector<int64_t>> ReadWindows(const ConfigReader& reader, const Json& types,
                                         int64_t window, int64_t num_layers) {
  std::vector<int64_t> windows;
  const Json::Array* const groups = types.AsArray();
  if (groups == nullptr) return reader.Refuse(kTypesKey, "it must be a list");
  for (const Json& group : *groups) {
    const Json::Array* const pair = group.AsArray();
    const auto count =
        pair != nullptr && pair->size() == 2 ? (*pair)[1].AsInt64() : std::optional<int64_t>();
    if (!count || *count < 0 || *count > num_layers) {
      return reader.Refuse(kTypesKey,
                           fmt::format("each entry must be a list of names and how often it is "
                                       "repeated, which is at most num_layers ({})",
                                       num_layers));
    }
    for (int64_t i = 0; i < *count && static_cast<int64_t>(windows.size()) <= num_layers; ++i) {
      DRAY_RETURN_IF_ERROR(AppendWindows(reader, (*pair)[0], window, windows));
    }
  }
  if (static_cast<int64_t>(windows.size()) != num_layers) {
    return reader.Refuse(
        kTypesKey, fmt::format("it must describe as many layers as num_layers ({})", num_layers));
  }
  return windows;
}

Status ReadAttention(ConfigReader& reader, StackConfig& stack) {
  SetPlainAttention(stack);
  stack.attention_scale.assign(stack.attention_scale.size(), 1.0F);
  DRAY_ASSIGN_OR_RETURN(const int64_t window, reader.Int("window_size", 1, kMaxPositions, 256));
  // transformers makes this list out of attention_types, whatever the file says.
  (void)reader.Find("attention_layers");
  const Json default_types(
      Json::Array{Json(Json::Array{Json(Json::Array{Json("global"), Json("local")}), Json(12)})});
  const Json* const types = reader.Find(kTypesKey);
  DRAY_ASSIGN_OR_RETURN(stack.window, ReadWindows(reader, types == nullptr ? default_types : *types,
                                                  window, stack.num_layers));
  return OkStatus();
}

Result<ModelConfig> ReadConfig(ConfigReader& reader) {
  ModelConfig config;
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(ReadSizes(reader, kSizes, config));
  DRAY_RETURN_IF_ERROR(SetHeadDim(reader, kSizes, stack));
  DRAY_ASSIGN_OR_RETURN(stack.max_positions,
                        reader.Int("max_position_embeddings", 1, kMaxPositions, 2048));
  DRAY_ASSIGN_OR_RETURN(stack.ffn, reader.Int("intermediate_size", 1, kMaxFfn, 4 * stack.hidden));
  DRAY_RETURN_IF_ERROR(ReadNormEps(reader, "layer_norm_epsilon", 1e-5, stack));
  DRAY_RETURN_IF_ERROR(ReadActivation(reader, "activation_function", "gelu_new", stack));
  DRAY_RETURN_IF_ERROR(ReadAttention(reader, stack));
  DRAY_ASSIGN_OR_RETURN(config.tied_head, reader.Bool("tie_word_embeddings", true));
  stack.position = PositionKind::kLearned;
  stack.attention_out_bias = true;
  stack.ffn_bias = true;
  config.bos_token_id = 50256;
  config.eos_token_ids = {50256};
  return config;
}

using X = Extent;
using R = ShardRule;

constexpr WeightRow kWeights[] = {
    {Slot::kTokenEmbedding, "wte.weight", X::kVocab, X::kEmbedDim, R::kVocab},
    {Slot::kPositionEmbedding, "wpe.weight", X::kPositions, X::kHidden, R::kReplicate},
    {Slot::kAttentionNormWeight, "h.{}.ln_1.weight", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kAttentionNormBias, "h.{}.ln_1.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kQkv, "h.{}.attn.attention.q_proj.weight", X::kQuery, X::kHidden, R::kColumnByHead,
     Part::kQuery},
    {Slot::kQkv, "h.{}.attn.attention.k_proj.weight", X::kKv, X::kHidden, R::kColumnByHead,
     Part::kKey},
    {Slot::kQkv, "h.{}.attn.attention.v_proj.weight", X::kKv, X::kHidden, R::kColumnByHead,
     Part::kValue},
    {Slot::kAttentionOut, "h.{}.attn.attention.out_proj.weight", X::kHidden, X::kQuery, R::kRow},
    {Slot::kAttentionOutBias, "h.{}.attn.attention.out_proj.bias", X::kHidden, X::kNone, R::kOnce},
    {Slot::kFfnNormWeight, "h.{}.ln_2.weight", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kFfnNormBias, "h.{}.ln_2.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kFfnIn, "h.{}.mlp.c_fc.weight", X::kFfn, X::kHidden, R::kColumn},
    {Slot::kFfnInBias, "h.{}.mlp.c_fc.bias", X::kFfn, X::kNone, R::kColumn},
    {Slot::kFfnOut, "h.{}.mlp.c_proj.weight", X::kHidden, X::kFfn, R::kRow},
    {Slot::kFfnOutBias, "h.{}.mlp.c_proj.bias", X::kHidden, X::kNone, R::kOnce},
    {Slot::kFinalNormWeight, "ln_f.weight", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kFinalNormBias, "ln_f.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kHead, "lm_head.weight", X::kVocab, X::kEmbedDim, R::kVocab, Part::kWhole,
     Transform::kNone, HasUntiedHead},
};

constexpr std::string_view kPrefixes[] = {"transformer."};

}  // namespace

constinit const FamilySpec kGptNeoFamily = {"gpt_neo", ReadConfig, kWeights, kPrefixes};

}  // namespace dray::model
