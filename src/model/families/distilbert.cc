// DistilBERT: BERT's layers without token types, and a classifier with a relu.
#include "model/families/encoder_config.h"
#include "model/families/families.h"
#include "model/families/family_config.h"

namespace dray::model {
namespace {

constexpr SizeKeys kSizes = {
    .hidden = {"dim", "hidden_size"},
    .num_layers = {"n_layers", "num_hidden_layers"},
    .num_heads = {"n_heads", "num_attention_heads"},
    .default_vocab = 30522,
    .default_hidden = 768,
    .default_layers = 6,
    .default_heads = 12,
};

Result<ModelConfig> ReadConfig(ConfigReader& reader) {
  ModelConfig config;
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(ReadSizes(reader, kSizes, config));
  DRAY_RETURN_IF_ERROR(SetHeadDim(reader, kSizes, stack));
  DRAY_ASSIGN_OR_RETURN(stack.ffn, reader.Int("hidden_dim", 1, kMaxFfn, 3072));
  DRAY_ASSIGN_OR_RETURN(stack.max_positions,
                        reader.Int("max_position_embeddings", 1, kMaxPositions, 512));
  DRAY_RETURN_IF_ERROR(ReadActivation(reader, "activation", "gelu", stack));
  stack.norm_eps = 1e-12f;                   // the configuration does not have it
  (void)reader.Find("tie_word_embeddings");  // of the head that is left out
  SetBertLine(config);
  DRAY_RETURN_IF_ERROR(ReadClassifier(reader, Activation::kRelu, config));
  return config;
}

using X = Extent;
using R = ShardRule;
constexpr Part kWhole = Part::kWhole;
constexpr Transform kAsIs = Transform::kNone;

constexpr WeightRow kWeights[] = {
    {Slot::kTokenEmbedding, "embeddings.word_embeddings.weight", X::kVocab, X::kEmbedDim,
     R::kVocab},
    {Slot::kPositionEmbedding, "embeddings.position_embeddings.weight", X::kPositions, X::kHidden,
     R::kReplicate},
    {Slot::kEmbeddingNormWeight, "embeddings.LayerNorm.weight", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kEmbeddingNormBias, "embeddings.LayerNorm.bias", X::kHidden, X::kNone, R::kReplicate},
    {Slot::kQkv, "transformer.layer.{}.attention.q_lin.weight", X::kQuery, X::kHidden,
     R::kColumnByHead, Part::kQuery},
    {Slot::kQkv, "transformer.layer.{}.attention.k_lin.weight", X::kKv, X::kHidden,
     R::kColumnByHead, Part::kKey},
    {Slot::kQkv, "transformer.layer.{}.attention.v_lin.weight", X::kKv, X::kHidden,
     R::kColumnByHead, Part::kValue},
    {Slot::kQkvBias, "transformer.layer.{}.attention.q_lin.bias", X::kQuery, X::kNone,
     R::kColumnByHead, Part::kQuery},
    {Slot::kQkvBias, "transformer.layer.{}.attention.k_lin.bias", X::kKv, X::kNone,
     R::kColumnByHead, Part::kKey},
    {Slot::kQkvBias, "transformer.layer.{}.attention.v_lin.bias", X::kKv, X::kNone,
     R::kColumnByHead, Part::kValue},
    {Slot::kAttentionOut, "transformer.layer.{}.attention.out_lin.weight", X::kHidden, X::kQuery,
     R::kRow},
    {Slot::kAttentionOutBias, "transformer.layer.{}.attention.out_lin.bias", X::kHidden, X::kNone,
     R::kOnce},
    {Slot::kAttentionNormWeight, "transformer.layer.{}.sa_layer_norm.weight", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kAttentionNormBias, "transformer.layer.{}.sa_layer_norm.bias", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kFfnIn, "transformer.layer.{}.ffn.lin1.weight", X::kFfn, X::kHidden, R::kColumn},
    {Slot::kFfnInBias, "transformer.layer.{}.ffn.lin1.bias", X::kFfn, X::kNone, R::kColumn},
    {Slot::kFfnOut, "transformer.layer.{}.ffn.lin2.weight", X::kHidden, X::kFfn, R::kRow},
    {Slot::kFfnOutBias, "transformer.layer.{}.ffn.lin2.bias", X::kHidden, X::kNone, R::kOnce},
    {Slot::kFfnNormWeight, "transformer.layer.{}.output_layer_norm.weight", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kFfnNormBias, "transformer.layer.{}.output_layer_norm.bias", X::kHidden, X::kNone,
     R::kReplicate},
    {Slot::kClassifierDense, "pre_classifier.weight", X::kHidden, X::kHidden, R::kReplicate, kWhole,
     kAsIs, HasClassifier},
    {Slot::kClassifierDenseBias, "pre_classifier.bias", X::kHidden, X::kNone, R::kReplicate, kWhole,
     kAsIs, HasClassifier},
    {Slot::kClassifierOut, "classifier.weight", X::kLabels, X::kHidden, R::kReplicate, kWhole,
     kAsIs, HasClassifier},
    {Slot::kClassifierOutBias, "classifier.bias", X::kLabels, X::kNone, R::kReplicate, kWhole,
     kAsIs, HasClassifier},
};

constexpr std::string_view kPrefixes[] = {"distilbert."};

}  // namespace

constinit const FamilySpec kDistilBertFamily = {"distilbert", ReadConfig, kWeights, kPrefixes,
                                                ModelKind::kEncoder};

}  // namespace dray::model
