#include "tokenizer/text/hash.h"

#include <cstring>
#include <random>

namespace dray::tokenizer {

uint64_t HashSeed() {
  static const uint64_t seed = [] {
    std::random_device device;
    return (uint64_t{device()} << 32) | device();
  }();
  return seed;
}

uint64_t HashText(std::string_view text, uint64_t seed) {
  constexpr uint64_t kTailFactor = 0xE7037ED1A0B428DBULL;
  uint64_t hash = seed ^ (text.size() * kTailFactor);
  size_t pos = 0;
  for (; pos + 8 <= text.size(); pos += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + pos, 8);
    hash = MixBits(hash ^ word, kHashFactor);
  }
  if (pos < text.size()) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + pos, text.size() - pos);
    hash = MixBits(hash ^ word, kTailFactor);
  }
  return MixBits(hash ^ seed, kHashFactor);
}

}  // namespace dray::tokenizer
