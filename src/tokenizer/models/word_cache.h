// What one Encode call has already found out: the ids of the words that it has seen. It lives on
// the caller's stack, so threads share nothing and memory is bounded by the call.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/text/hash.h"

namespace dray::tokenizer {

class WordCache {
 public:
  // With `total_bytes` of text ahead: a short text gets no cache at all.
  explicit WordCache(size_t total_bytes);

  // The ids stored for `word`, valid until the next Store.
  std::optional<std::span<const int32_t>> Find(std::string_view word) const;
  // Remembers `ids`; takes the place of another word. `word` must outlive the cache.
  void Store(std::string_view word, std::span<const int32_t> ids);

 private:
  struct Slot {
    std::string_view word;  // empty: free
    uint32_t begin = 0;
    uint32_t count = 0;
  };
  size_t Index(std::string_view word) const { return HashText(word, seed_) & (slots_.size() - 1); }

  std::vector<Slot> slots_;  // empty, or a power of two
  std::vector<int32_t> ids_;
  uint64_t seed_ = HashSeed();
};

}  // namespace dray::tokenizer
