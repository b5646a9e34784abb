#include "kernels/cpu/pack/panel_reader.h"

#include <cstring>

#include "base/check.h"
#include "kernels/cpu/pack/pack_floats.h"

namespace dray::kernels {

const std::byte* PanelReader::Element(int64_t row, int64_t col) const {
  return places_.FirstStep(row / kPanelRows) + layout_.VectorOffset(row % kPanelRows, col) -
         layout_.scale_bytes() + layout_.LaneOffset(row, col);
}

const std::byte* PanelReader::GroupHeader(int64_t row, int64_t col) const {
  return places_.FirstStep(row / kPanelRows) + layout_.ScaleOffset(row % kPanelRows, col);
}

float PanelReader::HalfAt(const std::byte* at) const {
  uint16_t half;
  std::memcpy(&half, at, sizeof(half));
  return F16ToF32(half);
}

float PanelReader::Scale(int64_t row, int64_t col) const {
  if (layout_.group > 0) return HalfAt(GroupHeader(row, col));
  float scale;
  std::memcpy(&scale, places_.Begin(row / kPanelRows) + row % kPanelRows * 4, sizeof(scale));
  return scale;
}

float PanelReader::MinusZero(int64_t row, int64_t col) const {
  if (layout_.has_zeros()) return HalfAt(GroupHeader(row, col) + kLineBytes);
  return layout_.format == WeightFormat::kI4 ? -8.0f : -128.0f;
}

void PanelReader::ReadNumbers(int64_t row, Range cols, std::byte* out) const {
  const auto bytes = static_cast<size_t>(layout_.element_bytes());
  for (int64_t c = cols.begin; c < cols.end; ++c, out += bytes) {
    std::memcpy(out, Element(row, c), bytes);
  }
}

void PanelReader::ReadIntegers(int64_t row, Range cols, uint8_t* out) const {
  const bool is_int4 = layout_.format == WeightFormat::kI4;
  for (int64_t c = cols.begin; c < cols.end; ++c) {
    const auto stored = std::to_integer<uint8_t>(*Element(row, c));
    *out++ = !is_int4 ? stored : c % 8 < 4 ? stored & 0x0F : stored >> 4;
  }
}

void PanelReader::ReadFloats(int64_t row, Range cols, float* out) const {
  DRAY_DCHECK(cols.end - cols.begin <= kMostColumns);
  const int64_t count = cols.end - cols.begin;
  if (!IsInteger(layout_.format)) {
    alignas(64) std::byte raw[kMostColumns * sizeof(float)];
    ReadNumbers(row, cols, raw);
    isa_.convert(PanelType(layout_.format), raw, DType::kF32, out, count);
    return;
  }
  uint8_t stored[kMostColumns];
  ReadIntegers(row, cols, stored);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t col = cols.begin + i;
    out[i] = (static_cast<float>(stored[i]) + MinusZero(row, col)) * Scale(row, col);
  }
}

}  // namespace dray::kernels
