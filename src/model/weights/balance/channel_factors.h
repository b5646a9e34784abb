// The factors that balance two neighbours: what makes a channel, and the matrices that read it.
//
// Integers hold numbers badly if a few are much larger than the others with which they share a scale:
// activations of one token over all channels, weights of one row over a group of columns. Where channel
// j is divided by a factor d_j, and the columns that read it are multiplied by d_j, nothing changes in
// exact arithmetic. With
//
//   d_j = sqrt(size_j / reader_j)
//
// both have the same size in the end, sqrt(size_j * reader_j). The factors are powers of two, so that in
// formats of floats only exponents change.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dray::model {

// [channel]: size^alpha / reader^(1 - alpha), divided by their geometric mean, then rounded to a power of
// two. One for channels of which either number is zero or not finite. `alpha` is from 0 to 1: how much
// of the difference between channels goes to the readers.
std::vector<float> BalanceFactors(std::span<const double> sizes, std::span<const double> readers,
                                  double alpha);

// [channel]: 1 / factor.
std::vector<float> Inverses(std::span<const float> factors);

// Channels that are so much larger than the middle one that integers which hold them hold the others
// badly, and how much larger the largest is.
struct UnevenChannels {
  std::vector<int64_t> channels;
  double ratio = 1;
};

// A channel is uneven by its size, or by the factor that would balance it: columns that are small beside
// the others show that their inputs are large, where the sizes do not.
UnevenChannels FindUneven(std::span<const double> sizes, std::span<const double> readers);

}  // namespace dray::model
