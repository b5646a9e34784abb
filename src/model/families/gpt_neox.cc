// GPT-NeoX and Pythia: attention and feed-forward each have a norm and run in parallel or one after
// the other; a part of each head is rotated; query/key/value rows are stored head by head.
#include "model/families/families.h"
#include "model/families/family_config.h"
#include "model/families/rope_config.h"

namespace dray::model {
namespace {

constexpr SizeKeys kSizes = {
    .hidden = {"hidden_size"},
    .num_layers = {"num_hidden_layers"},
    .num_heads = {"num_attention_heads"},
    .default_vocab = 50432,
    .default_hidden = 6144,
    .default_layers = 44,
    .default_heads = 64,
};

constexpr RopeKeys kRope = {
    .base = "rotary_emb_base", .fraction = "rotary_pct", .default_fraction = 0.25};

Result<ModelConfig> ReadConfig(ConfigReader& reader) {
  ModelConfig config;
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(ReadSizes(reader, kSizes, config));
  DRAY_RETURN_IF_ERROR(SetHeadDim(reader, kSizes, stack));
  DRAY_RETURN_IF_ERROR(ReadRope(reader, kRope, 2048, stack));
  DRAY_ASSIGN_OR_RETURN(stack.ffn, reader.Int("intermediate_size", 1, kMaxFfn, 24576));
  DRAY_RETURN_IF_ERROR(ReadNormEps(reader, "layer_norm_eps", 1e-5, stack));
  DRAY_RETURN_IF_ERROR(ReadActivation(reader, "hidden_act", "gelu", stack));
  DRAY_ASSIGN_OR_RETURN(const bool parallel, reader.Bool("use_parallel_residual", true));
  stack.residual = parallel ? ResidualForm::kParallelTwoNorms : ResidualForm::kSequential;
  DRAY_ASSIGN_OR_RETURN(stack.qkv_bias, reader.Bool("attention_bias", true));
  stack.attention_out_bias = stack.qkv_bias;
  stack.ffn_bias = true;
  DRAY_ASSIGN_OR_RETURN(config.tied_head, reader.Bool("tie_word_embeddings", false));
  SetPlainAttention(stack);
  config.bos_token_id = 0;
  config.eos_token_ids = {2};
  return config;
}

using X = Extent;
using R = ShardRule;
constexpr Part kWhole = Part::kWhole;
constexpr Transform kAsIs = Transform::kNone;
constexpr Transform kPerHead = Transform::kPerHeadQkv;

constexpr WeightRow kWeights[] = {
    {Slot::kTokenEmbedding, "embed_in.weight", X::kVocab, X::kEmbedDim, R::kVocab},
    {Slot::kAttentionNormWeight, "layers.{}.input_layernorm.weight", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kAttentionNormBias, "layers.{}.input_layernorm.bias", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kQkv, "layers.{}.attention.query_key_value.weight", X::kQkv, X::kHidden,
     R::kColumnByHead, kWhole, kPerHead},
    {Slot::kQkvBias, "layers.{}.attention.query_key_value.bias", X::kQkv, X::kNone,
     R::kColumnByHead, kWhole, kPerHead, HasQkvBias},
    {Slot::kAttentionOut, "layers.{}.attention.dense.weight", X::kHidden, X::kQuery, R::kRow},
    {Slot::kAttentionOutBias, "layers.{}.attention.dense.bias", X::kHidden, X::kNone, R::kOnce,
     kWhole, kAsIs, HasAttentionOutBias},
    {Slot::kFfnNormWeight, "layers.{}.post_attention_layernorm.weight", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kFfnNormBias, "layers.{}.post_attention_layernorm.bias", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kFfnIn, "layers.{}.mlp.dense_h_to_4h.weight", X::kFfn, X::kHidden, R::kColumn},
    {Slot::kFfnInBias, "layers.{}.mlp.dense_h_to_4h.bias", X::kFfn, X::kNone, R::kColumn},
    {Slot::kFfnOut, "layers.{}.mlp.dense_4h_to_h.weight", X::kHidden, X::kFfn, R::kRow},
    {Slot::kFfnOutBias, "layers.{}.mlp.dense_4h_to_h.bias", X::kHidden, X::kNone, R::kOnce},
    {Slot::kFinalNormWeight, "final_layer_norm.weight", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kFinalNormBias, "final_layer_norm.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kHead, "embed_out.weight|lm_head.weight", X::kVocab, X::kEmbedDim, R::kVocab, kWhole,
     kAsIs, HasUntiedHead},
};

constexpr std::string_view kPrefixes[] = {"gpt_neox."};

}  // namespace

constinit const FamilySpec kGptNeoxFamily = {"gpt_neox", ReadConfig, kWeights, kPrefixes};

}  // namespace dray::model
