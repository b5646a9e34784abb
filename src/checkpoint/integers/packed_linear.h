// Linear layers whose weights a checkpoint holds as packed integers, as the tools for GPTQ and AWQ
// write them: instead of NAME.weight there are
//
//   NAME.qweight  i32, several numbers in each word: GPTQ [in * bits / 32, out], words of
//                 neighbouring input channels, lowest bits first; AWQ [in, out * bits / 32], words
//                 of eight output channels in the order 0 2 4 6 1 3 5 7
//   NAME.qzeros   i32 [groups, out * bits / 32], words of output channels in the same order (GPTQ:
//                 ascending)
//   NAME.scales   f16, bf16 or f32 [groups, out]
//   NAME.g_idx    i32 [in], GPTQ only, may be absent: the group of each input channel
//
// Weight (out, in) is scales[g, out] * (q - zero[g, out]), g being the input channel's group.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/integers/integer_tensor.h"

namespace dray::checkpoint {

// What config.json says of all packed layers.
struct PackedFormat {
  enum class Order : uint8_t { kGptq, kAwq };
  Order order = Order::kGptq;
  int bits = 4;            // 4, or 8 with kGptq
  int64_t group = 0;       // input channels of a group; 0: all of them
  uint32_t zero_step = 0;  // what is to be added to each word of zero points
};

// Its form holds it bit for bit, in the largest of the kernels' groups that its own can be cut
// into, with zero points if they differ from half the range. No form holds groups that are no
// multiple of 32 or spread over the channels: they become int8 rows. A range of columns may begin
// at any channel, also where groups are spread (GPTQ's "act order"): the channels of a matrix are
// in the layer's order, and each names its group.
class PackedLinear final : public IntegerTensor {
 public:
  // The tensors of `module`, e.g. "model.layers.0.mlp.up_proj". kInvalidArgument, naming tensor and
  // file, if their shapes contradict each other or the format, or a group does not exist;
  // kUnsupported for other number formats. Reads zero points and group indexes.
  static Result<PackedLinear> Open(const Checkpoint& checkpoint, const std::string& module,
                                   const PackedFormat& format);

  kernels::MatrixSpec FormOf(ColumnRange columns) const override;
  int64_t rows() const override { return rows_; }
  int64_t cols() const override { return cols_; }
  std::span<const TensorSource* const> sources() const override { return sources_; }
  const TensorSource& scales() const override;
  // None: words hold several channels, or several rows' words lie side by side.
  std::span<const std::byte> BytesOfRows(int64_t, int64_t) const override { return {}; }
  // Where groups are not ordered each column becomes a group.
  kernels::QuantizedRows Unpack(std::span<const int64_t> rows, ColumnRange columns,
                                kernels::QuantizedBuffer& buffer) const override;

 private:
  PackedLinear() = default;
  Status FindTensors(const Checkpoint& checkpoint, const std::string& module);
  Status CheckShapes();
  Status ReadOrder();
  void ReadZeros();
  int64_t per_word() const { return 32 / format_.bits; }
  uint32_t mask() const { return (1u << format_.bits) - 1; }
  // The first column of the word that holds the columns' first. Words of output channels hold one
  // column.
  int64_t FirstOfWord(ColumnRange columns) const;
  // Of unpacked rows, which begin at FirstOfWord: not a large power of two, so that a few bytes of
  // many rows fit the first-level cache together.
  int64_t RowStride(ColumnRange columns) const;
  // Whether channel c belongs to group c / group_. Otherwise groups are spread over the channels.
  bool is_ordered() const { return order_.empty(); }
  // The largest group of the kernels that its own can be cut into, counted from the first of the
  // columns; 0: none.
  int64_t LargestGroup(ColumnRange columns) const;
  // Columns that share a scale, counted from the first of the columns.
  int64_t SharedGroup(ColumnRange columns) const;
  // Rows from FirstOfWord on.
  void UnpackInputWords(std::span<const int64_t> rows, ColumnRange columns, uint8_t* values) const;
  void UnpackOutputWords(std::span<const int64_t> rows, ColumnRange columns, uint8_t* values) const;
  void UnpackScales(std::span<const int64_t> rows, ColumnRange columns,
                    kernels::QuantizedBuffer& buffer) const;
  float ScaleAt(int64_t group, int64_t row) const;

  PackedFormat format_;
  int64_t rows_ = 0;  // output channels
  int64_t cols_ = 0;  // input channels
  int64_t group_ = 0;
  int64_t num_groups_ = 0;
  bool is_symmetric_ = false;  // whether all zero points are half the range
  std::vector<const TensorSource*> sources_;
  std::vector<uint8_t> zeros_;  // [groups, rows]
  std::vector<int32_t> order_;  // [cols] the group of each channel, unless ordered
};

}  // namespace dray::checkpoint
