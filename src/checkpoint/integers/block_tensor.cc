#include "checkpoint/integers/block_tensor.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/checked_math.h"

namespace dray::checkpoint {
namespace {

using kernels::MatrixSpec;
using kernels::WeightFormat;
using kernels::ZeroPoint;

constexpr int64_t kInt4Group = 32;

int BitsInMemory(const BlockFormat& format) { return format.bits <= 4 ? 4 : 8; }

// How a format's blocks become the kernels' numbers.
struct Unpacking {
  const BlockFormat& format;
  ColumnRange columns;
  int64_t group;  // columns that share a scale, counted from the first of `columns`
  uint8_t shift;  // is added to each value, so that the kernels' zero is the format's
};

// Where the numbers of a row go.
struct RowBuffers {
  uint8_t* values;
  float* scales;
  float* minimums;  // null: the format has none
};

// `row` points to the first block of the row.
void UnpackRow(const Unpacking& unpacking, const std::byte* row, RowBuffers to) {
  const BlockFormat& format = unpacking.format;
  const int64_t begin = unpacking.columns.begin, end = begin + unpacking.columns.count;
  const int64_t elements = format.elements;
  const uint8_t shift = unpacking.shift;
  BlockNumbers numbers;
  for (int64_t block = begin / elements; block * elements < end; ++block) {
    format.unpack(row + block * format.bytes, numbers);
    const int64_t first = std::max(begin - block * elements, int64_t{0});
    const int64_t last = std::min(end - block * elements, elements);
    for (int64_t i = first; i < last; ++i) {
      to.values[i - first] = static_cast<uint8_t>(numbers.values[i] + shift);
    }
    to.values += last - first;
    for (int64_t i = first; i < last; i += unpacking.group) {
      *to.scales++ = numbers.scales[i / format.group];
      if (to.minimums != nullptr) *to.minimums++ = numbers.minimums[i / format.group];
    }
  }
}

}  // namespace

BlockTensor::BlockTensor(const TensorSource& source) : source_(&source) {
  DRAY_CHECK(source.blocks != nullptr && source.shape.rank() == 2);
}

MatrixSpec BlockTensor::FormOf(ColumnRange columns) const {
  const BlockFormat& format = *source_->blocks;
  MatrixSpec form = {rows(), columns.count, WeightFormat::kI8};
  if (BitsInMemory(format) == 8 || columns.begin % kInt4Group != 0) return form;
  form.format = WeightFormat::kI4;
  form.group = kInt4Group;
  form.zero = format.offset == BlockOffset::kMinimums ? ZeroPoint::kPerGroup : ZeroPoint::kNone;
  return form;
}

std::span<const std::byte> BlockTensor::BytesOfRows(int64_t first, int64_t count) const {
  return source_->bytes().subspan(source_->BytesOf(first * cols()),
                                  source_->BytesOf(count * cols()));
}

kernels::QuantizedRows BlockTensor::Unpack(std::span<const int64_t> rows, ColumnRange columns,
                                           kernels::QuantizedBuffer& buffer) const {
  const BlockFormat& format = *source_->blocks;
  // Columns that begin inside a group of the file have smaller groups, of which none crosses two.
  const int64_t group = std::gcd(format.group, columns.begin);
  const int64_t groups = DivideRoundUp(columns.count, group);
  const bool has_minimums = format.offset == BlockOffset::kMinimums;
  buffer.values.resize(rows.size() * static_cast<size_t>(columns.count));
  buffer.scales.resize(rows.size() * static_cast<size_t>(groups));
  buffer.minimums.resize(has_minimums ? buffer.scales.size() : 0);
  const int half = 1 << (BitsInMemory(format) - 1);
  const auto shift = static_cast<uint8_t>(has_minimums ? 0 : half - format.zero);
  const Unpacking unpacking = {format, columns, group, shift};
  float* const minimums = has_minimums ? buffer.minimums.data() : nullptr;
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto at = static_cast<int64_t>(r);
    UnpackRow(unpacking, source_->data + source_->BytesOf(rows[r] * cols()),
              {buffer.values.data() + at * columns.count, buffer.scales.data() + at * groups,
               has_minimums ? minimums + at * groups : nullptr});
  }
  return {.values = buffer.values.data(),
          .rows = static_cast<int64_t>(rows.size()),
          .cols = columns.count,
          .row_stride = columns.count,
          .bits = BitsInMemory(format),
          .group = group,
          .scales = buffer.scales.data(),
          .minimums = minimums};
}

}  // namespace dray::checkpoint
