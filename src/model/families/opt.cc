// OPT: learned positions whose table begins at row 2, norms before or after each part, and in some
// sizes a token table narrower than the model.
#include "model/families/families.h"
#include "model/families/family_config.h"

namespace dray::model {
namespace {

constexpr SizeKeys kSizes = {
    .hidden = {"hidden_size"},
    .num_layers = {"num_hidden_layers"},
    .num_heads = {"num_attention_heads"},
    .default_vocab = 50272,
    .default_hidden = 768,
    .default_layers = 12,
    .default_heads = 12,
};

Status ReadNorms(ConfigReader& reader, StackConfig& stack) {
  DRAY_ASSIGN_OR_RETURN(const bool before, reader.Bool("do_layer_norm_before", true));
  DRAY_ASSIGN_OR_RETURN(const bool no_final, reader.Bool("_remove_final_layer_norm", false));
  DRAY_ASSIGN_OR_RETURN(stack.norm_affine, reader.Bool("layer_norm_elementwise_affine", true));
  stack.norm_bias = stack.norm_affine;
  stack.norm_placement = before ? NormPlacement::kPre : NormPlacement::kPost;
  stack.final_norm = before && !no_final;
  stack.norm_eps = 1e-5f;  // the configuration does not have it
  return OkStatus();
}

Result<ModelConfig> ReadConfig(ConfigReader& reader) {
  ModelConfig config;
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(ReadSizes(reader, kSizes, config));
  DRAY_RETURN_IF_ERROR(SetHeadDim(reader, kSizes, stack));
  DRAY_ASSIGN_OR_RETURN(config.embed_dim,
                        reader.Int("word_embed_proj_dim", 1, kMaxHidden, stack.hidden));
  DRAY_ASSIGN_OR_RETURN(stack.max_positions,
                        reader.Int("max_position_embeddings", 1, kMaxPositions, 2048));
  DRAY_ASSIGN_OR_RETURN(stack.ffn, reader.Int("ffn_dim", 1, kMaxFfn, 3072));
  DRAY_RETURN_IF_ERROR(ReadNorms(reader, stack));
  DRAY_RETURN_IF_ERROR(ReadActivation(reader, "activation_function", "relu", stack));
  DRAY_ASSIGN_OR_RETURN(stack.qkv_bias, reader.Bool("enable_bias", true));
  stack.attention_out_bias = stack.qkv_bias;
  stack.ffn_bias = stack.qkv_bias;
  DRAY_ASSIGN_OR_RETURN(config.tied_head, reader.Bool("tie_word_embeddings", true));
  stack.position = PositionKind::kLearned;
  stack.position_offset = 2;
  SetPlainAttention(stack);
  config.bos_token_id = 2;
  config.eos_token_ids = {2};
  return config;
}

bool HasProjections(const ModelConfig& config) { return config.embed_dim != config.stack.hidden; }
bool HasNormWeights(const ModelConfig& config) { return config.stack.norm_affine; }
bool HasFinalNormWeights(const ModelConfig& config) {
  return config.stack.final_norm && config.stack.norm_affine;
}

using X = Extent;
using R = ShardRule;
constexpr Part kWhole = Part::kWhole;
constexpr Transform kAsIs = Transform::kNone;

constexpr WeightRow kWeights[] = {
    {Slot::kTokenEmbedding, "decoder.embed_tokens.weight", X::kVocab, X::kEmbedDim, R::kVocab},
    {Slot::kPositionEmbedding, "decoder.embed_positions.weight", X::kPositions, X::kHidden,
     R::kReplicate},
    {Slot::kProjectIn, "decoder.project_in.weight", X::kHidden, X::kEmbedDim, R::kReplicate, kWhole,
     kAsIs, HasProjections},
    {Slot::kAttentionNormWeight, "decoder.layers.{}.self_attn_layer_norm.weight", X::kHidden,
     X::kNone, R::kReplicate, kWhole, kAsIs, HasNormWeights},
    {Slot::kAttentionNormBias, "decoder.layers.{}.self_attn_layer_norm.bias", X::kHidden, X::kNone,
     R::kReplicate, kWhole, kAsIs, HasNormWeights},
    {Slot::kQkv, "decoder.layers.{}.self_attn.q_proj.weight", X::kQuery, X::kHidden,
     R::kColumnByHead, Part::kQuery},
    {Slot::kQkv, "decoder.layers.{}.self_attn.k_proj.weight", X::kKv, X::kHidden, R::kColumnByHead,
     Part::kKey},
    {Slot::kQkv, "decoder.layers.{}.self_attn.v_proj.weight", X::kKv, X::kHidden, R::kColumnByHead,
     Part::kValue},
    {Slot::kQkvBias, "decoder.layers.{}.self_attn.q_proj.bias", X::kQuery, X::kNone,
     R::kColumnByHead, Part::kQuery, kAsIs, HasQkvBias},
    {Slot::kQkvBias, "decoder.layers.{}.self_attn.k_proj.bias", X::kKv, X::kNone, R::kColumnByHead,
     Part::kKey, kAsIs, HasQkvBias},
    {Slot::kQkvBias, "decoder.layers.{}.self_attn.v_proj.bias", X::kKv, X::kNone, R::kColumnByHead,
     Part::kValue, kAsIs, HasQkvBias},
    {Slot::kAttentionOut, "decoder.layers.{}.self_attn.out_proj.weight", X::kHidden, X::kQuery,
     R::kRow},
    {Slot::kAttentionOutBias, "decoder.layers.{}.self_attn.out_proj.bias", X::kHidden, X::kNone,
     R::kOnce, kWhole, kAsIs, HasAttentionOutBias},
    {Slot::kFfnNormWeight, "decoder.layers.{}.final_layer_norm.weight", X::kHidden, X::kNone,
     R::kReplicate, kWhole, kAsIs, HasNormWeights},
    {Slot::kFfnNormBias, "decoder.layers.{}.final_layer_norm.bias", X::kHidden, X::kNone,
     R::kReplicate, kWhole, kAsIs, HasNormWeights},
    {Slot::kFfnIn, "decoder.layers.{}.fc1.weight", X::kFfn, X::kHidden, R::kColumn},
    {Slot::kFfnInBias, "decoder.layers.{}.fc1.bias", X::kFfn, X::kNone, R::kColumn, kWhole, kAsIs,
     HasFfnBias},
    {Slot::kFfnOut, "decoder.layers.{}.fc2.weight", X::kHidden, X::kFfn, R::kRow},
    {Slot::kFfnOutBias, "decoder.layers.{}.fc2.bias", X::kHidden, X::kNone, R::kOnce, kWhole, kAsIs,
     HasFfnBias},
    {Slot::kFinalNormWeight, "decoder.final_layer_norm.weight", X::kHidden, X::kNone, R::kReplicate,
     kWhole, kAsIs, HasFinalNormWeights},
    {Slot::kFinalNormBias, "decoder.final_layer_norm.bias", X::kHidden, X::kNone, R::kReplicate,
     kWhole, kAsIs, HasFinalNormWeights},
    {Slot::kProjectOut, "decoder.project_out.weight", X::kEmbedDim, X::kHidden, R::kReplicate,
     kWhole, kAsIs, HasProjections},
    {Slot::kHead, "lm_head.weight", X::kVocab, X::kEmbedDim, R::kVocab, kWhole, kAsIs,
     HasUntiedHead},
};

constexpr std::string_view kPrefixes[] = {"model."};

}  // namespace

constinit const FamilySpec kOptFamily = {"opt", ReadConfig, kWeights, kPrefixes};

}  // namespace dray::model
