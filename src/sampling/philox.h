// Random numbers as a function of a key and a counter (Philox 4x32-10, Salmon et al. 2011). There
// is no state: the draw for a token depends only on the seed and the token's place, not on the rest
// of the batch, and not on how often the sequence was preempted and computed again.
#pragma once

#include <array>
#include <cstdint>

namespace dray::sampling {

// Ten rounds of Philox over a 128-bit counter with a 64-bit key.
constexpr std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter,
                                         std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return counter;
}

// A multiple of 2^-53, uniform in [0, 1): the draw for generated token `position`, counted from 0,
// of the request's sample `sample_index`.
constexpr double UniformDraw(uint64_t seed, uint64_t position, uint32_t sample_index) {
  const auto bits = Philox(
      {static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), sample_index, 0},
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t word = uint64_t{bits[1]} << 32 | bits[0];
  return static_cast<double>(word >> 11) * 0x1p-53;
}

}  // namespace dray::sampling
