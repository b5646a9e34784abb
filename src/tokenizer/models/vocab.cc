#include "tokenizer/models/vocab.h"

#include <fmt/format.h>

#include <bit>

#include "base/check.h"

namespace dray::tokenizer {
void Vocab::Reserve(size_t tokens, size_t bytes) {
  bytes_.reserve(bytes);
  entries_.reserve(tokens);
  by_id_.reserve(tokens);
  Grow(std::bit_ceil(std::max<size_t>(16, tokens * 2 + 2)));
}

void Vocab::Grow(size_t slots) {
  slots_.assign(slots, 0);
  for (size_t i = 0; i < entries_.size(); ++i) {
    slots_[Slot(EntryText(entries_[i]))] = static_cast<uint32_t>(i + 1);
  }
}

size_t Vocab::Slot(std::string_view text) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = HashText(text, seed_) & mask;
  while (slots_[slot] != 0 && EntryText(entries_[slots_[slot] - 1]) != text) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

Status Vocab::Add(std::string_view text, int32_t id) {
  DRAY_CHECK(id >= 0 && id <= kMaxTokenId);
  if (2 * (entries_.size() + 1) > slots_.size()) Grow(std::max<size_t>(16, slots_.size() * 2));
  const size_t slot = Slot(text);
  if (slots_[slot] == 0) {
    if (entries_.size() == kMaxVocabTokens) {
      return {StatusCode::kResourceExhausted,
              fmt::format("the vocabulary has more than {} tokens", kMaxVocabTokens)};
    }
    entries_.push_back({bytes_.size(), static_cast<uint32_t>(text.size()), id});
    bytes_ += text;
    slots_[slot] = static_cast<uint32_t>(entries_.size());
  }
  const uint32_t entry = slots_[slot];
  entries_[entry - 1].id = id;
  if (by_id_.size() <= static_cast<size_t>(id)) by_id_.resize(static_cast<size_t>(id) + 1, 0);
  uint32_t& owner = by_id_[static_cast<size_t>(id)];
  if (owner != 0 && owner != entry) ids_unique_ = false;
  owner = entry;
  return OkStatus();
}

std::optional<int32_t> Vocab::Find(std::string_view text) const {
  if (slots_.empty()) return std::nullopt;
  const uint32_t entry = slots_[Slot(text)];
  if (entry == 0) return std::nullopt;
  return entries_[entry - 1].id;
}

std::optional<std::string_view> Vocab::Text(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= by_id_.size()) return std::nullopt;
  const uint32_t entry = by_id_[static_cast<size_t>(id)];
  if (entry == 0) return std::nullopt;
  return EntryText(entries_[entry - 1]);
}

}  // namespace dray::tokenizer
