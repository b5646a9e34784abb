// BERT and the families with its layers: RoBERTa, XLM-RoBERTa, CamemBERT. Their positions begin
// behind the padding token's row, and their heads have other names.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/families/encoder_config.h"
#include "model/families/families.h"
#include "model/families/family_config.h"

namespace dray::model {
namespace {

// More than any published model has (2), and few enough for any machine.
constexpr int64_t kMaxTokenTypes = 1024;

constexpr SizeKeys SizesOf(int64_t default_vocab) {
  return {.hidden = {"hidden_size"},
          .num_layers = {"num_hidden_layers"},
          .num_heads = {"num_attention_heads"},
          .default_vocab = default_vocab,
          .default_hidden = 768,
          .default_layers = 12,
          .default_heads = 12};
}

// What all of these families read alike, but for the positions.
Result<ModelConfig> ReadCommon(ConfigReader& reader, int64_t default_vocab) {
  const SizeKeys sizes = SizesOf(default_vocab);
  ModelConfig config;
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(ReadSizes(reader, sizes, config));
  DRAY_RETURN_IF_ERROR(SetHeadDim(reader, sizes, stack));
  DRAY_ASSIGN_OR_RETURN(stack.ffn, reader.Int("intermediate_size", 1, kMaxFfn, 3072));
  DRAY_ASSIGN_OR_RETURN(stack.num_token_types, reader.Int("type_vocab_size", 1, kMaxTokenTypes, 2));
  DRAY_RETURN_IF_ERROR(ReadNormEps(reader, "layer_norm_eps", 1e-12, stack));
  DRAY_RETURN_IF_ERROR(ReadActivation(reader, "hidden_act", "gelu", stack));
  DRAY_RETURN_IF_ERROR(reader.RefuseUnless("position_embedding_type", "absolute"));
  DRAY_RETURN_IF_ERROR(reader.RefuseUnless("is_decoder", false));
  (void)reader.Find("tie_word_embeddings");  // of the head that is left out
  SetBertLine(config);
  DRAY_RETURN_IF_ERROR(ReadClassifier(reader, Activation::kTanh, config));
  return config;
}

Result<ModelConfig> ReadBert(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(ModelConfig config, ReadCommon(reader, 30522));
  DRAY_ASSIGN_OR_RETURN(config.stack.max_positions,
                        reader.Int("max_position_embeddings", 1, kMaxPositions, 512));
  return config;
}

// Position 0 is the row behind the padding token's id.
Result<ModelConfig> ReadRobertaLine(ConfigReader& reader, int64_t default_vocab) {
  DRAY_ASSIGN_OR_RETURN(ModelConfig config, ReadCommon(reader, default_vocab));
  StackConfig& stack = config.stack;
  DRAY_ASSIGN_OR_RETURN(const int64_t pad, reader.Int("pad_token_id", 0, config.vocab_size - 1, 1));
  DRAY_ASSIGN_OR_RETURN(const int64_t rows,
                        reader.Int("max_position_embeddings", 1, kMaxPositions, 512));
  if (rows <= pad + 1) {
    return reader.Refuse(
        "max_position_embeddings",
        fmt::format("it must be above {}, since the first position is the row behind that of "
                    "pad_token_id, {}",
                    pad + 1, pad));
  }
  stack.position_offset = pad + 1;
  stack.max_positions = rows - stack.position_offset;
  stack.unplaced_token = static_cast<int32_t>(pad);
  return config;
}

Result<ModelConfig> ReadRoberta(ConfigReader& reader) { return ReadRobertaLine(reader, 50265); }
Result<ModelConfig> ReadXlmRoberta(ConfigReader& reader) { return ReadRobertaLine(reader, 30522); }

using X = Extent;
using R = ShardRule;
constexpr Part kWhole = Part::kWhole;
constexpr Transform kAsIs = Transform::kNone;

// The first files of BERT call the norms' weights gamma and beta.
constexpr WeightRow kStack[] = {
    {Slot::kTokenEmbedding, "embeddings.word_embeddings.weight", X::kVocab, X::kEmbedDim,
     R::kVocab},
    {Slot::kPositionEmbedding, "embeddings.position_embeddings.weight", X::kPositions, X::kHidden,
     R::kReplicate},
    {Slot::kTokenTypeEmbedding, "embeddings.token_type_embeddings.weight", X::kTokenTypes,
     X::kHidden, R::kReplicate},
    {Slot::kEmbeddingNormWeight, "embeddings.LayerNorm.weight|embeddings.LayerNorm.gamma",
     X::kHidden, X::kNone, R::kReplicate},
    {Slot::kEmbeddingNormBias, "embeddings.LayerNorm.bias|embeddings.LayerNorm.beta", X::kHidden,
     X::kNone, R::kReplicate},
    {Slot::kQkv, "encoder.layer.{}.attention.self.query.weight", X::kQuery, X::kHidden,
     R::kColumnByHead, Part::kQuery},
    {Slot::kQkv, "encoder.layer.{}.attention.self.key.weight", X::kKv, X::kHidden, R::kColumnByHead,
     Part::kKey},
    {Slot::kQkv, "encoder.layer.{}.attention.self.value.weight", X::kKv, X::kHidden,
     R::kColumnByHead, Part::kValue},
    {Slot::kQkvBias, "encoder.layer.{}.attention.self.query.bias", X::kQuery, X::kNone,
     R::kColumnByHead, Part::kQuery},
    {Slot::kQkvBias, "encoder.layer.{}.attention.self.key.bias", X::kKv, X::kNone, R::kColumnByHead,
     Part::kKey},
    {Slot::kQkvBias, "encoder.layer.{}.attention.self.value.bias", X::kKv, X::kNone,
     R::kColumnByHead, Part::kValue},
    {Slot::kAttentionOut, "encoder.layer.{}.attention.output.dense.weight", X::kHidden, X::kQuery,
     R::kRow},
    {Slot::kAttentionOutBias, "encoder.layer.{}.attention.output.dense.bias", X::kHidden, X::kNone,
     R::kOnce},
    {Slot::kAttentionNormWeight,
     "encoder.layer.{}.attention.output.LayerNorm.weight|"
     "encoder.layer.{}.attention.output.LayerNorm.gamma",
     X::kHidden, X::kNone, R::kReplicate},
    {Slot::kAttentionNormBias,
     "encoder.layer.{}.attention.output.LayerNorm.bias|"
     "encoder.layer.{}.attention.output.LayerNorm.beta",
     X::kHidden, X::kNone, R::kReplicate},
    {Slot::kFfnIn, "encoder.layer.{}.intermediate.dense.weight", X::kFfn, X::kHidden, R::kColumn},
    {Slot::kFfnInBias, "encoder.layer.{}.intermediate.dense.bias", X::kFfn, X::kNone, R::kColumn},
    {Slot::kFfnOut, "encoder.layer.{}.output.dense.weight", X::kHidden, X::kFfn, R::kRow},
    {Slot::kFfnOutBias, "encoder.layer.{}.output.dense.bias", X::kHidden, X::kNone, R::kOnce},
    {Slot::kFfnNormWeight,
     "encoder.layer.{}.output.LayerNorm.weight|encoder.layer.{}.output.LayerNorm.gamma", X::kHidden,
     X::kNone, R::kReplicate},
    {Slot::kFfnNormBias,
     "encoder.layer.{}.output.LayerNorm.bias|encoder.layer.{}.output.LayerNorm.beta", X::kHidden,
     X::kNone, R::kReplicate},
};

// BERT's classifier reads the pooler of its pre-training; RoBERTa's has a matrix of its own.
constexpr WeightRow kBertHead[] = {
    {Slot::kClassifierDense, "pooler.dense.weight", X::kHidden, X::kHidden, R::kReplicate, kWhole,
     kAsIs, HasClassifier},
    {Slot::kClassifierDenseBias, "pooler.dense.bias", X::kHidden, X::kNone, R::kReplicate, kWhole,
     kAsIs, HasClassifier},
    {Slot::kClassifierOut, "classifier.weight", X::kLabels, X::kHidden, R::kReplicate, kWhole,
     kAsIs, HasClassifier},
    {Slot::kClassifierOutBias, "classifier.bias", X::kLabels, X::kNone, R::kReplicate, kWhole,
     kAsIs, HasClassifier},
};
constexpr WeightRow kRobertaHead[] = {
    {Slot::kClassifierDense, "classifier.dense.weight", X::kHidden, X::kHidden, R::kReplicate,
     kWhole, kAsIs, HasClassifier},
    {Slot::kClassifierDenseBias, "classifier.dense.bias", X::kHidden, X::kNone, R::kReplicate,
     kWhole, kAsIs, HasClassifier},
    {Slot::kClassifierOut, "classifier.out_proj.weight", X::kLabels, X::kHidden, R::kReplicate,
     kWhole, kAsIs, HasClassifier},
    {Slot::kClassifierOutBias, "classifier.out_proj.bias", X::kLabels, X::kNone, R::kReplicate,
     kWhole, kAsIs, HasClassifier},
};

template <size_t kFirst, size_t kSecond>
constexpr std::array<WeightRow, kFirst + kSecond> Joined(const WeightRow (&first)[kFirst],
                                                         const WeightRow (&second)[kSecond]) {
  std::array<WeightRow, kFirst + kSecond> rows{};
  std::copy_n(first, kFirst, rows.begin());
  std::copy_n(second, kSecond, rows.begin() + kFirst);
  return rows;
}

constexpr auto kBertWeights = Joined(kStack, kBertHead);
constexpr auto kRobertaWeights = Joined(kStack, kRobertaHead);

constexpr std::string_view kBertPrefixes[] = {"bert."};
constexpr std::string_view kRobertaPrefixes[] = {"roberta."};

constexpr ModelKind kEncoder = ModelKind::kEncoder;

}  // namespace

constinit const FamilySpec kBertFamily = {"bert", ReadBert, kBertWeights, kBertPrefixes, kEncoder};
constinit const FamilySpec kCamembertFamily = {"camembert", ReadXlmRoberta, kRobertaWeights,
                                               kRobertaPrefixes, kEncoder};
constinit const FamilySpec kRobertaFamily = {"roberta", ReadRoberta, kRobertaWeights,
                                             kRobertaPrefixes, kEncoder};
constinit const FamilySpec kXlmRobertaFamily = {"xlm-roberta", ReadXlmRoberta, kRobertaWeights,
                                                kRobertaPrefixes, kEncoder};

}  // namespace dray::model
