#include "model/weights/weights.h"

#include <utility>

namespace dray::model {

bool IsMatrixSlot(Slot slot) {
  switch (slot) {
    case Slot::kTokenEmbedding:
    case Slot::kPositionEmbedding:
    case Slot::kTokenTypeEmbedding:
    case Slot::kProjectIn:
    case Slot::kProjectOut:
    case Slot::kHead:
    case Slot::kClassifierDense:
    case Slot::kClassifierOut:
    case Slot::kQkv:
    case Slot::kAttentionOut:
    case Slot::kCrossQuery:
    case Slot::kCrossKeyValue:
    case Slot::kCrossOut:
    case Slot::kFfnIn:
    case Slot::kFfnOut:
      return true;
    default:
      return false;
  }
}

std::string_view Name(Slot slot) {
  static constexpr std::string_view kNames[] = {
      "token_embedding",
      "project_in",
      "project_out",
      "head",
      "head.bias",
      "classifier_dense",
      "classifier_dense.bias",
      "classifier_out",
      "classifier_out.bias",
      "position_embedding",
      "token_type_embedding",
      "embedding_norm.weight",
      "embedding_norm.bias",
      "final_norm.weight",
      "final_norm.bias",
      "relative_bias",
      "attention_norm.weight",
      "attention_norm.bias",
      "ffn_norm.weight",
      "ffn_norm.bias",
      "qkv",
      "qkv.bias",
      "query_norm.weight",
      "key_norm.weight",
      "attention_out",
      "attention_out.bias",
      "cross_norm.weight",
      "cross_query",
      "cross_key_value",
      "cross_out",
      "ffn_in",
      "ffn_in.bias",
      "ffn_out",
      "ffn_out.bias",
  };
  static_assert(std::size(kNames) == kNumSlots);
  return kNames[static_cast<size_t>(slot)];
}

namespace {

const kernels::WeightMatrix* MatrixOf(const Weight& weight) {
  return weight.matrix.rows() > 0 ? &weight.matrix : nullptr;
}

const float* VectorOf(const Weight& weight) {
  return weight.vector.size_bytes() > 0 ? weight.vector.as<float>() : nullptr;
}

}  // namespace

const Weight& StackWeights::At(Slot slot, int64_t layer) const {
  DRAY_DCHECK(slot >= kFirstStackSlot);
  const auto idx = static_cast<size_t>(slot);
  if (slot < kFirstLayerSlot) {
    DRAY_DCHECK(layer == kNoLayer);
    return once_[idx - static_cast<size_t>(kFirstStackSlot)];
  }
  DRAY_DCHECK(layer >= 0 && layer < num_layers());
  return layers_[static_cast<size_t>(layer)][idx - static_cast<size_t>(kFirstLayerSlot)];
}

Weight& StackWeights::At(Slot slot, int64_t layer) {
  return const_cast<Weight&>(std::as_const(*this).At(slot, layer));
}

const kernels::WeightMatrix* StackWeights::Matrix(Slot slot, int64_t layer) const {
  return MatrixOf(At(slot, layer));
}

const float* StackWeights::Vector(Slot slot, int64_t layer) const {
  return VectorOf(At(slot, layer));
}

const Weight& Weights::At(Slot slot, int64_t layer) const {
  if (slot >= kFirstStackSlot) return stack_.At(slot, layer);
  DRAY_DCHECK(layer == kNoLayer);
  return ends_[static_cast<size_t>(slot)];
}

Weight& Weights::At(Slot slot, int64_t layer) {
  return const_cast<Weight&>(std::as_const(*this).At(slot, layer));
}

const kernels::WeightMatrix* Weights::Matrix(Slot slot, int64_t layer) const {
  return MatrixOf(At(slot, layer));
}

const float* Weights::Vector(Slot slot, int64_t layer) const { return VectorOf(At(slot, layer)); }

void Weights::SetMatrix(Slot slot, int64_t layer, kernels::WeightMatrix matrix) {
  At(slot, layer).matrix = std::move(matrix);
}

void Weights::SetVector(Slot slot, int64_t layer, Tensor vector) {
  At(slot, layer).vector = std::move(vector);
}

void Weights::ForEach(const std::function<void(Slot, int64_t, int64_t, size_t)>& visit) const {
  const auto visit_slots = [&](Slot first, int end, int64_t layer) {
    for (int i = static_cast<int>(first); i < end; ++i) {
      const auto slot = static_cast<Slot>(i);
      const auto& [matrix, vector] = At(slot, layer);
      if (matrix.rows() > 0) visit(slot, layer, matrix.rows() * matrix.cols(), matrix.size_bytes());
      if (vector.size_bytes() > 0)
        visit(slot, layer, vector.shape().elements(), vector.size_bytes());
    }
  };
  visit_slots(Slot{}, static_cast<int>(kFirstLayerSlot), kNoLayer);
  for (int64_t layer = 0; layer < stack_.num_layers(); ++layer) {
    visit_slots(kFirstLayerSlot, kNumSlots, layer);
  }
}

int64_t Weights::num_parameters() const {
  int64_t total = 0;
  ForEach([&](Slot, int64_t, int64_t elements, size_t) { total += elements; });
  return total;
}

size_t Weights::size_bytes() const {
  size_t total = 0;
  ForEach([&](Slot, int64_t, int64_t, size_t bytes) { total += bytes; });
  return total;
}

}  // namespace dray::model
