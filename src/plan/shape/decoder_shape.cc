#include "plan/shape/decoder_shape.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "model/config/local_stack.h"
#include "model/weights/slot_slices.h"
#include "model/weights/weights.h"

namespace dray::plan {
namespace {

using model::ModelConfig;
using model::ShardRule;
using model::Slot;
using model::StackConfig;
using model::WeightRow;
using parallel::Rank;
using parallel::Slice;
using parallel::Stage;

// Parts of one slot are one matrix, of which the first part stands for all.
bool IsFirstPart(model::Part part) {
  return part == model::Part::kWhole || part == model::Part::kQuery || part == model::Part::kGate;
}

// A token table that is also the head is read whole; only its rows as a head are multiplied.
WeightUse UseOf(Slot slot, const ModelConfig& config, Stage stage) {
  switch (slot) {
    case Slot::kTokenEmbedding:
      return config.tied_head && stage.is_last() ? WeightUse::kLogits : WeightUse::kLookup;
    case Slot::kPositionEmbedding:
      return WeightUse::kLookup;
    case Slot::kHead:
    case Slot::kHeadBias:
    case Slot::kProjectOut:
      return WeightUse::kLogits;
    default:
      return WeightUse::kToken;
  }
}

int64_t ModelPositions(const Slice& slice) {
  int64_t count = 0;
  for (const parallel::Piece& piece : slice.pieces) count += piece.count;
  return count;
}

int64_t SumsPerLayer(const StackConfig& stack) {
  return stack.residual == model::ResidualForm::kSequential ? 2 : 1;
}

ShapeFacts FactsOf(const model::ModelDescription& description) {
  const ModelConfig& config = description.config;
  const StackConfig& stack = config.stack;
  return {.name = config.family,
          .family = config.family,
          .parameters = description.num_parameters(),
          .vocab_size = config.vocab_size,
          .num_heads = stack.num_heads,
          .num_kv_heads = stack.num_kv_heads,
          .max_positions = stack.max_positions,
          .dtype = config.dtype,
          .streams = {{.num_layers = stack.num_layers,
                       .hidden = stack.hidden,
                       .embed_dim = config.embed_dim,
                       .sums_per_layer = SumsPerLayer(stack)}}};
}

ShapeFacts FactsOf(const StoredForms& stored) {
  ShapeFacts facts = FactsOf(stored.facts().description);
  facts.stored_format = stored.facts().format;
  facts.stored_table_format = stored.facts().table_format;
  facts.checkpoint_bytes = static_cast<double>(stored.facts().file_bytes);
  return facts;
}

bool AreAlike(const WeightShare& a, const WeightShare& b) {
  return a.name == b.name && a.rows == b.rows && a.cols == b.cols && a.stored == b.stored;
}

class DecoderShape final : public ModelShape {
 public:
  explicit DecoderShape(model::ModelDescription description)
      : ModelShape(FactsOf(description)), description_(std::move(description)) {}
  explicit DecoderShape(std::unique_ptr<StoredForms> stored)
      : ModelShape(FactsOf(*stored)),
        description_(stored->facts().description),
        stored_(std::move(stored)) {}

  RankShare ShareOf(Rank rank, Stage stage) const override {
    const ModelConfig& config = description_.config;
    const StackConfig local = LocalStack(config.stack, rank, stage);
    RankShare share;
    for (const WeightRow& row : description_.weights) {
      if (!IsPresent(row, config) || !IsFirstPart(row.part)) continue;
      if (row.slot >= model::kFirstLayerSlot) {
        AddLayers(row, rank, stage, share);
      } else if (StageHas(row.slot, model::kNoLayer, config, stage)) {
        share.weights.push_back(WeightOf(row, model::kNoLayer, rank, stage));
      }
    }
    share.attention = {{.kind = AttentionKind::kCausal,
                        .num_heads = local.num_heads,
                        .num_kv_heads = local.num_kv_heads,
                        .head_dim = local.head_dim,
                        .windows = local.window}};
    CountWorkingMemory(local, rank, stage, share);
    return share;
  }

 private:
  // Layers that store the row in the same form are one share.
  void AddLayers(const WeightRow& row, Rank rank, Stage stage, RankShare& share) const {
    const parallel::LayerRange layers =
        parallel::CutLayers(description_.config.stack.num_layers, stage);
    const size_t first = share.weights.size();
    for (int64_t layer = layers.begin; layer < layers.end; ++layer) {
      WeightShare weight = WeightOf(row, layer, rank, stage);
      const auto alike = std::find_if(
          share.weights.begin() + static_cast<std::ptrdiff_t>(first), share.weights.end(),
          [&](const WeightShare& other) { return AreAlike(other, weight); });
      if (alike != share.weights.end()) {
        ++alike->layers;
      } else {
        share.weights.push_back(weight);
      }
      if (stored_ != nullptr) continue;
      // Without files all layers are alike.
      share.weights.back().layers = layers.size();
      return;
    }
  }

  WeightShare WeightOf(const WeightRow& row, int64_t layer, Rank rank, Stage stage) const {
    const model::SlotSlices slices = SlicesOf(row, description_.config, rank);
    WeightShare weight = {
        .name = Name(row.slot),
        .use = UseOf(row.slot, description_.config, stage),
        .in_layers = row.slot >= model::kFirstLayerSlot,
        .is_matrix = model::IsMatrixSlot(row.slot),
        .rows = slices.rows.local_size,
        .cols = slices.cols.local_size,
        .first_col = slices.stored_columns().begin,
        .model_elements = ModelPositions(slices.rows) * ModelPositions(slices.cols),
        .is_replicated = rank.world > 1 && row.shard == ShardRule::kReplicate};
    if (stored_ != nullptr && weight.is_matrix) {
      weight.stored = stored_->FormOf(row.slot, layer, slices);
    }
    return weight;
  }

  // As model::Decoder and the communicator of its group allocate it.
  void CountWorkingMemory(const StackConfig& local, Rank rank, Stage stage,
                          RankShare& share) const {
    const ModelConfig& config = description_.config;
    share.numbers_per_token = local.hidden + local.qkv_width() + local.query_width() + local.ffn;
    if (local.position == model::PositionKind::kRotary) share.numbers_per_token += local.rope.dim;
    if (config.embed_dim != local.hidden) share.numbers_per_token += config.embed_dim;
    // The rank's parts of two sums, and what it gives to gathers.
    if (rank.world > 1) share.numbers_per_token += 3 * local.hidden;
    if (!stage.is_last()) return;
    const int64_t vocab_rows = parallel::CutVocabulary(config.vocab_size, rank).local_size;
    share.numbers_per_logit_row = local.hidden + vocab_rows;
    if (rank.world > 1 && rank.index == 0) share.numbers_per_logit_row += rank.world * vocab_rows;
  }

  model::ModelDescription description_;
  std::unique_ptr<StoredForms> stored_;  // null: there are no files
};

}  // namespace

std::unique_ptr<ModelShape> MakeDecoderShape(model::ModelDescription description) {
  return std::make_unique<DecoderShape>(std::move(description));
}

std::unique_ptr<ModelShape> MakeDecoderShape(std::unique_ptr<StoredForms> stored) {
  return std::make_unique<DecoderShape>(std::move(stored));
}

}  // namespace dray::plan
