// Hashing for tables whose keys come from untrusted files and requests: seeded once a process, so
// that nobody can prepare keys that all fall into one slot.
#pragma once

#include <cstdint>
#include <string_view>

namespace dray::tokenizer {

// This process's seed.
uint64_t HashSeed();

// Both halves of the product: the mixing step of all hashes here.
inline uint64_t MixBits(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline constexpr uint64_t kHashFactor = 0xA0761D6478BD642FULL;

// `seed` is HashSeed(), kept by the table so that the hot path need not ask for it.
inline uint64_t HashKey(uint64_t key, uint64_t seed) { return MixBits(key ^ seed, kHashFactor); }
uint64_t HashText(std::string_view text, uint64_t seed);

}  // namespace dray::tokenizer
