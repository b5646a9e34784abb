#include "model/describe/tied_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "model/describe/tensor_names.h"

namespace dray::model {
namespace {

using checkpoint::TensorSource;

// Tensors are compared in pieces of about this many bytes; after each its pages are given back.
constexpr size_t kPieceBytes = size_t{16} << 20;

// The slot's tensor, if it can be read, lies in one place, and has the shape of a token table;
// otherwise null. No program cuts a head that is tied.
const TensorSource* FindTable(const ModelDescription& model, Slot slot,
                              const checkpoint::Checkpoint& checkpoint) {
  const WeightRow* row = FindRow(model, slot);
  if (row == nullptr) return nullptr;
  const auto names = CandidateNames(model, *row, kNoLayer);
  const std::string* name = FindName(names, checkpoint);
  const TensorSource* source = name == nullptr ? nullptr : checkpoint.Find(*name);
  const Shape shape = {model.config.vocab_size, model.config.embed_dim};
  const bool is_table = source != nullptr && source->slices.empty() && source->shape == shape;
  return is_table ? source : nullptr;
}

template <typename T>
T ReadUnaligned(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

double ElementAt(const TensorSource& source, int64_t row, int64_t col) {
  const int64_t element = row * source.strides[0] + col * source.strides[1];
  const std::byte* at = source.data + static_cast<size_t>(element) * SizeOf(source.dtype);
  switch (source.dtype) {
    case DType::kF16:
      return F16ToF32(ReadUnaligned<uint16_t>(at));
    case DType::kBF16:
      return BF16ToF32(ReadUnaligned<uint16_t>(at));
    case DType::kF64:
      return ReadUnaligned<double>(at);
    case DType::kF32:
      return ReadUnaligned<float>(at);
    default:
      return 0;  // not a format of weights; the load plan refuses it
  }
}

bool SameBytes(const TensorSource& a, const TensorSource& b) {
  const auto left = a.bytes();
  const auto right = b.bytes();
  for (size_t done = 0; done < left.size(); done += kPieceBytes) {
    const size_t count = std::min(kPieceBytes, left.size() - done);
    const bool same = std::memcmp(left.data() + done, right.data() + done, count) == 0;
    a.file->Release(left.subspan(done, count));
    b.file->Release(right.subspan(done, count));
    if (!same) return false;
  }
  return true;
}

bool SameValues(const TensorSource& a, const TensorSource& b) {
  if (a.blocks != nullptr || b.blocks != nullptr) return SameStorage(a, b);
  if (a.dtype == b.dtype && a.data == b.data && a.strides == b.strides) return true;
  if (a.dtype == b.dtype && a.IsDense() && b.IsDense()) return SameBytes(a, b);
  for (int64_t row = 0; row < a.shape[0]; ++row) {
    for (int64_t col = 0; col < a.shape[1]; ++col) {
      if (ElementAt(a, row, col) != ElementAt(b, row, col)) return false;
    }
  }
  return true;
}

}  // namespace

bool SameStorage(const TensorSource& a, const TensorSource& b) {
  const bool alike = a.dtype == b.dtype && a.blocks == b.blocks && a.shape == b.shape;
  return alike && a.IsDense() && b.IsDense() && SameBytes(a, b);
}

void SettleTiedHead(const checkpoint::Checkpoint& checkpoint, ModelDescription& model) {
  if (!model.config.tied_head) return;
  const TensorSource* table = FindTable(model, Slot::kTokenEmbedding, checkpoint);
  const TensorSource* head = FindTable(model, Slot::kHead, checkpoint);
  if (table == nullptr || head == nullptr || table == head || SameValues(*table, *head)) return;
  model.config.tied_head = false;
  LogWarning(fmt::format(
      "{}: config.json ties the head to the token table, but {} and {} differ: each is used for "
      "itself; set tie_word_embeddings to false to say so",
      table->file->path().parent_path().string(), table->name, head->name));
}

}  // namespace dray::model
