#include "checkpoint/integers/block_tensor.h"

#include <algorithm>

#include "base/check.h"

namespace dray::checkpoint {
namespace {

using kernels::MatrixSpec;
using kernels::WeightFormat;
using kernels::ZeroPoint;

constexpr int64_t kInt4Group = 32;

int BitsInMemory(const BlockFormat& format) { return format.bits <= 4 ? 4 : 8; }

// One row: `shift` is added to each value, so that the kernels' zero is the format's.
void UnpackRow(const BlockFormat& format, const std::byte* from, int64_t cols, uint8_t shift,
               uint8_t* values, float* scales, float* minimums) {
  BlockNumbers numbers;
  const int64_t elements = format.elements, groups = elements / format.group;
  for (int64_t done = 0; done < cols; done += elements, from += format.bytes) {
    format.unpack(from, numbers);
    for (int64_t i = 0; i < elements; ++i) {
      values[i] = static_cast<uint8_t>(numbers.values[i] + shift);
    }
    values += elements;
    scales = std::copy_n(numbers.scales, groups, scales);
    if (minimums != nullptr) minimums = std::copy_n(numbers.minimums, groups, minimums);
  }
}

}  // namespace

BlockTensor::BlockTensor(const TensorSource& source) : source_(&source) {
  DRAY_CHECK(source.blocks != nullptr && source.shape.rank() == 2);
}

MatrixSpec BlockTensor::form() const {
  const BlockFormat& format = *source_->blocks;
  MatrixSpec form = {source_->shape[0], source_->shape[1], WeightFormat::kI8};
  if (BitsInMemory(format) == 8) return form;
  form.format = WeightFormat::kI4;
  form.group = kInt4Group;
  form.zero = format.offset == BlockOffset::kMinimums ? ZeroPoint::kPerGroup : ZeroPoint::kNone;
  return form;
}

std::span<const std::byte> BlockTensor::BytesOfRows(int64_t first, int64_t count) const {
  const int64_t cols = source_->shape[1];
  return source_->bytes().subspan(source_->BytesOf(first * cols), source_->BytesOf(count * cols));
}

kernels::QuantizedRows BlockTensor::Unpack(std::span<const int64_t> rows,
                                           kernels::QuantizedBuffer& buffer) const {
  const BlockFormat& format = *source_->blocks;
  const int64_t cols = source_->shape[1];
  const int64_t groups = cols / format.group;
  const bool has_minimums = format.offset == BlockOffset::kMinimums;
  buffer.values.resize(rows.size() * static_cast<size_t>(cols));
  buffer.scales.resize(rows.size() * static_cast<size_t>(groups));
  buffer.minimums.resize(has_minimums ? buffer.scales.size() : 0);
  const int half = 1 << (BitsInMemory(format) - 1);
  const auto shift = static_cast<uint8_t>(has_minimums ? 0 : half - format.zero);
  uint8_t* values = buffer.values.data();
  float* scales = buffer.scales.data();
  float* minimums = has_minimums ? buffer.minimums.data() : nullptr;
  for (const int64_t row : rows) {
    UnpackRow(format, source_->data + source_->BytesOf(row * cols), cols, shift, values, scales,
              minimums);
    values += cols;
    scales += groups;
    if (has_minimums) minimums += groups;
  }
  return {.values = buffer.values.data(),
          .rows = static_cast<int64_t>(rows.size()),
          .cols = cols,
          .row_stride = cols,
          .bits = BitsInMemory(format),
          .group = format.group,
          .scales = buffer.scales.data(),
          .minimums = has_minimums ? buffer.minimums.data() : nullptr};
}

}  // namespace dray::checkpoint
