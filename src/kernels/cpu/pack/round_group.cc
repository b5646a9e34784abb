#include "kernels/cpu/pack/round_group.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace dray::kernels {
namespace {

// Parts of the scale that covers all weights. On the demo model, five of either sign do as well as
// eighteen. f32 holds them exactly, so all instruction sets try the same scales.
constexpr float kShares[] = {1.0f, 0.9375f, 0.875f, 0.8125f, 0.75f};

// The candidates for the rounding of one group.
class Candidates {
 public:
  Candidates() { std::fill(std::begin(rounding_.scales), std::end(rounding_.scales), 0.0f); }

  void Add(float scale, int zero) {
    rounding_.scales[rounding_.count] = scale;
    rounding_.zeros[rounding_.count++] = static_cast<float>(zero);
  }

  // Rounds the scales to f16. Returns the number of the best candidate; of equally good ones, the first.
  int Choose(const IsaKernels& isa, RoundingTask task) {
    // All places, also those without a candidate: a whole vector is converted faster than a part of one.
    constexpr int kAll = RoundingCandidates::kMost;
    isa.convert(DType::kF32, rounding_.scales, DType::kF16, halves_, kAll);
    isa.convert(DType::kF16, halves_, DType::kF32, rounding_.scales, kAll);
    for (int i = 0; i < rounding_.count; ++i) {
      const float scale = rounding_.scales[i];
      rounding_.inverses[i] = scale != 0.0f ? 1.0f / scale : 0.0f;
    }
    // The first one covers all weights: if f16 does not hold its scale, the group is refused.
    if (rounding_.count == 1 || !std::isfinite(rounding_.scales[0])) return 0;
    task.candidates = &rounding_;
    float errors[RoundingCandidates::kMost];
    isa.rounding_errors(task, errors);
    int best = 0;
    for (int i = 1; i < rounding_.count; ++i) {
      if (errors[i] < errors[best]) best = i;
    }
    return best;
  }

  uint16_t scale(int i) const { return halves_[i]; }
  float inverse(int i) const { return rounding_.inverses[i]; }
  int zero(int i) const { return static_cast<int>(rounding_.zeros[i]); }

 private:
  RoundingCandidates rounding_;
  uint16_t halves_[RoundingCandidates::kMost];
};

int Bits(const PanelLayout& layout) { return layout.format == WeightFormat::kI4 ? 4 : 8; }

// The weight of largest magnitude becomes the lowest integer, so that all integers are used; or, in 4
// bits, one beyond either end.
float AddSymmetric(const IsaKernels& isa, const PanelLayout& layout, const float* x,
                   Candidates& candidates) {
  const int half = 1 << (Bits(layout) - 1);
  const float peak = isa.peak(x, layout.group);
  const float covering = peak / static_cast<float>(-half);
  if (half > 8) {
    candidates.Add(covering, half);
    return peak;
  }
  for (const float sign : {1.0f, -1.0f}) {
    for (const float share : kShares) candidates.Add(covering * (sign * share), half);
  }
  return peak;
}

// The integers cover the range from the least weight (or zero) to the largest one (or zero). Zero points
// are whole, so that a weight of zero stays zero: groups with channels that are much larger than the
// others have many weights near zero. One integer less than there are makes room for the rounding of the
// zero point.
float AddWithZero(const IsaKernels& isa, const PanelLayout& layout, const float* x,
                  Candidates& candidates) {
  const int top = (1 << Bits(layout)) - 1;
  float least = 0, most = 0;
  isa.extremes(x, layout.group, least, most);
  const float range = most - least;
  const float zero = range > 0 ? -least / range : 0.0f;
  const auto whole_zero = [&](int steps) {
    return static_cast<int>(std::nearbyint(zero * static_cast<float>(steps)));
  };
  if (top > 15) {
    candidates.Add(range / static_cast<float>(top - 1), whole_zero(top - 1));
  } else {
    for (const float share : kShares) {
      for (const int shift : {0, -1, 1}) {
        candidates.Add(range / static_cast<float>(top) * share,
                       std::clamp(whole_zero(top) + shift, 0, top));
      }
    }
  }
  return most >= -least ? most : least;
}

}  // namespace

GroupRounding RoundGroup(const IsaKernels& isa, const PanelLayout& layout, const float* x) {
  const int top = (1 << Bits(layout)) - 1;
  Candidates candidates;
  GroupRounding rounding;
  rounding.peak = layout.has_zeros() ? AddWithZero(isa, layout, x, candidates)
                                     : AddSymmetric(isa, layout, x, candidates);
  const int best = candidates.Choose(isa, {.x = x, .count = layout.group, .top = top});
  const int zero = candidates.zero(best);
  rounding.header = {candidates.scale(best), F32ToF16(static_cast<float>(-zero))};
  rounding.quantize = {.x = x,
                       .count = layout.group,
                       .inverse_scale = candidates.inverse(best),
                       .zero = zero,
                       .top = top};
  return rounding;
}

}  // namespace dray::kernels
