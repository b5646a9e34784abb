#include "tokenizer/load/vocab_files.h"

#include <fmt/format.h>

#include <string>
#include <unordered_map>
#include <utility>

#include "tokenizer/load/encoder_class.h"
#include "tokenizer/load/sentencepiece_model.h"
#include "tokenizer/models/unigram.h"
#include "tokenizer/models/word_models.h"
#include "tokenizer/text/unicode.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

std::string_view WithoutSpaceAtEnd(std::string_view line) {
  while (!line.empty()) {
    const size_t last = CharBoundaryBefore(line, line.size() - 1);
    if (!IsWhitespace(DecodeChar(line, last).code)) break;
    line = line.substr(0, last);
  }
  return line;
}

// A sentinel that the file has itself would get a second id.
Status RefuseSentinel(const SentencePiece& piece, size_t id, int64_t num_sentinels) {
  const bool added = piece.type == SentencePiece::Type::kControl ||
                     piece.type == SentencePiece::Type::kUserDefined;
  if (num_sentinels == 0 || !added || piece.text.find("<extra_id_") == std::string_view::npos) {
    return OkStatus();
  }
  return {StatusCode::kInvalidArgument,
          fmt::format(
              "piece {} is {}, but {} sentinels would be added behind the pieces: set extra_ids "
              "to 0 in tokenizer_config.json",
              id, QuoteText(piece.text), num_sentinels)};
}

}  // namespace

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

Result<std::unique_ptr<const SubwordModel>> ParseVocabTxt(std::string_view text,
                                                          const std::string& unk_token) {
  std::vector<std::string_view> lines = Lines(text);
  if (lines.empty() || lines.size() > kMaxVocabTokens) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("has {} lines, not 1 to {}", lines.size(), size_t{kMaxVocabTokens}));
  }
  std::unordered_map<std::string_view, size_t> last;
  last.reserve(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!IsValidUtf8(lines[i])) {
      return Status(StatusCode::kCorrupt, fmt::format("line {} is not UTF-8", i + 1));
    }
    lines[i] = WithoutSpaceAtEnd(lines[i]);
    last[lines[i]] = i;
  }
  Vocab vocab;
  vocab.Reserve(lines.size(), text.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    if (last[lines[i]] != i) continue;
    DRAY_RETURN_IF_ERROR(vocab.Add(lines[i], static_cast<int32_t>(i)));
  }
  WordPieceOptions options;
  options.unk_token = unk_token;
  options.continuing_subword_prefix = "##";
  DRAY_ASSIGN_OR_RETURN(auto model, WordPieceModel::Create(std::move(vocab), std::move(options)));
  return std::unique_ptr<const SubwordModel>(std::move(model));
}

Result<SentencePieceParts> ParseSpieceModel(std::string_view bytes, int64_t num_sentinels) {
  DRAY_ASSIGN_OR_RETURN(const SentencePieceModel file, ParseSentencePieceModel(bytes));
  SentencePieceParts parts;
  Vocab vocab;
  vocab.Reserve(file.pieces.size() + static_cast<size_t>(num_sentinels), bytes.size());
  std::vector<double> scores;
  for (const SentencePiece& piece : file.pieces) {
    DRAY_RETURN_IF_ERROR(RefuseSentinel(piece, scores.size(), num_sentinels));
    DRAY_RETURN_IF_ERROR(vocab.Add(piece.text, static_cast<int32_t>(scores.size())));
    scores.push_back(piece.score);
    const bool control = piece.type == SentencePiece::Type::kControl;
    if (!control && piece.type != SentencePiece::Type::kUserDefined) continue;
    AddedToken token;
    token.content = piece.text;
    token.normalized = false;
    token.special = control;
    parts.added_tokens.push_back(std::move(token));
  }
  for (int64_t i = num_sentinels; i-- > 0;) {
    DRAY_RETURN_IF_ERROR(vocab.Add(SentinelText(i), static_cast<int32_t>(scores.size())));
    scores.push_back(0);
  }
  UnigramOptions options;
  options.unk_id = file.unk_id;
  DRAY_ASSIGN_OR_RETURN(parts.model,
                        UnigramModel::Create(std::move(vocab), std::move(scores), options));
  if (file.charsmap.empty()) return parts;
  auto charsmap = Charsmap::FromBytes(file.charsmap);
  if (!charsmap.ok()) return charsmap.status().WithPrefix("normalizer_spec.precompiled_charsmap");
  parts.normalizer = Normalizer::FromCharsmap(std::move(charsmap).value());
  return parts;
}

}  // namespace dray::tokenizer
