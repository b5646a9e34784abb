// A model family as data: how its config.json is read, and which weights it has. A weight's row
// gives its name, its shape, how it is split over ranks and how it is brought into our layout. Each
// file in families/ fills one or more of these; no other code asks which family a model is.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/status.h"
#include "model/config/config_reader.h"
#include "model/config/model_config.h"

namespace dray::model {

// The weights that a forward pass uses: first those of the model, then those of a stack. A stack
// has one weight for each slot in [kFirstStackSlot, kFirstLayerSlot), and one weight for each layer
// for each of the later slots.
enum class Slot : uint8_t {
  kTokenEmbedding,  // [vocab, embed_dim]
  kProjectIn,       // [hidden, embed_dim]
  kProjectOut,      // [embed_dim, hidden]
  kHead,            // [vocab, embed_dim]
  kHeadBias,
  kClassifierDense,  // [hidden, hidden]
  kClassifierDenseBias,
  kClassifierOut,  // [labels, hidden]
  kClassifierOutBias,
  kPositionEmbedding,   // [positions, hidden]
  kTokenTypeEmbedding,  // [token types, hidden]
  kEmbeddingNormWeight,
  kEmbeddingNormBias,
  kFinalNormWeight,
  kFinalNormBias,
  kRelativeBias,  // [num_buckets, num_heads], bucket by bucket
  kAttentionNormWeight,
  kAttentionNormBias,
  kFfnNormWeight,
  kFfnNormBias,
  kQkv,  // [qkv_width, hidden]: query heads, key heads, value heads
  kQkvBias,
  kQueryNorm,     // [head_dim]
  kKeyNorm,       // [head_dim]
  kAttentionOut,  // [hidden, query_width]
  kAttentionOutBias,
  kCrossNormWeight,
  kCrossQuery,     // [query_width, hidden]
  kCrossKeyValue,  // [2 * kv_width, hidden]: key heads, value heads; of the encoder's states
  kCrossOut,       // [hidden, query_width]
  kFfnIn,          // [ffn, hidden]; gated: [2 * ffn, hidden], gates first
  kFfnInBias,
  kFfnOut,  // [hidden, ffn]
  kFfnOutBias,
};
inline constexpr int kNumSlots = static_cast<int>(Slot::kFfnOutBias) + 1;
inline constexpr Slot kFirstStackSlot = Slot::kPositionEmbedding;
inline constexpr Slot kFirstLayerSlot = Slot::kAttentionNormWeight;
// The layer of a slot that exists only once.
inline constexpr int64_t kNoLayer = -1;

// Which of a model's stacks a weight belongs to.
enum class ModelPart : uint8_t {
  kMain,     // the only one, or the decoder
  kEncoder,  // the encoder of an encoder-decoder
};

// The rows of its slot that a checkpoint tensor fills.
enum class Part : uint8_t { kWhole, kQuery, kKey, kValue, kGate, kUp };

// How a checkpoint tensor's rows are turned into the slot's rows.
enum class Transform : uint8_t {
  kNone,
  kTranspose,          // stored [in, out]
  kPerHeadQkv,         // rows (or elements) grouped by head: q, k, v of head 0, then of head 1, ...
  kInterleavedHalves,  // of each head, rows 0, half, 1, half + 1, ...
  kFlatten,            // a matrix becomes a vector, row behind row
};

// How a tensor is split over the ranks of a tensor-parallel group. Where the cuts are:
// parallel/shard.h.
enum class ShardRule : uint8_t {
  kReplicate,     // every rank holds all of it
  kColumnByHead,  // output features, by whole attention heads
  kColumn,        // output features
  kRow,           // input features: each rank has partial sums, which are added up
  kVocab,         // rows of a vocabulary
  kOnce,          // a bias that one rank adds after the sum
};

// The size of a tensor along one axis, after the transform.
enum class Extent : uint8_t {
  kNone,
  kHidden,
  kEmbedDim,
  kVocab,
  kPositions,
  kTokenTypes,
  kLabels,
  kQuery,
  kKv,
  kQkv,
  kFfn,
  kHeadDim,
  kHeads,
  kRelativeBuckets,
};

// One tensor of the checkpoint and its place in the model. A vector has no columns, unless it is a
// matrix in the checkpoint (Transform::kFlatten). In `name`, "{}" stands for the layer's
// number, and "|" separates alternatives, the usual one first.
struct WeightRow {
  Slot slot;
  std::string_view name;
  Extent rows = Extent::kNone;
  Extent cols = Extent::kNone;
  ShardRule shard = ShardRule::kReplicate;
  Part part = Part::kWhole;
  Transform transform = Transform::kNone;
  // Whether models of this configuration have the tensor; null: all have it.
  bool (*present)(const ModelConfig&) = nullptr;
};

struct FamilySpec {
  std::string_view model_type;  // its value in config.json
  Result<ModelConfig> (*read_config)(ConfigReader& config) = nullptr;
  std::span<const WeightRow> weights;
  // Prefixes that every name but the head's may have: the base model's name with its dot. Names are
  // also looked for without a prefix.
  std::span<const std::string_view> prefixes;
  ModelKind kind = ModelKind::kDecoder;
  // Of an encoder-decoder: those of its encoder, but for the token table.
  std::span<const WeightRow> encoder_weights = {};
};

// The size along `extent` of a tensor of the checkpoint; kPositions counts the rows of the position
// table. What a rank's slot has of it: weights/slot_slices.h.
int64_t ExtentOf(Extent extent, const ModelConfig& config);
bool IsPresent(const WeightRow& row, const ModelConfig& config);

// Every family that dray knows, sorted by model_type.
std::span<const FamilySpec* const> AllFamilies();
// Null if there is no family of this name.
const FamilySpec* FindFamily(std::string_view model_type);

}  // namespace dray::model
