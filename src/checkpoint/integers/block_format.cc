// Layouts are those of llama.cpp's ggml library; in comments, a "part" is 32 elements of a block of
// 256, j its number, and `l` an element's place in it.
#include "checkpoint/integers/block_format.h"

#include <array>
#include <cstring>

#include "base/check.h"

namespace dray::checkpoint {
namespace {

constexpr int kPart = 32;
constexpr int kParts = kMaxBlockElements / kPart;

uint8_t ByteAt(const std::byte* from, int64_t at) { return std::to_integer<uint8_t>(from[at]); }

float HalfAt(const std::byte* from, int64_t at) {
  uint16_t bits;
  std::memcpy(&bits, from + at, sizeof(bits));
  return F16ToF32(bits);
}

// Sixteen bytes, the first half of the elements in their low halves, the second in the high ones.
void UnpackNibbles(const std::byte* from, BlockNumbers& to) {
  for (int i = 0; i < 16; ++i) {
    to.values[i] = ByteAt(from, i) & 15;
    to.values[16 + i] = ByteAt(from, i) >> 4;
  }
}

// The fifth bits of 32 elements, element i's in bit i.
void AddFifthBits(const std::byte* from, BlockNumbers& to) {
  for (int i = 0; i < kPart; ++i) {
    const int high = (ByteAt(from, i / 8) >> (i % 8)) & 1;
    to.values[i] = static_cast<uint8_t>(to.values[i] | (high << 4));
  }
}

void UnpackQ40(const std::byte* from, BlockNumbers& to) {
  to.scales[0] = HalfAt(from, 0);
  UnpackNibbles(from + 2, to);
}

void UnpackQ41(const std::byte* from, BlockNumbers& to) {
  to.scales[0] = HalfAt(from, 0);
  to.minimums[0] = -HalfAt(from, 2);
  UnpackNibbles(from + 4, to);
}

void UnpackQ50(const std::byte* from, BlockNumbers& to) {
  to.scales[0] = HalfAt(from, 0);
  UnpackNibbles(from + 6, to);
  AddFifthBits(from + 2, to);
}

void UnpackQ51(const std::byte* from, BlockNumbers& to) {
  to.scales[0] = HalfAt(from, 0);
  to.minimums[0] = -HalfAt(from, 2);
  UnpackNibbles(from + 8, to);
  AddFifthBits(from + 4, to);
}

// Signed bytes become unsigned ones with 128 for zero.
void UnpackQ80(const std::byte* from, BlockNumbers& to) {
  to.scales[0] = HalfAt(from, 0);
  for (int i = 0; i < kPart; ++i) to.values[i] = ByteAt(from, 2 + i) ^ 0x80;
}

// Two bits of each element of a part: bytes of 32 neighbours hold four parts, one above the other.
uint8_t TwoBits(const std::byte* from, int j, int l) {
  return (ByteAt(from, (j / 4) * kPart + l) >> (2 * (j % 4))) & 3;
}

// Four bits: bytes of 32 neighbours hold two parts.
uint8_t FourBits(const std::byte* from, int j, int l) {
  return (ByteAt(from, (j / 2) * kPart + l) >> (4 * (j % 2))) & 15;
}

// Eight 6-bit scales and as many minimums in 12 bytes: the first four of each in the low bits of
// bytes 0..3 and 4..7, the others in the halves of bytes 8..11 with their top bits above the first.
void UnpackScalesAndMinimums(const std::byte* from, float scale, float minimum, BlockNumbers& to) {
  for (int j = 0; j < 4; ++j) {
    const int low_scale = ByteAt(from, j);
    const int low_minimum = ByteAt(from, 4 + j);
    const int rest = ByteAt(from, 8 + j);
    to.scales[j] = scale * static_cast<float>(low_scale & 63);
    to.minimums[j] = minimum * static_cast<float>(low_minimum & 63);
    to.scales[4 + j] = scale * static_cast<float>((rest & 15) | ((low_scale >> 6) << 4));
    to.minimums[4 + j] = minimum * static_cast<float>((rest >> 4) | ((low_minimum >> 6) << 4));
  }
}

void UnpackQ4K(const std::byte* from, BlockNumbers& to) {
  UnpackScalesAndMinimums(from + 4, HalfAt(from, 0), HalfAt(from, 2), to);
  for (int j = 0; j < kParts; ++j) {
    for (int l = 0; l < kPart; ++l) to.values[j * kPart + l] = FourBits(from + 16, j, l);
  }
}

void UnpackQ5K(const std::byte* from, BlockNumbers& to) {
  UnpackScalesAndMinimums(from + 4, HalfAt(from, 0), HalfAt(from, 2), to);
  for (int j = 0; j < kParts; ++j) {
    for (int l = 0; l < kPart; ++l) {
      const int high = (ByteAt(from, 16 + l) >> j) & 1;
      to.values[j * kPart + l] = static_cast<uint8_t>(FourBits(from + 48, j, l) | (high << 4));
    }
  }
}

// Here a half of 128 elements has its low four bits in 64 bytes: parts 0 and 1 below 2 and 3.
void UnpackQ6K(const std::byte* from, BlockNumbers& to) {
  const float scale = HalfAt(from, 208);
  for (int i = 0; i < 16; ++i) {
    to.scales[i] = scale * static_cast<float>(static_cast<int8_t>(ByteAt(from, 192 + i)));
  }
  for (int j = 0; j < kParts; ++j) {
    const int64_t low = (j / 4) * 64 + (j % 2) * kPart;
    for (int l = 0; l < kPart; ++l) {
      const int four = (ByteAt(from, low + l) >> (4 * (j / 2 % 2))) & 15;
      to.values[j * kPart + l] = static_cast<uint8_t>(four | (TwoBits(from + 128, j, l) << 4));
    }
  }
}

void UnpackQ2K(const std::byte* from, BlockNumbers& to) {
  const float scale = HalfAt(from, 80);
  const float minimum = HalfAt(from, 82);
  for (int i = 0; i < 16; ++i) {
    to.scales[i] = scale * static_cast<float>(ByteAt(from, i) & 15);
    to.minimums[i] = minimum * static_cast<float>(ByteAt(from, i) >> 4);
  }
  for (int j = 0; j < kParts; ++j) {
    for (int l = 0; l < kPart; ++l) to.values[j * kPart + l] = TwoBits(from + 16, j, l);
  }
}

// The third bit is stored inverted: set, the value is not lowered by four.
void UnpackQ3K(const std::byte* from, BlockNumbers& to) {
  const float scale = HalfAt(from, 108);
  for (int i = 0; i < 16; ++i) {
    const int low = (ByteAt(from, 96 + i % 8) >> (4 * (i / 8))) & 15;
    const int high = (ByteAt(from, 104 + i % 4) >> (2 * (i / 4))) & 3;
    to.scales[i] = scale * static_cast<float>((low | (high << 4)) - 32);
  }
  for (int j = 0; j < kParts; ++j) {
    for (int l = 0; l < kPart; ++l) {
      const int high = (ByteAt(from, l) >> j) & 1;
      to.values[j * kPart + l] = static_cast<uint8_t>(TwoBits(from + 32, j, l) | (high << 2));
    }
  }
}

constexpr BlockOffset kMins = BlockOffset::kMinimums;
constexpr BlockOffset kZero = BlockOffset::kZero;
constexpr BlockFormat kQ40 = {"Q4_0", 32, 18, 32, 4, kZero, 8, UnpackQ40};
constexpr BlockFormat kQ41 = {"Q4_1", 32, 20, 32, 4, kMins, 0, UnpackQ41};
constexpr BlockFormat kQ50 = {"Q5_0", 32, 22, 32, 5, kZero, 16, UnpackQ50};
constexpr BlockFormat kQ51 = {"Q5_1", 32, 24, 32, 5, kMins, 0, UnpackQ51};
constexpr BlockFormat kQ80 = {"Q8_0", 32, 34, 32, 8, kZero, 128, UnpackQ80};
constexpr BlockFormat kQ2K = {"Q2_K", 256, 84, 16, 2, kMins, 0, UnpackQ2K};
constexpr BlockFormat kQ3K = {"Q3_K", 256, 110, 16, 3, kZero, 4, UnpackQ3K};
constexpr BlockFormat kQ4K = {"Q4_K", 256, 144, 32, 4, kMins, 0, UnpackQ4K};
constexpr BlockFormat kQ5K = {"Q5_K", 256, 176, 32, 5, kMins, 0, UnpackQ5K};
constexpr BlockFormat kQ6K = {"Q6_K", 256, 210, 16, 6, kZero, 32, UnpackQ6K};

// By number; those that are not listed were withdrawn, or are newer than this table.
constexpr std::array kTypes = {
    GgmlType{0, "F32", DType::kF32, nullptr},       GgmlType{1, "F16", DType::kF16, nullptr},
    GgmlType{2, "Q4_0", std::nullopt, &kQ40},       GgmlType{3, "Q4_1", std::nullopt, &kQ41},
    GgmlType{6, "Q5_0", std::nullopt, &kQ50},       GgmlType{7, "Q5_1", std::nullopt, &kQ51},
    GgmlType{8, "Q8_0", std::nullopt, &kQ80},       GgmlType{9, "Q8_1", std::nullopt, nullptr},
    GgmlType{10, "Q2_K", std::nullopt, &kQ2K},      GgmlType{11, "Q3_K", std::nullopt, &kQ3K},
    GgmlType{12, "Q4_K", std::nullopt, &kQ4K},      GgmlType{13, "Q5_K", std::nullopt, &kQ5K},
    GgmlType{14, "Q6_K", std::nullopt, &kQ6K},      GgmlType{15, "Q8_K", std::nullopt, nullptr},
    GgmlType{16, "IQ2_XXS", std::nullopt, nullptr}, GgmlType{17, "IQ2_XS", std::nullopt, nullptr},
    GgmlType{18, "IQ3_XXS", std::nullopt, nullptr}, GgmlType{19, "IQ1_S", std::nullopt, nullptr},
    GgmlType{20, "IQ4_NL", std::nullopt, nullptr},  GgmlType{21, "IQ3_S", std::nullopt, nullptr},
    GgmlType{22, "IQ2_S", std::nullopt, nullptr},   GgmlType{23, "IQ4_XS", std::nullopt, nullptr},
    GgmlType{24, "I8", DType::kI8, nullptr},        GgmlType{25, "I16", DType::kI16, nullptr},
    GgmlType{26, "I32", DType::kI32, nullptr},      GgmlType{27, "I64", DType::kI64, nullptr},
    GgmlType{28, "F64", DType::kF64, nullptr},      GgmlType{29, "IQ1_M", std::nullopt, nullptr},
    GgmlType{30, "BF16", DType::kBF16, nullptr},    GgmlType{34, "TQ1_0", std::nullopt, nullptr},
    GgmlType{35, "TQ2_0", std::nullopt, nullptr},   GgmlType{39, "MXFP4", std::nullopt, nullptr},
    GgmlType{40, "NVFP4", std::nullopt, nullptr},   GgmlType{41, "Q1_0", std::nullopt, nullptr},
};

}  // namespace

const GgmlType* FindGgmlType(uint32_t id) {
  for (const GgmlType& type : kTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

void DecodeBlocks(const BlockFormat& format, const std::byte* row, int64_t count, float* out) {
  DRAY_CHECK(count % format.elements == 0);
  BlockNumbers numbers;
  for (int64_t done = 0; done < count; done += format.elements, row += format.bytes) {
    format.unpack(row, numbers);
    for (int64_t i = 0; i < format.elements; ++i) {
      const float scale = numbers.scales[i / format.group];
      if (format.offset == BlockOffset::kMinimums) {
        const float minimum = numbers.minimums[i / format.group];
        out[done + i] = scale * static_cast<float>(numbers.values[i]) - minimum;
      } else {
        out[done + i] = scale * static_cast<float>(int{numbers.values[i]} - format.zero);
      }
    }
  }
}

}  // namespace dray::checkpoint
