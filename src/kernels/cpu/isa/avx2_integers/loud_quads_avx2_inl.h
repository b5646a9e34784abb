// Which activations can be multiplied with stored 8-bit weights by the processor's saturating sums.
// Included by int8_avx2_inl.h.
//
// PairedBytes adds four products in 16 bits: those of two columns of a quad and of the same two of the
// quad beside it. Stored weights are at most 255. So the sum stays in range whatever the weights are
// if neither the positive ones of the four activations nor the negative ones add up to more than 128
// in magnitude, since 255 * 128 = 32640. Rounded activations are at most 127, most of them much less.
//
// The quads that break this rule are loud. They become zeros among the packed activations, and stand in
// a list of their row (LoudQuads), from which they are multiplied one by one. There only two products
// are added in 16 bits; where even these could be too large, two entries have one of the columns each.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa_kernels.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// Eight quads, four neighbouring pairs of them.
class QuadPairs {
 public:
  explicit DRAY_INLINE QuadPairs(const std::byte* quads) {
    const __m256i x = _mm256_load_si256(reinterpret_cast<const __m256i*>(quads));
    const __m256i positive = _mm256_max_epi8(x, _mm256_setzero_si256());
    // Of two columns each.
    const __m256i ups = AddColumns(positive), downs = AddColumns(_mm256_sub_epi8(positive, x));
    alone_ = ExceedLimit(_mm256_max_epi16(ups, downs));
    together_ = ExceedLimit(_mm256_max_epi16(AddNeighbours(ups), AddNeighbours(downs)));
    sums_ = _mm256_madd_epi16(_mm256_sub_epi16(ups, downs), Ones16());
  }

  // A bit for each byte: that it belongs to a pair of quads one of which is loud, and that it belongs to
  // two columns whose products are too large together.
  uint32_t together() const { return together_; }
  uint32_t alone() const { return alone_; }
  // Of four columns each.
  __m256i sums() const { return sums_; }

 private:
  static DRAY_INLINE __m256i AddColumns(__m256i bytes) {
    return _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
  }
  static DRAY_INLINE __m256i AddNeighbours(__m256i sums) {
    return _mm256_add_epi16(sums, _mm256_shuffle_epi32(sums, 0xB1));
  }
  static DRAY_INLINE uint32_t ExceedLimit(__m256i sums) {
    return static_cast<uint32_t>(
        _mm256_movemask_epi8(_mm256_cmpgt_epi16(sums, _mm256_set1_epi16(128))));
  }

  uint32_t together_, alone_;
  __m256i sums_;
};

// Sets the loud quads of a block of rows apart, or leaves the block as it is if there are too many.
class LoudQuadsOfBlock {
 public:
  LoudQuadsOfBlock(const PackActivationsTask& task, int64_t block)
      : begin_(task.blocks.Begin(block)),
        rows_(task.blocks.Begin(block + 1) - begin_),
        lines_(task.padded_cols / kLineCols),
        packed_(task.out + begin_ * lines_ * kLineBytes),
        sums_(task.input_sums + begin_),
        ends_(task.loud.ends + begin_),
        quads_(task.loud.quads + begin_ * MostLoudQuads(task.padded_cols)),
        most_(rows_ * MostLoudQuads(task.padded_cols)) {}

  void SetApart() {
    for (int64_t r = 0; r < rows_; ++r) {
      if (!SetRowApart(r)) {
        Restore(r);
        ends_[0] = LoudQuads::kTooMany;
        return;
      }
      ends_[r] = count_;
    }
  }

 private:
  static constexpr int64_t kLineCols = 4 * kQuadsPerLine;
  static constexpr int kVecQuads = 8;

  std::byte* Line(int64_t row, int64_t line) const {
    return packed_ + (line * rows_ + row) * kLineBytes;
  }

  // Returns false if there is no room for the row's quads.
  bool SetRowApart(int64_t row) {
    __m256i sum = _mm256_setzero_si256();
    for (int64_t line = 0; line < lines_; ++line) {
      for (int q = 0; q < kQuadsPerLine; q += kVecQuads) {
        auto* quads = reinterpret_cast<int32_t*>(Line(row, line) + q * kQuadBytes);
        const QuadPairs pairs(reinterpret_cast<std::byte*>(quads));
        sum = _mm256_add_epi32(sum, pairs.sums());
        if (pairs.together() == 0) continue;
        constexpr int64_t kMostEntries = 2 * kVecQuads;
        if (count_ + kMostEntries > most_) return false;
        SetPairsApart(pairs, quads, line * kQuadsPerLine + q);
      }
    }
    const __m128i four =
        _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    const __m128i two = _mm_hadd_epi32(four, four);
    sums_[row] = _mm_cvtsi128_si32(_mm_hadd_epi32(two, two));
    return true;
  }

  // `quads` are the `first`-th of the row and those that follow.
  void SetPairsApart(const QuadPairs& pairs, int32_t* quads, int64_t first) {
    constexpr uint32_t kPairBits = 0xFF, kQuadBits = 0xF;
    for (uint32_t left = pairs.together(); left != 0;) {
      const int shift = __builtin_ctz(left) & ~7;
      left &= ~(kPairBits << shift);
      const uint32_t alone = pairs.alone() >> shift & kPairBits;
      const bool first_alone = (alone & kQuadBits) != 0, second_alone = alone > kQuadBits;
      const int64_t at = shift / 4;
      if (first_alone) Move(quads[at], first + at, true);
      if (second_alone || !first_alone) Move(quads[at + 1], first + at + 1, second_alone);
    }
  }

  void Move(int32_t& x, int64_t quad, bool in_two) {
    const auto weights = static_cast<int32_t>(quad * kStepBytes);
    constexpr int32_t kEvenColumns = 0x00FF00FF;
    if (in_two) {
      quads_[count_++] = {weights, x & kEvenColumns};
      quads_[count_++] = {weights, x & ~kEvenColumns};
    } else {
      quads_[count_++] = {weights, x};
    }
    x = 0;
  }

  // Writes back the quads of all rows up to `last`.
  void Restore(int64_t last) {
    int32_t i = 0;
    for (int64_t r = 0; r <= last; ++r) {
      for (const int32_t end = r < last ? ends_[r] : count_; i < end; ++i) {
        const int64_t quad = quads_[i].weights / kStepBytes;
        *reinterpret_cast<int32_t*>(Line(r, quad / kQuadsPerLine) +
                                    quad % kQuadsPerLine * kQuadBytes) |= quads_[i].x;
      }
    }
  }

  const int64_t begin_, rows_, lines_;
  std::byte* const packed_;
  int32_t* const sums_;
  int32_t* const ends_;
  LoudQuad* const quads_;
  const int64_t most_;
  int32_t count_ = 0;
};

DRAY_INLINE void SetLoudQuadsApart(const PackActivationsTask& task, int64_t block) {
  if (task.loud.quads != nullptr) LoudQuadsOfBlock(task, block).SetApart();
}

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
