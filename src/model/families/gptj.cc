// GPT-J: one norm feeds both attention and feed-forward, and both results are added to the residual
// stream. The first rotary_dim dimensions of a head are rotated in neighbouring pairs.
#include <fmt/format.h>

#include "model/families/families.h"
#include "model/families/family_config.h"

namespace dray::model {
namespace {

constexpr SizeKeys kSizes = {
    .hidden = {"n_embd", "hidden_size"},
    .num_layers = {"n_layer", "num_hidden_layers"},
    .num_heads = {"n_head", "num_attention_heads"},
    .default_vocab = 50400,
    .default_hidden = 4096,
    .default_layers = 28,
    .default_heads = 16,
};

Status ReadRotary(ConfigReader& reader, StackConfig& stack) {
  // An explicit null means that whole heads are rotated; an absent key means 64.
  stack.rope.dim = reader.IsNull("rotary_dim") ? stack.head_dim : 64;
  if (reader.Has("rotary_dim")) {
    DRAY_ASSIGN_OR_RETURN(stack.rope.dim, reader.Int("rotary_dim", 2, kMaxHeadDim));
  }
  if (stack.rope.dim % 2 != 0 || stack.rope.dim > stack.head_dim) {
    return reader.Refuse("rotary_dim",
                         fmt::format("{} dimensions cannot be rotated in heads of {}: it must be "
                                     "even and not more than a head",
                                     stack.rope.dim, stack.head_dim));
  }
  stack.rope.exponent_dim = stack.rope.dim;
  stack.rope.style = RopeStyle::kInterleaved;
  stack.position = PositionKind::kRotary;
  return OkStatus();
}

Result<ModelConfig> ReadConfig(ConfigReader& reader) {
  ModelConfig config;
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(ReadSizes(reader, kSizes, config));
  DRAY_RETURN_IF_ERROR(SetHeadDim(reader, kSizes, stack));
  DRAY_RETURN_IF_ERROR(ReadRotary(reader, stack));
  DRAY_ASSIGN_OR_RETURN(
      stack.max_positions,
      reader.Int(KeyAndSynonym{"n_positions", "max_position_embeddings"}, 1, kMaxPositions, 2048));
  DRAY_ASSIGN_OR_RETURN(stack.ffn, reader.Int("n_inner", 1, kMaxFfn, 4 * stack.hidden));
  DRAY_RETURN_IF_ERROR(ReadNormEps(reader, "layer_norm_epsilon", 1e-5, stack));
  DRAY_RETURN_IF_ERROR(ReadActivation(reader, "activation_function", "gelu_new", stack));
  // These keys come from an older configuration that this one was derived from. Only these values
  // are used.
  DRAY_RETURN_IF_ERROR(reader.RefuseUnless("rotary", true));
  DRAY_RETURN_IF_ERROR(reader.RefuseUnless("scale_attn_weights", true));
  DRAY_ASSIGN_OR_RETURN(config.tied_head, reader.Bool("tie_word_embeddings", false));
  stack.residual = ResidualForm::kParallelOneNorm;
  stack.ffn_bias = true;
  config.head_bias = true;
  SetPlainAttention(stack);
  config.bos_token_id = 50256;
  config.eos_token_ids = {50256};
  return config;
}

using X = Extent;
using R = ShardRule;

constexpr WeightRow kWeights[] = {
    {Slot::kTokenEmbedding, "wte.weight", X::kVocab, X::kEmbedDim, R::kVocab},
    {Slot::kAttentionNormWeight, "h.{}.ln_1.weight", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kAttentionNormBias, "h.{}.ln_1.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kQkv, "h.{}.attn.q_proj.weight", X::kQuery, X::kHidden, R::kColumnByHead, Part::kQuery},
    {Slot::kQkv, "h.{}.attn.k_proj.weight", X::kKv, X::kHidden, R::kColumnByHead, Part::kKey},
    {Slot::kQkv, "h.{}.attn.v_proj.weight", X::kKv, X::kHidden, R::kColumnByHead, Part::kValue},
    {Slot::kAttentionOut, "h.{}.attn.out_proj.weight", X::kHidden, X::kQuery, R::kRow},
    {Slot::kFfnIn, "h.{}.mlp.fc_in.weight", X::kFfn, X::kHidden, R::kColumn},
    {Slot::kFfnInBias, "h.{}.mlp.fc_in.bias", X::kFfn, X::kNone, R::kColumn},
    {Slot::kFfnOut, "h.{}.mlp.fc_out.weight", X::kHidden, X::kFfn, R::kRow},
    {Slot::kFfnOutBias, "h.{}.mlp.fc_out.bias", X::kHidden, X::kNone, R::kOnce},
    {Slot::kFinalNormWeight, "ln_f.weight", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kFinalNormBias, "ln_f.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kHead, "lm_head.weight", X::kVocab, X::kEmbedDim, R::kVocab, Part::kWhole,
     Transform::kNone, HasUntiedHead},
    {Slot::kHeadBias, "lm_head.bias", X::kVocab, X::kNone, R::kVocab, Part::kWhole,
     Transform::kNone, HasHeadBias},
};

constexpr std::string_view kPrefixes[] = {"transformer."};

}  // namespace

constinit const FamilySpec kGptJFamily = {"gptj", ReadConfig, kWeights, kPrefixes};

}  // namespace dray::model
