// Which activations can be multiplied with stored 8-bit weights by the processor's saturating sums.
// Included by int8_avx2_inl.h.
//
// PairedBytes adds four products in 16 bits: those of two columns of a quad and of the same two of the
// quad beside it. Stored weights are at most 255. So the sum stays in range whatever the weights are
// if neither the positive ones of the four activations nor the negative ones add up to more than 128
// in magnitude, since 255 * 128 = 32640. Rounded activations are at most 127, most of them much less.
//
// Where they do, one quad of the two is loud: it keeps what the rule has room for beside the other, and the
// rest of it, which is small in most cases, stands in a list of the row (LoudQuads). The list is multiplied on its
// own, in groups of kLoudQuadsAdded whose sums obey the same rule, so that they are added in 16 bits too. Where
// even the rest of one quad is too large, two entries have one of the columns each.
#pragma once

#include <immintrin.h>

#include <bit>
#include <cstdint>

#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa_kernels.h"

namespace dray::kernels::DRAY_ISA {
namespace {

// How many entries of a row's list are added in 16 bits. Zeros fill a group that has no room for the next entry.
constexpr int kLoudQuadsAdded = 4;
// The most that the activations of one sign may add up to in 16 bits.
constexpr int16_t kMostInputSum = 128;

// Sums over two columns each: of the positive activations, and of the negative ones' magnitudes.
struct ColumnSums {
  __m256i ups, downs;

  static DRAY_INLINE ColumnSums Of(__m256i bytes) {
    const __m256i positive = _mm256_max_epi8(bytes, _mm256_setzero_si256());
    return {Add(positive), Add(_mm256_sub_epi8(positive, bytes))};
  }
  // A bit for each byte: that one of its two columns' sums is too large.
  DRAY_INLINE uint32_t Excess() const {
    const __m256i most = _mm256_max_epi16(ups, downs);
    return static_cast<uint32_t>(
        _mm256_movemask_epi8(_mm256_cmpgt_epi16(most, _mm256_set1_epi16(kMostInputSum))));
  }
  DRAY_INLINE ColumnSums OfNeighbours() const {
    return {_mm256_shuffle_epi32(ups, 0xB1), _mm256_shuffle_epi32(downs, 0xB1)};
  }
  DRAY_INLINE ColumnSums Plus(const ColumnSums& other) const {
    return {_mm256_add_epi16(ups, other.ups), _mm256_add_epi16(downs, other.downs)};
  }

 private:
  static DRAY_INLINE __m256i Add(__m256i bytes) {
    return _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
  }
};

// Eight quads, four neighbouring pairs of them.
class QuadPairs {
 public:
  explicit DRAY_INLINE QuadPairs(const int32_t* quads)
      : quads_(_mm256_load_si256(reinterpret_cast<const __m256i*>(quads))),
        columns_(ColumnSums::Of(quads_)) {}

  // A bit for each byte: that it belongs to a pair of quads one of which is loud, and that it belongs to
  // two columns whose products are too large without the other quad.
  DRAY_INLINE uint32_t together() const { return columns_.Plus(columns_.OfNeighbours()).Excess(); }
  DRAY_INLINE uint32_t alone() const { return columns_.Excess(); }
  // Of four columns each.
  DRAY_INLINE __m256i sums() const {
    return _mm256_madd_epi16(_mm256_sub_epi16(columns_.ups, columns_.downs), Ones16());
  }
  // [quad]: what has no room beside the other quad of its pair.
  DRAY_INLINE __m256i Rests() const {
    const ColumnSums beside = columns_.OfNeighbours();
    const __m256i positive = _mm256_max_epi8(quads_, _mm256_setzero_si256());
    const __m256i negative = _mm256_sub_epi8(positive, quads_);
    return _mm256_sub_epi8(RestOf(positive, beside.ups), RestOf(negative, beside.downs));
  }

 private:
  // The first of two columns has room before the second.
  static DRAY_INLINE __m256i RestOf(__m256i magnitudes, __m256i beside) {
    const __m256i room = _mm256_subs_epu16(_mm256_set1_epi16(kMostInputSum), beside);
    const __m256i first = _mm256_and_si256(magnitudes, _mm256_set1_epi16(0xFF));
    const __m256i second = _mm256_srli_epi16(magnitudes, 8);
    const __m256i first_rest = _mm256_subs_epu16(first, room);
    const __m256i second_rest = _mm256_subs_epu16(second, _mm256_subs_epu16(room, first));
    return _mm256_or_si256(first_rest, _mm256_slli_epi16(second_rest, 8));
  }

  __m256i quads_;
  ColumnSums columns_;
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
  static constexpr int32_t kFirstColumns = 0x00FF00FF;

  std::byte* Line(int64_t row, int64_t line) const {
    return packed_ + (line * rows_ + row) * kLineBytes;
  }
  int32_t* Quad(int64_t row, int64_t quad) const {
    std::byte* const line = Line(row, quad / kQuadsPerLine);
    return reinterpret_cast<int32_t*>(line + quad % kQuadsPerLine * kQuadBytes);
  }

  // Returns false if there is no room for the row's quads.
  bool SetRowApart(int64_t row) {
    __m256i sum = _mm256_setzero_si256();
    for (int64_t line = 0; line < lines_; ++line) {
      for (int q = 0; q < kQuadsPerLine; q += kVecQuads) {
        auto* quads = reinterpret_cast<int32_t*>(Line(row, line) + q * kQuadBytes);
        const QuadPairs pairs(quads);
        sum = _mm256_add_epi32(sum, pairs.sums());
        if (pairs.together() == 0) continue;
        if (!SetPairsApart(pairs, quads, line * kQuadsPerLine + q)) return false;
      }
    }
    FillGroup();
    const __m128i four =
        _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    const __m128i two = _mm_hadd_epi32(four, four);
    sums_[row] = _mm_cvtsi128_si32(_mm_hadd_epi32(two, two));
    return true;
  }

  // `quads` are the `first`-th of the row and those that follow.
  bool SetPairsApart(const QuadPairs& pairs, int32_t* quads, int64_t first) {
    constexpr uint32_t kPairBits = 0xFF, kQuadBits = 0xF;
    alignas(kLineBytes) int32_t rests[kVecQuads];
    _mm256_store_si256(reinterpret_cast<__m256i*>(rests), pairs.Rests());
    const uint32_t alone = pairs.alone();
    for (uint32_t left = pairs.together(); left != 0;) {
      const int shift = std::countr_zero(left) & ~7;
      left &= ~(kPairBits << shift);
      const uint32_t alone_of_pair = alone >> shift & kPairBits;
      const bool first_alone = (alone_of_pair & kQuadBits) != 0;
      const bool second_alone = alone_of_pair > kQuadBits;
      const int64_t at = shift / 4;
      // Two quads that are too large each have no room beside each other: all of both stands apart.
      if (first_alone && second_alone) {
        if (!Move(quads[at], first + at, quads[at])) return false;
        if (!Move(quads[at + 1], first + at + 1, quads[at + 1])) return false;
        continue;
      }
      const int64_t loud = first_alone ? at : at + 1;
      if (!Move(quads[loud], first + loud, rests[loud])) return false;
    }
    return true;
  }

  // Takes `part` away from the quad x.
  bool Move(int32_t& x, int64_t quad, int32_t part) {
    if (ColumnSums::Of(_mm256_castsi128_si256(_mm_cvtsi32_si128(part))).Excess() == 0) {
      return Append(x, quad, part);
    }
    return Append(x, quad, part & kFirstColumns) && Append(x, quad, part & ~kFirstColumns);
  }

  bool Append(int32_t& x, int64_t quad, int32_t part) {
    // The zeros that end this group and the next one.
    if (count_ + 2 * kLoudQuadsAdded > most_) return false;
    const uint64_t sums = SumsOf(part);
    if (IsTooMuch(group_sums_ + sums)) FillGroup();
    group_sums_ = count_ % kLoudQuadsAdded == 0 ? sums : group_sums_ + sums;
    quads_[count_++] = {static_cast<int32_t>(quad * kStepBytes), part};
    x = _mm_cvtsi128_si32(_mm_sub_epi8(_mm_cvtsi32_si128(x), _mm_cvtsi32_si128(part)));
    return true;
  }

  // Ends the group that is begun.
  void FillGroup() {
    while (count_ % kLoudQuadsAdded != 0) quads_[count_++] = {0, 0};
  }

  // Four sums of 16 bits: ColumnSums of a quad.
  static uint64_t SumsOf(int32_t quad) {
    const ColumnSums sums = ColumnSums::Of(_mm256_castsi128_si256(_mm_cvtsi32_si128(quad)));
    return static_cast<uint64_t>(
        _mm_cvtsi128_si64(_mm256_castsi256_si128(_mm256_unpacklo_epi32(sums.ups, sums.downs))));
  }
  static bool IsTooMuch(uint64_t sums) {
    constexpr uint64_t kEach = 0x0001'0001'0001'0001;
    return ((sums + (INT16_MAX - kMostInputSum) * kEach) & (kEach << 15)) != 0;
  }

  // Adds what was taken from the rows up to `last` to their quads again.
  void Restore(int64_t last) {
    int32_t i = 0;
    for (int64_t r = 0; r <= last; ++r) {
      for (const int32_t end = r < last ? ends_[r] : count_; i < end; ++i) {
        int32_t& x = *Quad(r, quads_[i].weights / kStepBytes);
        x = _mm_cvtsi128_si32(_mm_add_epi8(_mm_cvtsi32_si128(x), _mm_cvtsi32_si128(quads_[i].x)));
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
  uint64_t group_sums_ = 0;  // SumsOf of the entries of the last group, together
};

DRAY_INLINE void SetLoudQuadsApart(const PackActivationsTask& task, int64_t block) {
  if (task.loud.quads != nullptr) LoudQuadsOfBlock(task, block).SetApart();
}

}  // namespace
}  // namespace dray::kernels::DRAY_ISA
