#include "tokenizer/steps/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "tokenizer/text/unicode.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

// All contents together: the index takes some 40 bytes of memory for each.
constexpr size_t kMaxTotalBytes = 16 << 20;

bool EndsWithWord(std::string_view text) {
  return !text.empty() && IsWord(DecodeChar(text, CharBoundaryBefore(text, text.size() - 1)).code);
}

bool StartsWithWord(std::string_view text) {
  return !text.empty() && IsWord(DecodeChar(text, 0).code);
}

// Where the white space at the end of `text` begins, but not before `least`.
size_t TrailingSpaceBegin(std::string_view text, size_t least) {
  size_t end = text.size();
  while (end > least) {
    const size_t last = CharBoundaryBefore(text, end - 1);
    if (!IsWhitespace(DecodeChar(text, last).code)) break;
    end = last;
  }
  return std::max(end, least);
}

// The text that a token is looked for by, and that decoding starts from.
Result<std::string> DecodedForm(const AddedToken& token, const Normalizer& normalizer,
                                WorkBudget& budget) {
  if (!token.normalized) return token.content;
  OwnedPiece piece{token.content, token.content.size(), true};
  DRAY_RETURN_IF_ERROR(normalizer.Apply(piece, budget));
  if (piece.text.size() > AddedTokens::kMaxContentBytes) {
    return Status(
        StatusCode::kResourceExhausted,
        fmt::format("the added token \"{}\" has {} bytes once normalized, above the limit of {}",
                    token.content, piece.text.size(), AddedTokens::kMaxContentBytes));
  }
  return std::move(piece.text);
}

// Where runs of white space end; remembers the last run, so that many tokens in one run cost no
// more than one.
class SpaceRuns {
 public:
  explicit SpaceRuns(std::string_view text) : text_(text) {}
  size_t End(size_t begin) {
    if (begin >= begin_ && begin < end_) return end_;
    begin_ = end_ = begin;
    while (end_ < text_.size()) {
      const DecodedChar c = DecodeChar(text_, end_);
      if (!IsWhitespace(c.code)) break;
      end_ += c.bytes;
    }
    return end_;
  }

 private:
  std::string_view text_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace

Status AddedTokens::Add(std::vector<AddedToken> tokens, const Vocab& vocab,
                        const Normalizer& normalizer) {
  WorkBudget budget(0);
  auto next_id = std::max(static_cast<int32_t>(vocab.size()), id_end_);
  size_t total_bytes = 0;
  for (AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    total_bytes += token.content.size();
    if (total_bytes > kMaxTotalBytes) {
      return {StatusCode::kResourceExhausted,
              fmt::format("the added tokens have more than {} bytes in all", kMaxTotalBytes)};
    }
    if (token.content.size() > kMaxContentBytes) {
      return {StatusCode::kResourceExhausted,
              fmt::format("the added token \"{}...\" has {} bytes, above the limit of {}",
                          token.content.substr(0, CharBoundaryBefore(token.content, 40)),
                          token.content.size(), kMaxContentBytes)};
    }
    DRAY_ASSIGN_OR_RETURN(std::string decoded, DecodedForm(token, normalizer, budget));
    DRAY_RETURN_IF_ERROR(AddOne(std::move(token), std::move(decoded), vocab, next_id));
  }
  return OkStatus();
}

void AddedTokens::Finish() {
  // The last token added under an id is the one that counts.
  for (int32_t i = 0; i < static_cast<int32_t>(entries_.size()); ++i) by_id_.push_back(i);
  const auto id_of = [this](int32_t place) { return entries_[static_cast<size_t>(place)].id; };
  std::stable_sort(by_id_.begin(), by_id_.end(),
                   [&](int32_t a, int32_t b) { return id_of(a) < id_of(b); });
  std::vector<int32_t> last;
  for (const int32_t place : by_id_) {
    if (!last.empty() && id_of(last.back()) == id_of(place)) last.pop_back();
    last.push_back(place);
  }
  by_id_ = std::move(last);
  for (const int32_t place : by_id_) {
    Entry& entry = entries_[static_cast<size_t>(place)];
    entry.skipped = special_.Find(entry.decoded).has_value();
    Matcher& matcher = entry.token.normalized ? normalized_ : raw_;
    if (entry.decoded.empty()) continue;
    matcher.trie.Insert(entry.decoded, place);
    matcher.starts[static_cast<uint8_t>(entry.decoded.front())] = true;
    matcher.empty = false;
  }
}

Status AddedTokens::AddOne(AddedToken token, std::string decoded, const Vocab& vocab,
                           int32_t& next_id) {
  Entry entry;
  if (const auto id = Find(token.content)) {
    entry.id = *id;
  } else if (const auto model_id = vocab.Find(token.content)) {
    entry.id = *model_id;
  } else {
    if (next_id > kMaxTokenId) {
      return {StatusCode::kResourceExhausted,
              fmt::format("more than {} added tokens", entries_.size())};
    }
    entry.id = next_id++;
  }
  id_end_ = std::max(id_end_, entry.id + 1);
  entry.decoded = std::move(decoded);
  if (token.special) DRAY_RETURN_IF_ERROR(special_.Add(token.content, 0));
  const auto place = static_cast<int32_t>(entries_.size());
  DRAY_RETURN_IF_ERROR(by_content_.Add(token.content, place));
  entry.token = std::move(token);
  entries_.push_back(std::move(entry));
  return OkStatus();
}

AddedTokens::Found AddedTokens::FindAt(const Matcher& matcher, std::string_view text, size_t pos) {
  Found found;
  Trie::Node node = Trie::kRoot;
  for (size_t end = pos; end < text.size();) {
    node = matcher.trie.Step(node, text[end++]);
    if (node == Trie::kNone) break;
    if (matcher.trie.Value(node) == Trie::kNoValue) continue;
    found = {end, matcher.trie.Value(node)};
  }
  return found;
}

void AddedTokens::Split(Stage stage, std::string_view text, std::vector<AddedSplit>& out) const {
  const Matcher& matcher = stage == Stage::kRaw ? raw_ : normalized_;
  size_t covered = 0;
  SpaceRuns spaces(text);
  for (size_t pos = 0; !matcher.empty && pos < text.size();) {
    if (!matcher.starts[static_cast<uint8_t>(text[pos])]) {
      ++pos;
      continue;
    }
    const Found found = FindAt(matcher, text, pos);
    if (found.entry == Trie::kNoValue) {
      ++pos;
      continue;
    }
    size_t begin = pos;
    size_t end = found.end;
    pos = found.end;
    const Entry& entry = entries_[static_cast<size_t>(found.entry)];
    if (entry.token.single_word &&
        (EndsWithWord(text.substr(0, begin)) || StartsWithWord(text.substr(end)))) {
      continue;
    }
    if (entry.token.lstrip) begin = TrailingSpaceBegin(text.substr(0, begin), covered);
    if (entry.token.rstrip) end = spaces.End(end);
    if (covered < begin) out.push_back({covered, begin, std::nullopt});
    out.push_back({std::min(begin, end), end, entry.id});
    covered = end;
  }
  if (covered < text.size()) out.push_back({covered, text.size(), std::nullopt});
}

std::optional<int32_t> AddedTokens::Find(std::string_view content) const {
  const auto place = by_content_.Find(content);
  if (!place) return std::nullopt;
  return entries_[static_cast<size_t>(*place)].id;
}

const AddedTokens::Entry* AddedTokens::ById(int32_t id) const {
  const auto below = [this](int32_t place, int32_t wanted) {
    return entries_[static_cast<size_t>(place)].id < wanted;
  };
  const auto it = std::lower_bound(by_id_.begin(), by_id_.end(), id, below);
  if (it == by_id_.end()) return nullptr;
  const Entry& entry = entries_[static_cast<size_t>(*it)];
  return entry.id == id ? &entry : nullptr;
}

const std::string* AddedTokens::Text(int32_t id) const {
  const Entry* entry = ById(id);
  return entry != nullptr ? &entry->decoded : nullptr;
}

bool AddedTokens::IsSpecial(int32_t id) const {
  const Entry* entry = ById(id);
  return entry != nullptr && entry->skipped;
}

}  // namespace dray::tokenizer
