// BLOOM: ALiBi instead of positions, a norm after the token table, query/key/value rows stored head
// by head.
#include <algorithm>

#include "model/families/alibi.h"
#include "model/families/families.h"
#include "model/families/family_config.h"

namespace dray::model {
namespace {

constexpr SizeKeys kSizes = {
    .hidden = {"hidden_size", "n_embed"},
    .num_layers = {"n_layer", "num_hidden_layers"},
    .num_heads = {"n_head", "num_attention_heads"},
    .default_vocab = 250880,
    .default_hidden = 64,
    .default_layers = 2,
    .default_heads = 8,
};

// ALiBi has no table that ends, and transformers sets no limit. seq_length is the length that the
// model was trained with. Only some files have it, and in small test models it is a few tokens, so
// it may raise this limit but not lower it. Every published BLOOM was trained with 2048.
constexpr int64_t kTrainedContext = 2048;

Result<ModelConfig> ReadConfig(ConfigReader& reader) {
  ModelConfig config;
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(ReadSizes(reader, kSizes, config));
  DRAY_RETURN_IF_ERROR(SetHeadDim(reader, kSizes, stack));
  DRAY_ASSIGN_OR_RETURN(stack.max_positions,
                        reader.Int("seq_length", 1, kMaxPositions, kTrainedContext));
  stack.max_positions = std::max(stack.max_positions, kTrainedContext);
  stack.ffn = 4 * stack.hidden;
  (void)reader.Find("n_inner");  // transformers ignores this key; the weights' shapes are checked
  DRAY_RETURN_IF_ERROR(ReadNormEps(reader, "layer_norm_epsilon", 1e-5, stack));
  DRAY_ASSIGN_OR_RETURN(stack.residual_after_norm,
                        reader.Bool("apply_residual_connection_post_layernorm", false));
  DRAY_ASSIGN_OR_RETURN(config.tied_head, reader.Bool("tie_word_embeddings", true));
  stack.activation = Activation::kGeluTanh;
  stack.embedding_norm = true;
  stack.position = PositionKind::kAlibi;
  stack.alibi_slopes = AlibiSlopes(stack.num_heads);
  stack.qkv_bias = true;
  stack.attention_out_bias = true;
  stack.ffn_bias = true;
  SetPlainAttention(stack);
  config.bos_token_id = 1;
  config.eos_token_ids = {2};
  return config;
}

using X = Extent;
using R = ShardRule;
constexpr Part kWhole = Part::kWhole;
constexpr Transform kPerHead = Transform::kPerHeadQkv;

constexpr WeightRow kWeights[] = {
    {Slot::kTokenEmbedding, "word_embeddings.weight", X::kVocab, X::kEmbedDim, R::kVocab},
    {Slot::kEmbeddingNormWeight, "word_embeddings_layernorm.weight", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kEmbeddingNormBias, "word_embeddings_layernorm.bias", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kAttentionNormWeight, "h.{}.input_layernorm.weight", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kAttentionNormBias, "h.{}.input_layernorm.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kQkv, "h.{}.self_attention.query_key_value.weight", X::kQkv, X::kHidden,
     R::kColumnByHead, kWhole, kPerHead},
    {Slot::kQkvBias, "h.{}.self_attention.query_key_value.bias", X::kQkv, X::kNone,
     R::kColumnByHead, kWhole, kPerHead},
    {Slot::kAttentionOut, "h.{}.self_attention.dense.weight", X::kHidden, X::kQuery, R::kRow},
    {Slot::kAttentionOutBias, "h.{}.self_attention.dense.bias", X::kHidden, X::kNone, R::kOnce},
    {Slot::kFfnNormWeight, "h.{}.post_attention_layernorm.weight", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kFfnNormBias, "h.{}.post_attention_layernorm.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kFfnIn, "h.{}.mlp.dense_h_to_4h.weight", X::kFfn, X::kHidden, R::kColumn},
    {Slot::kFfnInBias, "h.{}.mlp.dense_h_to_4h.bias", X::kFfn, X::kNone, R::kColumn},
    {Slot::kFfnOut, "h.{}.mlp.dense_4h_to_h.weight", X::kHidden, X::kFfn, R::kRow},
    {Slot::kFfnOutBias, "h.{}.mlp.dense_4h_to_h.bias", X::kHidden, X::kNone, R::kOnce},
    {Slot::kFinalNormWeight, "ln_f.weight", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kFinalNormBias, "ln_f.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kHead, "lm_head.weight", X::kVocab, X::kEmbedDim, R::kVocab, kWhole, Transform::kNone,
     HasUntiedHead},
};

constexpr std::string_view kPrefixes[] = {"transformer."};

}  // namespace

constinit const FamilySpec kBloomFamily = {"bloom", ReadConfig, kWeights, kPrefixes};

}  // namespace dray::model
