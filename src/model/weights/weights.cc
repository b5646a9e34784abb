#include "model/weights/weights.h"

#include <utility>

namespace dray::model {

bool IsMatrixSlot(Slot slot) {
  switch (slot) {
    case Slot::kTokenEmbedding:
    case Slot::kPositionEmbedding:
    case Slot::kProjectIn:
    case Slot::kProjectOut:
    case Slot::kHead:
    case Slot::kQkv:
    case Slot::kAttentionOut:
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
      "position_embedding",
      "embedding_norm.weight",
      "embedding_norm.bias",
      "project_in",
      "project_out",
      "final_norm.weight",
      "final_norm.bias",
      "head",
      "head.bias",
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
      "ffn_in",
      "ffn_in.bias",
      "ffn_out",
      "ffn_out.bias",
  };
  static_assert(std::size(kNames) == kNumSlots);
  return kNames[static_cast<size_t>(slot)];
}

const Weights::Entry& Weights::At(Slot slot, int64_t layer) const {
  const auto idx = static_cast<size_t>(slot);
  if (slot < kFirstLayerSlot) {
    DRAY_DCHECK(layer == kNoLayer);
    return model_[idx];
  }
  DRAY_DCHECK(layer >= 0 && layer < static_cast<int64_t>(layers_.size()));
  return layers_[static_cast<size_t>(layer)][idx];
}

const kernels::WeightMatrix* Weights::Matrix(Slot slot, int64_t layer) const {
  const Entry& entry = At(slot, layer);
  return entry.matrix.rows() > 0 ? &entry.matrix : nullptr;
}

const float* Weights::Vector(Slot slot, int64_t layer) const {
  const Entry& entry = At(slot, layer);
  return entry.vector.size_bytes() > 0 ? entry.vector.as<float>() : nullptr;
}

void Weights::SetMatrix(Slot slot, int64_t layer, kernels::WeightMatrix matrix) {
  const_cast<Entry&>(At(slot, layer)).matrix = std::move(matrix);
}

void Weights::SetVector(Slot slot, int64_t layer, Tensor vector) {
  const_cast<Entry&>(At(slot, layer)).vector = std::move(vector);
}

kernels::WeightMatrix* Weights::MutableMatrix(Slot slot, int64_t layer) {
  return const_cast<kernels::WeightMatrix*>(std::as_const(*this).Matrix(slot, layer));
}

void Weights::ForEach(const std::function<void(Slot, int64_t, int64_t, size_t)>& visit) const {
  const auto visit_entries = [&](const Entries& entries, int64_t layer) {
    for (size_t i = 0; i < entries.size(); ++i) {
      const auto& [matrix, vector] = entries[i];
      const auto slot = static_cast<Slot>(i);
      if (matrix.rows() > 0) visit(slot, layer, matrix.rows() * matrix.cols(), matrix.size_bytes());
      if (vector.size_bytes() > 0)
        visit(slot, layer, vector.shape().elements(), vector.size_bytes());
    }
  };
  visit_entries(model_, kNoLayer);
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    visit_entries(layers_[layer], static_cast<int64_t>(layer));
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
