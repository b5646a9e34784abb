#include "tokenizer/models/word_cache.h"

namespace dray::tokenizer {
namespace {

constexpr size_t kMinTextBytes = 4096;
constexpr size_t kSlots = 8192;
constexpr size_t kMaxWordBytes = 128;
constexpr size_t kMaxIds = 1 << 20;

}  // namespace

WordCache::WordCache(size_t total_bytes) {
  if (total_bytes >= kMinTextBytes) slots_.resize(kSlots);
}

std::optional<std::span<const int32_t>> WordCache::Find(std::string_view word) const {
  if (slots_.empty() || word.size() > kMaxWordBytes) return std::nullopt;
  const Slot& slot = slots_[Index(word)];
  if (slot.word != word) return std::nullopt;
  return std::span<const int32_t>(ids_).subspan(slot.begin, slot.count);
}

void WordCache::Store(std::string_view word, std::span<const int32_t> ids) {
  if (slots_.empty() || word.size() > kMaxWordBytes) return;
  if (ids_.size() + ids.size() > kMaxIds) {
    slots_.assign(slots_.size(), Slot{});
    ids_.clear();
  }
  slots_[Index(word)] = {word, static_cast<uint32_t>(ids_.size()),
                         static_cast<uint32_t>(ids.size())};
  ids_.insert(ids_.end(), ids.begin(), ids.end());
}

}  // namespace dray::tokenizer
