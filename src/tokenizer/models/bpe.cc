#include "tokenizer/models/bpe.h"

#include <fmt/format.h>

#include "tokenizer/json_node.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

constexpr int32_t kNoId = -1;
// Pieces from this size on are looked through for places where they can be cut.
constexpr size_t kMinCutBytes = 48;

uint64_t JunctionKey(char32_t left, char32_t right) {
  return (static_cast<uint64_t>(left) << 32) | right;
}

char32_t LastChar(std::string_view text) {
  return DecodeChar(text, CharBoundaryBefore(text, text.size() - 1)).code;
}

}  // namespace

Result<std::unique_ptr<BpeModel>> BpeModel::Create(Vocab vocab,
                                                   const std::vector<MergePair>& merges,
                                                   BpeOptions options) {
  std::unique_ptr<BpeModel> model(new BpeModel(std::move(vocab), std::move(options)));
  DRAY_RETURN_IF_ERROR(model->AddMerges(merges));
  model->AddJunctions(merges);
  model->FindShortChars();
  return model;
}

BpeModel::BpeModel(Vocab vocab, BpeOptions options)
    : SubwordModel(std::move(vocab)), options_(std::move(options)) {}

Status BpeModel::AddMerges(const std::vector<MergePair>& merges) {
  const size_t prefix = options_.continuing_subword_prefix.size();
  merges_.Reset(merges.size());
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const auto missing = [&](std::string_view token) {
      return Status(StatusCode::kCorrupt,
                    fmt::format("merges[{}] needs the token {}, which is not in the vocabulary",
                                rank, QuoteText(token)));
    };
    const auto left_id = vocab().Find(left);
    if (!left_id) return missing(left);
    const auto right_id = vocab().Find(right);
    if (!right_id) return missing(right);
    if (right.size() < prefix) {
      return {StatusCode::kCorrupt,
              fmt::format("merges[{}]: {} is shorter than continuing_subword_prefix", rank,
                          QuoteText(right))};
    }
    joined.assign(left);
    joined += right.substr(prefix);
    const auto id = vocab().Find(joined);
    if (!id) return missing(joined);
    merges_.Set(PairKey(*left_id, *right_id), {static_cast<uint32_t>(rank), *id});
  }
  return OkStatus();
}

// A merge joins the last character of its left side with the first one of its right side. If two
// neighbouring characters are at no such junction, no merge ever joins them. So a long piece can be
// cut there: the ids are the same, and short words are fast and repeat. This holds if every id has
// one text and text is all that a token consists of.
void BpeModel::AddJunctions(const std::vector<MergePair>& merges) {
  can_cut_ = options_.long_pieces && options_.continuing_subword_prefix.empty() &&
             options_.end_of_word_suffix.empty() && vocab().ids_unique();
  if (!can_cut_) return;
  junctions_.Reset(merges.size());
  for (const auto& [left, right] : merges) {
    if (left.empty() || right.empty()) continue;
    junctions_.Set(JunctionKey(LastChar(left), DecodeChar(right, 0).code), true);
  }
}

void BpeModel::FindShortChars() {
  std::string text;
  for (char32_t code = 0; code < short_chars_.size(); ++code) {
    text.clear();
    AppendUtf8(code, text);
    short_chars_[code] = vocab().Find(text).value_or(kNoId);
  }
  for (size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    byte_tokens_[byte] = vocab().Find(fmt::format("<0x{:02X}>", byte)).value_or(kNoId);
  }
}

std::optional<int32_t> BpeModel::CharId(std::string_view character, char32_t code) const {
  if (code >= short_chars_.size()) return vocab().Find(character);
  if (short_chars_[code] == kNoId) return std::nullopt;
  return short_chars_[code];
}

bool BpeModel::AppendByteTokens(std::string_view text, std::vector<int32_t>& symbols) const {
  for (const char byte : text) {
    if (byte_tokens_[static_cast<uint8_t>(byte)] == kNoId) return false;
  }
  for (const char byte : text) symbols.push_back(byte_tokens_[static_cast<uint8_t>(byte)]);
  return true;
}

Status BpeModel::SplitChars(std::string_view word, std::vector<int32_t>& symbols) const {
  const bool plain =
      options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty();
  std::optional<int32_t> unk;  // an unknown character that is not in `symbols` yet
  std::string decorated;
  for (size_t pos = 0; pos < word.size();) {
    const DecodedChar c = DecodeChar(word, pos);
    std::string_view text = word.substr(pos, c.bytes);
    if (!plain) {
      decorated.clear();
      if (pos > 0) decorated += options_.continuing_subword_prefix;
      decorated += text;
      if (pos + c.bytes == word.size()) decorated += options_.end_of_word_suffix;
      text = decorated;
    }
    pos += c.bytes;
    const auto id = plain ? CharId(text, c.code) : vocab().Find(text);
    if (id) {
      if (unk) symbols.push_back(*unk);
      unk.reset();
      symbols.push_back(*id);
      continue;
    }
    // As in the reference, byte tokens do not push out an unknown character that waits to be fused.
    if (options_.byte_fallback && AppendByteTokens(text, symbols)) continue;
    if (!options_.unk_token) continue;  // without unk_token, unknown characters are dropped
    if (unk && options_.fuse_unk) continue;
    if (unk) symbols.push_back(*unk);
    unk = vocab().Find(*options_.unk_token);
    if (!unk) {
      return {StatusCode::kInvalidArgument,
              fmt::format("the text has a character that the vocabulary lacks, and so does the "
                          "tokenizer's unk_token \"{}\"",
                          *options_.unk_token)};
    }
  }
  if (unk) symbols.push_back(*unk);
  return OkStatus();
}

Status BpeModel::EncodeWord(std::string_view word, Shared& shared,
                            std::vector<int32_t>& ids) const {
  if (shared.budget.IsCancelledAfter(word.size())) return shared.budget.SpentError(word.size());
  if (const auto known = shared.cache.Find(word)) {
    ids.insert(ids.end(), known->begin(), known->end());
    return OkStatus();
  }
  std::vector<int32_t>& scratch = shared.scratch;
  scratch.clear();
  DRAY_RETURN_IF_ERROR(SplitChars(word, scratch));
  DRAY_RETURN_IF_ERROR(MergeAll(merges_, shared.budget, scratch));
  shared.cache.Store(word, scratch);
  ids.insert(ids.end(), scratch.begin(), scratch.end());
  return OkStatus();
}

bool BpeModel::CanCut(std::string_view text, size_t left, size_t right) const {
  const DecodedChar a = DecodeChar(text, left);
  const DecodedChar b = DecodeChar(text, right);
  if (junctions_.Get(JunctionKey(a.code, b.code)) != nullptr) return false;
  // Both must be tokens: unknown characters may be fused across, and byte tokens merge
  // by other rules.
  return CharId(text.substr(left, a.bytes), a.code).has_value() &&
         CharId(text.substr(right, b.bytes), b.code).has_value();
}

Status BpeModel::EncodeLongPiece(std::string_view piece, Shared& shared,
                                 std::vector<int32_t>& ids) const {
  size_t begin = 0;
  size_t left = 0;
  for (size_t right = DecodeChar(piece, 0).bytes; right < piece.size();
       right += DecodeChar(piece, right).bytes) {
    if (CanCut(piece, left, right)) {
      DRAY_RETURN_IF_ERROR(EncodeWord(piece.substr(begin, right - begin), shared, ids));
      begin = right;
    }
    left = right;
  }
  return EncodeWord(piece.substr(begin), shared, ids);
}

Status BpeModel::Encode(const std::vector<std::string_view>& pieces, WorkBudget& budget,
                        std::vector<int32_t>& ids) const {
  size_t total_bytes = 0;
  for (const std::string_view piece : pieces) total_bytes += piece.size();
  Shared shared{budget, WordCache(total_bytes), {}};
  for (const std::string_view piece : pieces) {
    if (options_.ignore_merges) {
      if (const auto id = vocab().Find(piece)) {
        ids.push_back(*id);
        continue;
      }
    }
    if (can_cut_ && piece.size() >= kMinCutBytes) {
      DRAY_RETURN_IF_ERROR(EncodeLongPiece(piece, shared, ids));
    } else {
      DRAY_RETURN_IF_ERROR(EncodeWord(piece, shared, ids));
    }
  }
  return OkStatus();
}

}  // namespace dray::tokenizer
