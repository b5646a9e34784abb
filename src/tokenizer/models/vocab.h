// A model's vocabulary: token text to id and back, in two flat tables (128,000 tokens load in a few
// ms and a look-up touches two cache lines).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/text/hash.h"

namespace dray::tokenizer {

// Limits of a tokenizer file.
inline constexpr size_t kMaxVocabTokens = 2'000'000;
inline constexpr size_t kMaxMerges = 4'000'000;
// Ids may have holes, within reason: the reverse table is as long as the largest id.
inline constexpr int64_t kMaxTokenId = 3'999'999;

class Vocab {
 public:
  // Room for `tokens` tokens of `bytes` bytes in all.
  void Reserve(size_t tokens, size_t bytes);
  // Adds a token. A text that is there already gets the new id, as in a JSON object read by Python;
  // an id that is there already stands for the new text. `id` is in [0, kMaxTokenId];
  // kResourceExhausted above kMaxVocabTokens.
  Status Add(std::string_view text, int32_t id);

  std::optional<int32_t> Find(std::string_view text) const;
  // The token's text, which may be empty, or nothing if no token has the id.
  std::optional<std::string_view> Text(int32_t id) const;

  // The number of different texts.
  size_t size() const { return entries_.size(); }
  // Whether no two texts share an id.
  bool ids_unique() const { return ids_unique_; }
  // One past the largest id.
  int32_t id_end() const { return static_cast<int32_t>(by_id_.size()); }

 private:
  struct Entry {
    uint64_t offset = 0;
    uint32_t length = 0;
    int32_t id = 0;
  };
  std::string_view EntryText(const Entry& entry) const {
    return std::string_view{bytes_}.substr(entry.offset, entry.length);
  }
  void Grow(size_t slots);
  // The slot of `text`, or the empty one where it belongs.
  size_t Slot(std::string_view text) const;

  uint64_t seed_ = HashSeed();
  bool ids_unique_ = true;
  std::string bytes_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // entry + 1, or 0; a power of two, at most half full
  std::vector<uint32_t> by_id_;  // entry + 1, or 0
};

}  // namespace dray::tokenizer
