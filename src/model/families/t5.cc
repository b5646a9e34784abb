// T5, v1.0 and v1.1 (FLAN-T5, UL2), and mT5: an encoder that reads the text and a decoder that writes the
// answer. Their layers have norms without means, scores without a scale, and relative positions, in one
// table for each of the two stacks.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>

#include "model/families/families.h"
#include "model/families/family_config.h"

namespace dray::model {
namespace {

// More buckets and longer distances than any published model has (32 and 128), and so few that their
// biases fit any machine.
constexpr int64_t kMaxBuckets = 4096;
constexpr int64_t kMaxDistance = int64_t{1} << 16;

// Relative positions have no end. This is how far FLAN-UL2 was trained; a user may ask for more.
constexpr int64_t kUsualContextTokens = 2048;

constexpr std::array<std::string_view, 2> kLanguageHeads = {"ForConditionalGeneration",
                                                            "WithLMHeadModel"};

SizeKeys SizesOf(int64_t default_vocab, int64_t default_layers, int64_t default_heads) {
  return {.hidden = {"d_model", "hidden_size"},
          .num_layers = {"num_layers", "num_hidden_layers"},
          .num_heads = {"num_heads", "num_attention_heads"},
          .default_vocab = default_vocab,
          .default_hidden = 512,
          .default_layers = default_layers,
          .default_heads = default_heads};
}

Status CheckHead(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(const auto names, reader.Names("architectures"));
  for (const std::string& name : names) {
    if (std::any_of(kLanguageHeads.begin(), kLanguageHeads.end(),
                    [&](std::string_view head) { return name.ends_with(head); })) {
      continue;
    }
    return reader.RefuseUnsupported(
        "architectures",
        "of these models dray has those that generate text; use a checkpoint whose "
        "architecture ends in ForConditionalGeneration");
  }
  return OkStatus();
}

// "relu", "gated-gelu" and so on. "gated-gelu" is the tanh form, as transformers reads it.
Status ReadFeedForward(ConfigReader& reader, std::string_view default_value, StackConfig& stack) {
  constexpr std::string_view kGated = "gated-";
  constexpr std::string_view kKey = "feed_forward_proj";
  DRAY_ASSIGN_OR_RETURN(std::string name, reader.String(kKey, default_value));
  stack.gated = name.starts_with(kGated);
  if (stack.gated) name.erase(0, kGated.size());
  if (stack.gated && name == "gelu") name = "gelu_new";
  DRAY_RETURN_IF_ERROR(ParseActivation(reader, kKey, name, stack));
  // What newer files state once more.
  if (reader.Has("dense_act_fn")) {
    DRAY_RETURN_IF_ERROR(ReadActivation(reader, "dense_act_fn", name, stack));
  }
  DRAY_ASSIGN_OR_RETURN(const bool gated, reader.Bool("is_gated_act", stack.gated));
  if (gated == stack.gated) return OkStatus();
  return reader.Refuse("is_gated_act",
                       fmt::format("{} makes it {}: remove the wrong one", kKey, stack.gated));
}

Status ReadRelativePositions(ConfigReader& reader, RelativePositions& relative) {
  constexpr std::string_view kDistance = "relative_attention_max_distance";
  // An encoder has half of the buckets for each direction, and half of these for single distances.
  DRAY_ASSIGN_OR_RETURN(relative.num_buckets,
                        reader.Int("relative_attention_num_buckets", 4, kMaxBuckets, 32));
  DRAY_ASSIGN_OR_RETURN(relative.max_distance, reader.Int(kDistance, 1, kMaxDistance, 128));
  const int64_t num_exact = relative.num_buckets / 2;
  if (relative.max_distance > num_exact) return OkStatus();
  return reader.Refuse(kDistance,
                       fmt::format("it must be above {}, since half of the buckets are for shorter "
                                   "distances",
                                   num_exact));
}

// The choices of both stacks, and the sizes of the decoder's.
Status ReadStack(ConfigReader& reader, const SizeKeys& sizes, ModelConfig& config) {
  StackConfig& stack = config.stack;
  DRAY_RETURN_IF_ERROR(ReadSizes(reader, sizes, config));
  DRAY_ASSIGN_OR_RETURN(stack.head_dim,
                        reader.Int(KeyAndSynonym{"d_kv", "head_dim"}, 1, kMaxHeadDim, 64));
  DRAY_RETURN_IF_ERROR(ReadNormEps(reader, "layer_norm_epsilon", 1e-6, stack));
  DRAY_RETURN_IF_ERROR(ReadRelativePositions(reader, stack.relative));
  stack.norm = NormKind::kRmsNorm;
  stack.norm_bias = false;
  stack.position = PositionKind::kRelative;
  stack.max_positions = kMaxPositions;
  (void)reader.Find("n_positions");  // of training; there is no table of positions
  config.usual_context_tokens = kUsualContextTokens;
  return OkStatus();
}

// The scores have no scale.
void SetLayers(int64_t num_layers, StackConfig& stack) {
  stack.num_layers = num_layers;
  stack.attention_scale.assign(static_cast<size_t>(num_layers), 1.0f);
  stack.window.assign(static_cast<size_t>(num_layers), 0);
}

// Makes the two stacks of one: the number of layers that was read is the encoder's.
Status DivideStacks(ConfigReader& reader, ModelConfig& config) {
  const int64_t encoder_layers = config.stack.num_layers;
  DRAY_ASSIGN_OR_RETURN(const int64_t decoder_layers,
                        reader.Int("num_decoder_layers", 1, kMaxLayers, encoder_layers));
  config.encoder = config.stack;
  config.encoder->mask = AttentionMask::kFull;
  SetLayers(encoder_layers, *config.encoder);
  SetLayers(decoder_layers, config.stack);
  config.stack.cross_attention = true;
  return OkStatus();
}

Status ReadStartToken(ConfigReader& reader, ModelConfig& config) {
  const int64_t last = config.vocab_size - 1;
  DRAY_ASSIGN_OR_RETURN(const int64_t pad, reader.Int("pad_token_id", 0, last, 0));
  DRAY_ASSIGN_OR_RETURN(const int64_t start, reader.Int("decoder_start_token_id", 0, last, pad));
  config.decoder_start_token_id = static_cast<int32_t>(start);
  config.eos_token_ids = {1};
  return OkStatus();
}

struct Defaults {
  SizeKeys sizes;
  int64_t ffn = 0;
  std::string_view feed_forward;
};

Result<ModelConfig> ReadCommon(ConfigReader& reader, const Defaults& defaults) {
  ModelConfig config;
  config.kind = ModelKind::kEncoderDecoder;
  DRAY_RETURN_IF_ERROR(CheckHead(reader));
  DRAY_RETURN_IF_ERROR(reader.RefuseUnless("is_encoder_decoder", true));
  DRAY_RETURN_IF_ERROR(ReadStack(reader, defaults.sizes, config));
  DRAY_ASSIGN_OR_RETURN(config.stack.ffn, reader.Int("d_ff", 1, kMaxFfn, defaults.ffn));
  DRAY_RETURN_IF_ERROR(ReadFeedForward(reader, defaults.feed_forward, config.stack));
  DRAY_RETURN_IF_ERROR(DivideStacks(reader, config));
  DRAY_RETURN_IF_ERROR(ReadStartToken(reader, config));
  DRAY_ASSIGN_OR_RETURN(config.tied_head, reader.Bool("tie_word_embeddings", true));
  return config;
}

// v1.0 scales the head's input, v1.1 does not. In older files that depends on whether the head is the
// token table; files of newer programs state it, and call every head a token table.
Result<ModelConfig> ReadT5(ConfigReader& reader) {
  DRAY_ASSIGN_OR_RETURN(ModelConfig config,
                        ReadCommon(reader, {SizesOf(32128, 6, 8), 2048, "relu"}));
  DRAY_ASSIGN_OR_RETURN(const bool is_scaled,
                        reader.Bool("scale_decoder_outputs", config.tied_head));
  if (is_scaled) {
    config.head_scale =
        static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.stack.hidden)));
  }
  return config;
}

Result<ModelConfig> ReadMt5(ConfigReader& reader) {
  return ReadCommon(reader, {SizesOf(250112, 8, 6), 1024, "gated-gelu"});
}

bool IsGated(const ModelConfig& config) { return config.stack.gated; }
bool IsNotGated(const ModelConfig& config) { return !config.stack.gated; }

using X = Extent;
using R = ShardRule;
constexpr Part kWhole = Part::kWhole;
constexpr Transform kAsIs = Transform::kNone;

constexpr WeightRow kEncoderWeights[] = {
    {Slot::kRelativeBias, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
     X::kRelativeBuckets, X::kHeads, R::kReplicate, kWhole, Transform::kFlatten},
    {Slot::kAttentionNormWeight, "encoder.block.{}.layer.0.layer_norm.weight", X::kHidden},
    {Slot::kQkv, "encoder.block.{}.layer.0.SelfAttention.q.weight", X::kQuery, X::kHidden,
     R::kColumnByHead, Part::kQuery},
    {Slot::kQkv, "encoder.block.{}.layer.0.SelfAttention.k.weight", X::kKv, X::kHidden,
     R::kColumnByHead, Part::kKey},
    {Slot::kQkv, "encoder.block.{}.layer.0.SelfAttention.v.weight", X::kKv, X::kHidden,
     R::kColumnByHead, Part::kValue},
    {Slot::kAttentionOut, "encoder.block.{}.layer.0.SelfAttention.o.weight", X::kHidden, X::kQuery,
     R::kRow},
    {Slot::kFfnNormWeight, "encoder.block.{}.layer.1.layer_norm.weight", X::kHidden},
    {Slot::kFfnIn, "encoder.block.{}.layer.1.DenseReluDense.wi.weight", X::kFfn, X::kHidden,
     R::kColumn, kWhole, kAsIs, IsNotGated},
    {Slot::kFfnIn, "encoder.block.{}.layer.1.DenseReluDense.wi_0.weight", X::kFfn, X::kHidden,
     R::kColumn, Part::kGate, kAsIs, IsGated},
    {Slot::kFfnIn, "encoder.block.{}.layer.1.DenseReluDense.wi_1.weight", X::kFfn, X::kHidden,
     R::kColumn, Part::kUp, kAsIs, IsGated},
    {Slot::kFfnOut, "encoder.block.{}.layer.1.DenseReluDense.wo.weight", X::kHidden, X::kFfn,
     R::kRow},
    {Slot::kFinalNormWeight, "encoder.final_layer_norm.weight", X::kHidden},
};

constexpr WeightRow kWeights[] = {
    {Slot::kTokenEmbedding, "shared.weight|encoder.embed_tokens.weight|decoder.embed_tokens.weight",
     X::kVocab, X::kEmbedDim, R::kVocab},
    {Slot::kRelativeBias, "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
     X::kRelativeBuckets, X::kHeads, R::kReplicate, kWhole, Transform::kFlatten},
    {Slot::kAttentionNormWeight, "decoder.block.{}.layer.0.layer_norm.weight", X::kHidden},
    {Slot::kQkv, "decoder.block.{}.layer.0.SelfAttention.q.weight", X::kQuery, X::kHidden,
     R::kColumnByHead, Part::kQuery},
    {Slot::kQkv, "decoder.block.{}.layer.0.SelfAttention.k.weight", X::kKv, X::kHidden,
     R::kColumnByHead, Part::kKey},
    {Slot::kQkv, "decoder.block.{}.layer.0.SelfAttention.v.weight", X::kKv, X::kHidden,
     R::kColumnByHead, Part::kValue},
    {Slot::kAttentionOut, "decoder.block.{}.layer.0.SelfAttention.o.weight", X::kHidden, X::kQuery,
     R::kRow},
    {Slot::kCrossNormWeight, "decoder.block.{}.layer.1.layer_norm.weight", X::kHidden},
    {Slot::kCrossQuery, "decoder.block.{}.layer.1.EncDecAttention.q.weight", X::kQuery, X::kHidden,
     R::kColumnByHead},
    {Slot::kCrossKeyValue, "decoder.block.{}.layer.1.EncDecAttention.k.weight", X::kKv, X::kHidden,
     R::kColumnByHead, Part::kKey},
    {Slot::kCrossKeyValue, "decoder.block.{}.layer.1.EncDecAttention.v.weight", X::kKv, X::kHidden,
     R::kColumnByHead, Part::kValue},
    {Slot::kCrossOut, "decoder.block.{}.layer.1.EncDecAttention.o.weight", X::kHidden, X::kQuery,
     R::kRow},
    {Slot::kFfnNormWeight, "decoder.block.{}.layer.2.layer_norm.weight", X::kHidden},
    {Slot::kFfnIn, "decoder.block.{}.layer.2.DenseReluDense.wi.weight", X::kFfn, X::kHidden,
     R::kColumn, kWhole, kAsIs, IsNotGated},
    {Slot::kFfnIn, "decoder.block.{}.layer.2.DenseReluDense.wi_0.weight", X::kFfn, X::kHidden,
     R::kColumn, Part::kGate, kAsIs, IsGated},
    {Slot::kFfnIn, "decoder.block.{}.layer.2.DenseReluDense.wi_1.weight", X::kFfn, X::kHidden,
     R::kColumn, Part::kUp, kAsIs, IsGated},
    {Slot::kFfnOut, "decoder.block.{}.layer.2.DenseReluDense.wo.weight", X::kHidden, X::kFfn,
     R::kRow},
    {Slot::kFinalNormWeight, "decoder.final_layer_norm.weight", X::kHidden},
    {Slot::kHead, "lm_head.weight", X::kVocab, X::kEmbedDim, R::kVocab, kWhole, kAsIs,
     HasUntiedHead},
};

constexpr ModelKind kEncoderDecoder = ModelKind::kEncoderDecoder;

}  // namespace

constinit const FamilySpec kMt5Family = {"mt5", ReadMt5,         kWeights,
                                         {},    kEncoderDecoder, kEncoderWeights};
constinit const FamilySpec kT5Family = {"t5", ReadT5,          kWeights,
                                        {},   kEncoderDecoder, kEncoderWeights};

}  // namespace dray::model
