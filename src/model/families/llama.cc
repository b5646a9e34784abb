// The LLaMA shape: RMS norms before each part, rotated heads, grouped key/value heads, a gated
// feed-forward. LLaMA, Mistral, Qwen2 and Qwen3 use the same names for weights. They differ in
// their defaults and in which of the weights they have.
#include <fmt/format.h>

#include <string>

#include "model/families/families.h"
#include "model/families/family_config.h"
#include "model/families/rope_config.h"

namespace dray::model {
namespace {

// The differences between the four families.
struct Traits {
  SizeKeys sizes;
  int64_t default_kv_heads = 0;  // 0: as many as heads
  int64_t default_head_dim = 0;  // 0: hidden / heads
  int64_t default_ffn = 0;
  int64_t default_positions = 0;
};

constexpr SizeKeys Sizes(int64_t default_vocab) {
  return {.hidden = {"hidden_size"},
          .num_layers = {"num_hidden_layers"},
          .num_heads = {"num_attention_heads"},
          .default_vocab = default_vocab,
          .default_hidden = 4096,
          .default_layers = 32,
          .default_heads = 32};
}

constexpr Traits kLlama = {Sizes(32000), 0, 0, 11008, 2048};
constexpr Traits kMistral = {Sizes(32000), 8, 0, 14336, 131072};
constexpr Traits kQwen2 = {Sizes(151936), 32, 0, 22016, 32768};
constexpr Traits kQwen3 = {Sizes(151936), 32, 128, 22016, 32768};

Status ReadHeads(ConfigReader& reader, const Traits& traits, StackConfig& stack) {
  if (traits.default_kv_heads > 0 && !reader.IsNull("num_key_value_heads")) {
    stack.num_kv_heads = traits.default_kv_heads;
  }
  DRAY_ASSIGN_OR_RETURN(stack.num_kv_heads,
                        reader.Int("num_key_value_heads", 1, kMaxHeads, stack.num_kv_heads));
  if (stack.num_heads % stack.num_kv_heads != 0) {
    return reader.Refuse("num_key_value_heads",
                         fmt::format("{} key/value heads do not divide {} heads",
                                     stack.num_kv_heads, stack.num_heads));
  }
  if (!reader.Has("head_dim") && traits.default_head_dim == 0) {
    return SetHeadDim(reader, traits.sizes, stack);
  }
  DRAY_ASSIGN_OR_RETURN(stack.head_dim,
                        reader.Int("head_dim", 1, kMaxHeadDim, traits.default_head_dim));
  return OkStatus();
}

Result<ModelConfig> ReadShared(ConfigReader& reader, const Traits& traits) {
  ModelConfig config;
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(ReadSizes(reader, traits.sizes, config));
  DRAY_RETURN_IF_ERROR(ReadHeads(reader, traits, stack));
  DRAY_RETURN_IF_ERROR(ReadRope(reader, RopeKeys{}, traits.default_positions, stack));
  DRAY_ASSIGN_OR_RETURN(stack.ffn, reader.Int("intermediate_size", 1, kMaxFfn, traits.default_ffn));
  DRAY_RETURN_IF_ERROR(ReadNormEps(reader, "rms_norm_eps", 1e-6, stack));
  DRAY_RETURN_IF_ERROR(ReadActivation(reader, "hidden_act", "silu", stack));
  DRAY_ASSIGN_OR_RETURN(config.tied_head, reader.Bool("tie_word_embeddings", false));
  stack.norm = NormKind::kRmsNorm;
  stack.norm_bias = false;
  stack.gated = true;
  SetPlainAttention(stack);
  return config;
}

// The defaults of LLaMA and Mistral; the Qwen configurations have none.
void SetDefaultTokens(ModelConfig& config) {
  config.bos_token_id = 1;
  config.eos_token_ids = {2};
}

Result<ModelConfig> ReadLlama(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(ModelConfig config, ReadShared(reader, kLlama));
  StackConfig& stack = config.stack;
  DRAY_ASSIGN_OR_RETURN(stack.qkv_bias, reader.Bool("attention_bias", false));
  stack.attention_out_bias = stack.qkv_bias;
  DRAY_ASSIGN_OR_RETURN(stack.ffn_bias, reader.Bool("mlp_bias", false));
  SetDefaultTokens(config);
  return config;
}

// A token at position i sees position j if i - j < sliding_window.
Result<int64_t> ReadWindow(ConfigReader& reader) {
  if (reader.IsNull("sliding_window")) return 0;
  return reader.Int("sliding_window", 1, kMaxPositions, 4096);
}

Result<ModelConfig> ReadMistral(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(ModelConfig config, ReadShared(reader, kMistral));
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(reader.RefuseUnless("layer_types", nullptr));
  DRAY_ASSIGN_OR_RETURN(const int64_t window, ReadWindow(reader));
  stack.window.assign(stack.window.size(), window);
  SetDefaultTokens(config);
  return config;
}

Status ReadLayerTypes(ConfigReader& reader, const Json& types, int64_t window, StackConfig& stack) {
  const Json::Array* names = types.AsArray();
  if (names == nullptr || names->size() != stack.window.size()) {
    return reader.Refuse("layer_types", fmt::format("it must be a list of {} names, one a layer",
                                                    stack.window.size()));
  }
  for (size_t layer = 0; layer < names->size(); ++layer) {
    const std::string* name = (*names)[layer].AsString();
    if (name != nullptr && (*name == "full_attention" || *name == "attention")) continue;
    if (name == nullptr || *name != "sliding_attention") {
      return reader.Refuse("layer_types", "dray knows full_attention and sliding_attention");
    }
    stack.window[layer] = window;
  }
  return OkStatus();
}

// Sets the windows of Qwen's layers. Only use_sliding_window turns them on; then layer_types names
// the layers that have one, or, without layer_types, those from max_window_layers on have one.
Status ReadQwenWindows(ConfigReader& reader, StackConfig& stack) {
  DRAY_ASSIGN_OR_RETURN(const bool use_window, reader.Bool("use_sliding_window", false));
  DRAY_ASSIGN_OR_RETURN(const int64_t first, reader.Int("max_window_layers", 0, kMaxLayers, 28));
  int64_t window = 0;
  if (use_window) {
    DRAY_ASSIGN_OR_RETURN(window, ReadWindow(reader));
  }
  (void)reader.Find("sliding_window");
  if (const Json* types = reader.Find("layer_types")) {
    return ReadLayerTypes(reader, *types, window, stack);
  }
  for (int64_t layer = first; layer < stack.num_layers; ++layer) {
    stack.window[static_cast<size_t>(layer)] = window;
  }
  return OkStatus();
}

Result<ModelConfig> ReadQwen2(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(ModelConfig config, ReadShared(reader, kQwen2));
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(reader.RefuseUnless("use_mrope", false));
  DRAY_RETURN_IF_ERROR(ReadQwenWindows(reader, stack));
  stack.qkv_bias = true;
  return config;
}

Result<ModelConfig> ReadQwen3(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(ModelConfig config, ReadShared(reader, kQwen3));
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(ReadQwenWindows(reader, stack));
  DRAY_ASSIGN_OR_RETURN(stack.qkv_bias, reader.Bool("attention_bias", false));
  stack.attention_out_bias = stack.qkv_bias;
  stack.qk_norm = true;
  return config;
}

bool HasQkNorm(const ModelConfig& config) { return config.stack.qk_norm; }

using X = Extent;
using R = ShardRule;
constexpr Part kWhole = Part::kWhole;
constexpr Transform kAsIs = Transform::kNone;

constexpr WeightRow kWeights[] = {
    {Slot::kTokenEmbedding, "embed_tokens.weight", X::kVocab, X::kEmbedDim, R::kVocab},
    {Slot::kAttentionNormWeight, "layers.{}.input_layernorm.weight", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kQkv, "layers.{}.self_attn.q_proj.weight", X::kQuery, X::kHidden, R::kColumnByHead,
     Part::kQuery},
    {Slot::kQkv, "layers.{}.self_attn.k_proj.weight", X::kKv, X::kHidden, R::kColumnByHead,
     Part::kKey},
    {Slot::kQkv, "layers.{}.self_attn.v_proj.weight", X::kKv, X::kHidden, R::kColumnByHead,
     Part::kValue},
    {Slot::kQkvBias, "layers.{}.self_attn.q_proj.bias", X::kQuery, X::kNone, R::kColumnByHead,
     Part::kQuery, kAsIs, HasQkvBias},
    {Slot::kQkvBias, "layers.{}.self_attn.k_proj.bias", X::kKv, X::kNone, R::kColumnByHead,
     Part::kKey, kAsIs, HasQkvBias},
    {Slot::kQkvBias, "layers.{}.self_attn.v_proj.bias", X::kKv, X::kNone, R::kColumnByHead,
     Part::kValue, kAsIs, HasQkvBias},
    {Slot::kQueryNorm, "layers.{}.self_attn.q_norm.weight", X::kHeadDim, X::kNone, R::kReplicate,
     kWhole, kAsIs, HasQkNorm},
    {Slot::kKeyNorm, "layers.{}.self_attn.k_norm.weight", X::kHeadDim, X::kNone, R::kReplicate,
     kWhole, kAsIs, HasQkNorm},
    {Slot::kAttentionOut, "layers.{}.self_attn.o_proj.weight", X::kHidden, X::kQuery, R::kRow},
    {Slot::kAttentionOutBias, "layers.{}.self_attn.o_proj.bias", X::kHidden, X::kNone, R::kOnce,
     kWhole, kAsIs, HasAttentionOutBias},
    {Slot::kFfnNormWeight, "layers.{}.post_attention_layernorm.weight", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kFfnIn, "layers.{}.mlp.gate_proj.weight", X::kFfn, X::kHidden, R::kColumn, Part::kGate},
    {Slot::kFfnIn, "layers.{}.mlp.up_proj.weight", X::kFfn, X::kHidden, R::kColumn, Part::kUp},
    {Slot::kFfnInBias, "layers.{}.mlp.gate_proj.bias", X::kFfn, X::kNone, R::kColumn, Part::kGate,
     kAsIs, HasFfnBias},
    {Slot::kFfnInBias, "layers.{}.mlp.up_proj.bias", X::kFfn, X::kNone, R::kColumn, Part::kUp,
     kAsIs, HasFfnBias},
    {Slot::kFfnOut, "layers.{}.mlp.down_proj.weight", X::kHidden, X::kFfn, R::kRow},
    {Slot::kFfnOutBias, "layers.{}.mlp.down_proj.bias", X::kHidden, X::kNone, R::kOnce, kWhole,
     kAsIs, HasFfnBias},
    {Slot::kFinalNormWeight, "norm.weight", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kHead, "lm_head.weight", X::kVocab, X::kEmbedDim, R::kVocab, kWhole, kAsIs,
     HasUntiedHead},
};

constexpr std::string_view kPrefixes[] = {"model."};

}  // namespace

constinit const FamilySpec kLlamaFamily = {"llama", ReadLlama, kWeights, kPrefixes};
constinit const FamilySpec kMistralFamily = {"mistral", ReadMistral, kWeights, kPrefixes};
constinit const FamilySpec kQwen2Family = {"qwen2", ReadQwen2, kWeights, kPrefixes};
constinit const FamilySpec kQwen3Family = {"qwen3", ReadQwen3, kWeights, kPrefixes};

}  // namespace dray::model
