#include "checkpoint/integers/packed_linear.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/checked_math.h"

namespace dray::checkpoint {
namespace {

constexpr int kNumbers = 0, kZeros = 1, kScales = 2, kOrder = 3;  // places in sources_

// Which output channel of its eight each part of an AWQ word holds, lowest bits first.
constexpr std::array<int64_t, 8> kAwqOrder = {0, 2, 4, 6, 1, 3, 5, 7};

template <typename T>
T ReadAt(const TensorSource& source, int64_t element) {
  T value;
  std::memcpy(&value, source.data + static_cast<size_t>(element) * sizeof(T), sizeof(T));
  return value;
}

// The eight numbers of a word, lowest first, as bytes.
uint64_t SpreadNibbles(uint32_t word) {
  uint64_t bytes = word;
  bytes = (bytes | bytes << 16) & 0x0000FFFF0000FFFFu;
  bytes = (bytes | bytes << 8) & 0x00FF00FF00FF00FFu;
  return (bytes | bytes << 4) & 0x0F0F0F0F0F0F0F0Fu;
}

Status Refuse(const TensorSource& source, StatusCode code, const std::string& what) {
  return {code,
          fmt::format("{}: tensor {} {}", source.file->path().string(), Quoted(source.name), what)};
}

Status CheckDense(const TensorSource& source, DType dtype) {
  if (source.dtype != dtype || source.shape.rank() < 1 || !source.IsDense()) {
    return Refuse(source, StatusCode::kUnsupported,
                  fmt::format("is stored as {} of shape {}: it must be {} in whole rows",
                              Name(source.dtype), source.shape.ToString(), Name(dtype)));
  }
  return OkStatus();
}

Status CheckShape(const TensorSource& source, const Shape& expected) {
  if (source.shape == expected) return OkStatus();
  return Refuse(source, StatusCode::kInvalidArgument,
                fmt::format("has shape {}, but quantization_config and the others make it {}",
                            source.shape.ToString(), expected.ToString()));
}

}  // namespace

Result<PackedLinear> PackedLinear::Open(const Checkpoint& checkpoint, const std::string& module,
                                        const PackedFormat& format) {
  PackedLinear linear;
  linear.format_ = format;
  DRAY_RETURN_IF_ERROR(linear.FindTensors(checkpoint, module));
  DRAY_RETURN_IF_ERROR(linear.CheckShapes());
  DRAY_RETURN_IF_ERROR(linear.ReadOrder());
  linear.ReadZeros();
  return linear;
}

Status PackedLinear::FindTensors(const Checkpoint& checkpoint, const std::string& module) {
  for (const std::string_view part : {".qweight", ".qzeros", ".scales"}) {
    DRAY_ASSIGN_OR_RETURN(const auto* source, checkpoint.Require(module + std::string(part)));
    sources_.push_back(source);
  }
  const std::string order = module + ".g_idx";
  if (format_.order == PackedFormat::Order::kGptq && checkpoint.Contains(order)) {
    DRAY_ASSIGN_OR_RETURN(const auto* source, checkpoint.Require(order));
    sources_.push_back(source);
  }
  return OkStatus();
}

Status PackedLinear::CheckShapes() {
  const TensorSource& numbers = *sources_[kNumbers];
  const TensorSource& scales = *sources_[kScales];
  DRAY_RETURN_IF_ERROR(CheckDense(numbers, DType::kI32));
  DRAY_RETURN_IF_ERROR(CheckDense(*sources_[kZeros], DType::kI32));
  DRAY_RETURN_IF_ERROR(CheckDense(scales, IsWeightType(scales.dtype) ? scales.dtype : DType::kF16));
  if (numbers.shape.rank() != 2 || numbers.shape.elements() == 0) {
    return Refuse(numbers, StatusCode::kInvalidArgument,
                  fmt::format("has shape {}: it must be a matrix", numbers.shape.ToString()));
  }
  const bool words_of_inputs = format_.order == PackedFormat::Order::kGptq;
  rows_ = numbers.shape[1] * (words_of_inputs ? 1 : per_word());
  cols_ = numbers.shape[0] * (words_of_inputs ? per_word() : 1);
  if (rows_ % per_word() != 0) {
    return Refuse(
        numbers, StatusCode::kInvalidArgument,
        fmt::format("makes {} output channels: they must be a multiple of {}", rows_, per_word()));
  }
  group_ = format_.group == 0 ? cols_ : format_.group;
  num_groups_ = (cols_ - 1) / group_ + 1;
  DRAY_RETURN_IF_ERROR(CheckShape(*sources_[kZeros], {num_groups_, rows_ / per_word()}));
  return CheckShape(scales, {num_groups_, rows_});
}

Status PackedLinear::ReadOrder() {
  if (sources_.size() <= kOrder) return OkStatus();
  const TensorSource& source = *sources_[kOrder];
  DRAY_RETURN_IF_ERROR(CheckDense(source, DType::kI32));
  DRAY_RETURN_IF_ERROR(CheckShape(source, {cols_}));
  bool ordered = true;
  for (int64_t c = 0; c < cols_; ++c) {
    const auto group = ReadAt<int32_t>(source, c);
    if (group < 0 || group >= num_groups_) {
      return Refuse(
          source, StatusCode::kCorrupt,
          fmt::format("puts channel {} in group {}, but there are {}", c, group, num_groups_));
    }
    ordered = ordered && group == c / group_;
    order_.push_back(group);
  }
  if (ordered) order_.clear();
  return OkStatus();
}

// Adds to whole words, as the tools that write such files do: a zero point of 0 is stored as a
// borrow from the next one.
void PackedLinear::ReadZeros() {
  const int64_t words = num_groups_ * rows_ / per_word();
  zeros_.resize(static_cast<size_t>(num_groups_ * rows_));
  for (int64_t w = 0; w < words; ++w) {
    const uint32_t word = ReadAt<uint32_t>(*sources_[kZeros], w) + format_.zero_step;
    for (int64_t i = 0; i < per_word(); ++i) {
      const int64_t channel =
          format_.order == PackedFormat::Order::kAwq ? kAwqOrder[static_cast<size_t>(i)] : i;
      zeros_[static_cast<size_t>(w * per_word() + channel)] =
          static_cast<uint8_t>(word >> (i * format_.bits) & mask());
    }
  }
  const auto half = static_cast<uint8_t>(1u << (format_.bits - 1));
  is_symmetric_ =
      std::all_of(zeros_.begin(), zeros_.end(), [&](uint8_t zero) { return zero == half; });
}

int64_t PackedLinear::LargestGroup(ColumnRange columns) const {
  if (!is_ordered()) return 0;
  for (const int64_t group : {128, 64, 32}) {
    if (group_ >= cols_ || (group_ % group == 0 && columns.begin % group == 0)) return group;
  }
  return 0;
}

int64_t PackedLinear::SharedGroup(ColumnRange columns) const {
  if (!is_ordered()) return 1;
  if (group_ >= cols_) return std::max(columns.count, int64_t{1});
  // Columns that begin inside a group have smaller groups, of which none crosses two.
  return std::gcd(group_, columns.begin);
}

kernels::MatrixSpec PackedLinear::FormOf(ColumnRange columns) const {
  const bool is_int8 = format_.bits == 8;
  kernels::MatrixSpec form = {rows_, columns.count, kernels::WeightFormat::kI8};
  const int64_t group = LargestGroup(columns);
  if (group == 0 || (is_int8 && is_symmetric_ && group_ >= cols_)) return form;
  form.format = is_int8 ? kernels::WeightFormat::kI8 : kernels::WeightFormat::kI4;
  form.group = group;
  form.zero = is_symmetric_ ? kernels::ZeroPoint::kNone : kernels::ZeroPoint::kPerGroup;
  return form;
}

const TensorSource& PackedLinear::scales() const { return *sources_[kScales]; }

float PackedLinear::ScaleAt(int64_t group, int64_t row) const {
  const TensorSource& scales = this->scales();
  const int64_t at = group * rows_ + row;
  switch (scales.dtype) {
    case DType::kF16:
      return F16ToF32(ReadAt<uint16_t>(scales, at));
    case DType::kBF16:
      return BF16ToF32(ReadAt<uint16_t>(scales, at));
    default:
      return ReadAt<float>(scales, at);
  }
}

int64_t PackedLinear::FirstOfWord(ColumnRange columns) const {
  const bool words_of_inputs = format_.order == PackedFormat::Order::kGptq;
  return words_of_inputs ? columns.begin / per_word() * per_word() : columns.begin;
}

int64_t PackedLinear::RowStride(ColumnRange columns) const {
  return RoundUp(columns.begin + columns.count - FirstOfWord(columns), per_word()) + 64;
}

kernels::QuantizedRows PackedLinear::Unpack(std::span<const int64_t> rows, ColumnRange columns,
                                            kernels::QuantizedBuffer& buffer) const {
  const auto count = static_cast<int64_t>(rows.size());
  buffer.values.resize(static_cast<size_t>(count * RowStride(columns)));
  if (format_.order == PackedFormat::Order::kGptq) {
    UnpackInputWords(rows, columns, buffer.values.data());
  } else {
    UnpackOutputWords(rows, columns, buffer.values.data());
  }
  UnpackScales(rows, columns, buffer);
  return {.values = buffer.values.data() + (columns.begin - FirstOfWord(columns)),
          .rows = count,
          .cols = columns.count,
          .row_stride = RowStride(columns),
          .bits = format_.bits,
          .group = SharedGroup(columns),
          .scales = buffer.scales.data(),
          .minimums = is_symmetric_ ? nullptr : buffer.minimums.data()};
}

void PackedLinear::UnpackScales(std::span<const int64_t> rows, ColumnRange columns,
                                kernels::QuantizedBuffer& buffer) const {
  const int64_t shared = SharedGroup(columns);
  const auto groups = static_cast<size_t>(DivideRoundUp(columns.count, shared));
  buffer.scales.resize(rows.size() * groups);
  buffer.minimums.resize(buffer.scales.size());
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t g = 0; g < groups; ++g) {
      const int64_t channel = columns.begin + static_cast<int64_t>(g) * shared;
      const int64_t group = is_ordered() ? channel / group_ : order_[static_cast<size_t>(channel)];
      const float scale = ScaleAt(group, rows[r]);
      const auto zero = zeros_[static_cast<size_t>(group * rows_ + rows[r])];
      buffer.scales[r * groups + g] = scale;
      buffer.minimums[r * groups + g] = scale * static_cast<float>(zero);
    }
  }
}

void PackedLinear::UnpackInputWords(std::span<const int64_t> rows, ColumnRange columns,
                                    uint8_t* values) const {
  const int64_t first = FirstOfWord(columns), stride = RowStride(columns);
  for (int64_t c = first; c < columns.begin + columns.count; c += per_word()) {
    const int64_t words = c / per_word() * rows_;  // where those of these channels begin
    uint8_t* to = values + (c - first);
    for (const int64_t row : rows) {
      const auto word = ReadAt<uint32_t>(*sources_[kNumbers], words + row);
      if (format_.bits == 8) {
        std::memcpy(to, &word, sizeof(word));
      } else {
        const uint64_t bytes = SpreadNibbles(word);
        std::memcpy(to, &bytes, sizeof(bytes));
      }
      to += stride;
    }
  }
}

// Unpacks a tile of columns of rows that share words. The words are far apart in memory, so they
// are first copied to one place.
void PackedLinear::UnpackOutputWords(std::span<const int64_t> rows, ColumnRange columns,
                                     uint8_t* values) const {
  constexpr int64_t kTileCols = 32;
  const int64_t row_words = rows_ / per_word();
  const int64_t end = columns.begin + columns.count, stride = RowStride(columns);
  for (int64_t begin = columns.begin; begin < end; begin += kTileCols) {
    const int64_t count = std::min(kTileCols, end - begin);
    std::array<uint32_t, kTileCols> words;
    int64_t held = -1;  // the word of each row that `words` holds
    uint8_t* to = values + (begin - columns.begin);
    for (const int64_t row : rows) {
      if (row / per_word() != held) {
        held = row / per_word();
        for (int64_t c = 0; c < count; ++c) {
          words[static_cast<size_t>(c)] =
              ReadAt<uint32_t>(*sources_[kNumbers], (begin + c) * row_words + held);
        }
      }
      const auto* place = std::find(kAwqOrder.begin(), kAwqOrder.end(), row % per_word());
      const auto shift = static_cast<int>(place - kAwqOrder.begin()) * format_.bits;
      for (int64_t c = 0; c < count; ++c) {
        to[c] = static_cast<uint8_t>(words[static_cast<size_t>(c)] >> shift & 15u);
      }
      to += stride;
    }
  }
}

}  // namespace dray::checkpoint
