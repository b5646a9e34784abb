#include "tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tokenizer/text/utf8.h"
#include "tokenizer/tokenizer_parts.h"

namespace dray::tokenizer {

std::optional<int32_t> FindToken(const TokenizerParts& parts, std::string_view token) {
  const auto added = parts.added_tokens.Find(token);
  return added ? added : parts.model->vocab().Find(token);
}

Result<std::unique_ptr<Tokenizer>> BuildTokenizer(TokenizerParts parts) {
  parts.added_tokens.Finish();
  const int32_t id_end = std::max(parts.model->vocab().id_end(), parts.added_tokens.id_end());
  if (parts.post_processor.max_id() >= id_end) {
    return Status(
        StatusCode::kCorrupt,
        fmt::format("post_processor: adds the id {}, but the largest id of the vocabulary is {}",
                    parts.post_processor.max_id(), id_end - 1));
  }
  return std::unique_ptr<Tokenizer>(
      new Tokenizer(std::make_unique<const TokenizerParts>(std::move(parts))));
}

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}

Tokenizer::~Tokenizer() = default;

int32_t Tokenizer::vocab_size() const {
  return std::max(parts_->model->vocab().id_end(), parts_->added_tokens.id_end());
}

std::optional<int32_t> Tokenizer::bos_id() const { return parts_->bos_id; }
std::optional<int32_t> Tokenizer::eos_id() const { return parts_->eos_id; }

std::optional<int32_t> Tokenizer::TokenId(std::string_view token) const {
  return FindToken(*parts_, token);
}

std::optional<std::string_view> Tokenizer::TokenText(int32_t id) const {
  if (const std::string* added = parts_->added_tokens.Text(id)) return *added;
  return parts_->model->vocab().Text(id);
}

bool Tokenizer::IsSpecial(int32_t id) const { return parts_->added_tokens.IsSpecial(id); }

Result<std::vector<int32_t>> Tokenizer::Encode(std::string_view text,
                                               const EncodeOptions& options) const {
  DRAY_ASSIGN_OR_RETURN(Encoding encoding, EncodeTyped(text, options));
  return std::move(encoding.ids);
}

Result<Encoding> Tokenizer::EncodeTyped(std::string_view text, const EncodeOptions& options) const {
  return EncodeAll({&text, 1}, options);
}

Result<Encoding> Tokenizer::EncodePair(std::string_view first, std::string_view second,
                                       const EncodeOptions& options) const {
  const std::string_view texts[] = {first, second};
  return EncodeAll(texts, options);
}

Result<Encoding> Tokenizer::EncodeAll(std::span<const std::string_view> texts,
                                      const EncodeOptions& options) const {
  size_t total_bytes = 0;
  for (const std::string_view text : texts) {
    total_bytes += text.size();
    if (text.size() > kMaxTextBytes || total_bytes > kMaxTextBytes) {
      return Status(
          StatusCode::kResourceExhausted,
          fmt::format("the text has {} bytes, above the limit of {}", total_bytes, kMaxTextBytes));
    }
  }
  WorkBudget budget(total_bytes, options.is_cancelled);
  std::vector<std::vector<int32_t>> ids(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    if (IsValidUtf8(texts[i])) {
      DRAY_RETURN_IF_ERROR(EncodeText(texts[i], budget, ids[i]));
    } else {
      const std::string repaired = ReplaceInvalidUtf8(texts[i]);
      DRAY_RETURN_IF_ERROR(EncodeText(repaired, budget, ids[i]));
    }
  }
  const PostProcessor& post_processor = parts_->post_processor;
  if (options.truncation) {
    Truncation truncation = *options.truncation;
    const size_t added = options.add_special_tokens ? post_processor.NumAdded(ids.size()) : 0;
    if (truncation.max_ids < added) {
      return Status(StatusCode::kInvalidArgument,
                    fmt::format("at most {} ids are allowed, but the special tokens alone are {}",
                                truncation.max_ids, added));
    }
    truncation.max_ids -= added;
    DRAY_RETURN_IF_ERROR(Truncate(truncation, parts_->truncation_side, ids));
  }
  return post_processor.Apply(
      std::move(ids), options.add_special_tokens ? AddSpecialTokens::kYes : AddSpecialTokens::kNo);
}

Status Tokenizer::EncodeText(std::string_view text, WorkBudget& budget,
                             std::vector<int32_t>& ids) const {
  std::vector<AddedSplit> splits;
  parts_->added_tokens.Split(AddedTokens::Stage::kRaw, text, splits);
  for (const AddedSplit& split : splits) {
    if (split.id) {
      ids.push_back(*split.id);
      continue;
    }
    const size_t first_char = DecodeChar(text, split.begin).bytes;
    const Piece whole{text.substr(split.begin, split.end - split.begin), first_char,
                      split.begin == 0};
    DRAY_RETURN_IF_ERROR(EncodeBetween(whole, budget, ids));
  }
  return OkStatus();
}

// A text between added tokens: normalize, look for added tokens again, cut, and give to the model.
Status Tokenizer::EncodeBetween(Piece whole, WorkBudget& budget, std::vector<int32_t>& ids) const {
  OwnedPiece owned;
  if (!parts_->normalizer.empty()) {
    owned = {std::string(whole.text), whole.origin, whole.at_start};
    DRAY_RETURN_IF_ERROR(parts_->normalizer.Apply(owned, budget));
    whole = owned.View();
  }
  std::vector<AddedSplit> splits;
  parts_->added_tokens.Split(AddedTokens::Stage::kNormalized, whole.text, splits);
  std::vector<std::string_view> words;
  for (const AddedSplit& split : splits) {
    if (split.id) {
      ids.push_back(*split.id);
      continue;
    }
    Pieces pieces(budget);
    pieces.list.push_back(whole.Slice(split.begin, split.end));
    DRAY_RETURN_IF_ERROR(parts_->pre_tokenizer.Apply(pieces));
    words.clear();
    words.reserve(pieces.list.size());
    for (const Piece& piece : pieces.list) words.push_back(piece.text);
    DRAY_RETURN_IF_ERROR(parts_->model->Encode(words, budget, ids));
  }
  return OkStatus();
}

}  // namespace dray::tokenizer
