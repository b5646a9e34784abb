// GPT-2: pre-norm, learned positions, one fused query/key/value matrix, all matrices stored
// transposed ("Conv1D").
#include <array>
#include <cmath>

#include "model/families/families.h"
#include "model/families/family_config.h"

namespace dray::model {
namespace {

constexpr SizeKeys kSizes = {
    .hidden = {"n_embd", "hidden_size"},
    .num_layers = {"n_layer", "num_hidden_layers"},
    .num_heads = {"n_head", "num_attention_heads"},
    .default_vocab = 50257,
    .default_hidden = 768,
    .default_layers = 12,
    .default_heads = 12,
};

Status ReadAttentionScale(ConfigReader& reader, StackConfig& stack) {
  SetPlainAttention(stack);
  DRAY_ASSIGN_OR_RETURN(const bool by_width, reader.Bool("scale_attn_weights", true));
  DRAY_ASSIGN_OR_RETURN(const bool by_layer, reader.Bool("scale_attn_by_inverse_layer_idx", false));
  // This key asks for scores in f32, which dray uses anyway.
  DRAY_RETURN_IF_ERROR(reader.Bool("reorder_and_upcast_attn", false).status());
  const double base = by_width ? 1.0 / std::sqrt(static_cast<double>(stack.head_dim)) : 1.0;
  for (size_t layer = 0; layer < stack.attention_scale.size(); ++layer) {
    const double divisor = by_layer ? static_cast<double>(layer + 1) : 1.0;
    stack.attention_scale[layer] = static_cast<float>(base / divisor);
  }
  return OkStatus();
}

Result<ModelConfig> ReadConfig(ConfigReader& reader) {
  ModelConfig config;
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(ReadSizes(reader, kSizes, config));
  DRAY_RETURN_IF_ERROR(SetHeadDim(reader, kSizes, stack));
  DRAY_ASSIGN_OR_RETURN(
      stack.max_positions,
      reader.Int(KeyAndSynonym{"n_positions", "max_position_embeddings"}, 1, kMaxPositions, 1024));
  DRAY_ASSIGN_OR_RETURN(stack.ffn, reader.Int("n_inner", 1, kMaxFfn, 4 * stack.hidden));
  DRAY_RETURN_IF_ERROR(ReadNormEps(reader, "layer_norm_epsilon", 1e-5, stack));
  DRAY_RETURN_IF_ERROR(ReadActivation(reader, "activation_function", "gelu_new", stack));
  DRAY_RETURN_IF_ERROR(ReadAttentionScale(reader, stack));
  DRAY_ASSIGN_OR_RETURN(config.tied_head, reader.Bool("tie_word_embeddings", true));
  stack.position = PositionKind::kLearned;
  stack.qkv_bias = true;
  stack.attention_out_bias = true;
  stack.ffn_bias = true;
  config.bos_token_id = 50256;
  config.eos_token_ids = {50256};
  return config;
}

using X = Extent;
using R = ShardRule;
constexpr Part kWhole = Part::kWhole;
constexpr Transform kTransposed = Transform::kTranspose;

constexpr WeightRow kWeights[] = {
    {Slot::kTokenEmbedding, "wte.weight", X::kVocab, X::kEmbedDim, R::kVocab},
    {Slot::kPositionEmbedding, "wpe.weight", X::kPositions, X::kHidden, R::kReplicate},
    {Slot::kAttentionNormWeight, "h.{}.ln_1.weight", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kAttentionNormBias, "h.{}.ln_1.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kQkv, "h.{}.attn.c_attn.weight", X::kQkv, X::kHidden, R::kColumnByHead, kWhole,
     kTransposed},
    {Slot::kQkvBias, "h.{}.attn.c_attn.bias", X::kQkv, X::kNone, R::kColumnByHead},
    {Slot::kAttentionOut, "h.{}.attn.c_proj.weight", X::kHidden, X::kQuery, R::kRow, kWhole,
     kTransposed},
    {Slot::kAttentionOutBias, "h.{}.attn.c_proj.bias", X::kHidden, X::kNone, R::kOnce},
    {Slot::kFfnNormWeight, "h.{}.ln_2.weight", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kFfnNormBias, "h.{}.ln_2.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kFfnIn, "h.{}.mlp.c_fc.weight", X::kFfn, X::kHidden, R::kColumn, kWhole, kTransposed},
    {Slot::kFfnInBias, "h.{}.mlp.c_fc.bias", X::kFfn, X::kNone, R::kColumn},
    {Slot::kFfnOut, "h.{}.mlp.c_proj.weight", X::kHidden, X::kFfn, R::kRow, kWhole, kTransposed},
    {Slot::kFfnOutBias, "h.{}.mlp.c_proj.bias", X::kHidden, X::kNone, R::kOnce},
    {Slot::kFinalNormWeight, "ln_f.weight", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kFinalNormBias, "ln_f.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kHead, "lm_head.weight", X::kVocab, X::kEmbedDim, R::kVocab, kWhole, Transform::kNone,
     HasUntiedHead},
};

constexpr std::string_view kPrefixes[] = {"transformer."};

}  // namespace

constinit const FamilySpec kGpt2Family = {"gpt2", ReadConfig, kWeights, kPrefixes};

}  // namespace dray::model
