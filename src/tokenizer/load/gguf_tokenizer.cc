#include "tokenizer/load/gguf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/log.h"
#include "tokenizer/load/subword_model_load.h"
#include "tokenizer/load/tokenizer_class.h"
#include "tokenizer/load/word_rules.h"
#include "tokenizer/models/bpe.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

// The numbers of tokenizer.ggml.token_type.
enum TokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// Merges make no longer pieces: SentencePiece trains pieces of up to 16 characters, and every way
// to cut one is tried.
constexpr size_t kMaxPieceBytes = 256;

// A pair of pieces that SentencePiece would join, and what decides when.
struct ScoredMerge {
  double score = 0;  // of what they make
  size_t left_chars = 0;
  size_t right_chars = 0;
  BpeModel::MergePair pair;
};

class GgufReader {
 public:
  explicit GgufReader(const Json& metadata) : metadata_(metadata) {}

  Result<TokenizerParts> Read();

 private:
  static std::string Name(std::string_view key) { return fmt::format("tokenizer.ggml.{}", key); }
  static Status Error(StatusCode code, std::string_view key, std::string_view problem) {
    return {code, fmt::format("{}: {}", Name(key), problem)};
  }
  const Json* Find(std::string_view key) const { return metadata_.Find(Name(key)); }

  Result<const Json::Array*> Array(std::string_view key) const;
  // A list with one element for each token, or null where the file has none.
  Result<const Json::Array*> ArrayOfTokens(std::string_view key) const;
  Result<std::string> Text(std::string_view key, std::string_view missing) const;
  Result<bool> Flag(std::string_view key, bool missing) const;
  Result<std::optional<int32_t>> TokenId(std::string_view key) const;

  Status ReadTokens();
  Status ReadTypes();
  Result<Vocab> MakeVocab() const;
  Status AddTokens(TokenizerParts& parts) const;
  // The tokens around a text. `add_bos`: what holds unless the file says otherwise.
  Status AddEnds(TokenizerParts& parts, bool add_bos) const;

  Status ReadBytePairs(TokenizerParts& parts);
  Result<WordRule> ReadWordRule() const;
  Status ReadSentencePieces(TokenizerParts& parts);
  Result<std::vector<BpeModel::MergePair>> ScoredMerges(const Vocab& vocab) const;
  void AppendMerges(size_t token, double score, const Vocab& vocab,
                    std::vector<ScoredMerge>& merges) const;

  bool IsPiece(size_t token) const { return types_[token] == kNormal; }

  const Json& metadata_;
  std::vector<std::string_view> tokens_;
  std::vector<int64_t> types_;  // one each
};

Result<const Json::Array*> GgufReader::Array(std::string_view key) const {
  const Json* value = Find(key);
  if (value == nullptr) return Error(StatusCode::kInvalidArgument, key, "is missing");
  const Json::Array* array = value->AsArray();
  if (array == nullptr) {
    return Error(StatusCode::kInvalidArgument, key,
                 fmt::format("is a {}, not an array", value->KindName()));
  }
  return array;
}

Result<const Json::Array*> GgufReader::ArrayOfTokens(std::string_view key) const {
  if (Find(key) == nullptr) return static_cast<const Json::Array*>(nullptr);
  DRAY_ASSIGN_OR_RETURN(const Json::Array* array, Array(key));
  if (array->size() != tokens_.size()) {
    return Error(StatusCode::kCorrupt, key,
                 fmt::format("has {} elements for {} tokens", array->size(), tokens_.size()));
  }
  return array;
}

Result<std::string> GgufReader::Text(std::string_view key, std::string_view missing) const {
  const Json* value = Find(key);
  if (value == nullptr) return std::string(missing);
  const std::string* text = value->AsString();
  if (text == nullptr) return Error(StatusCode::kInvalidArgument, key, "is no text");
  return *text;
}

Result<bool> GgufReader::Flag(std::string_view key, bool missing) const {
  const Json* value = Find(key);
  if (value == nullptr) return missing;
  const auto flag = value->AsBool();
  if (!flag) return Error(StatusCode::kInvalidArgument, key, "is no boolean");
  return *flag;
}

Result<std::optional<int32_t>> GgufReader::TokenId(std::string_view key) const {
  const Json* value = Find(key);
  if (value == nullptr) return std::optional<int32_t>();
  if (!value->is_number()) return Error(StatusCode::kInvalidArgument, key, "is no token id");
  // Files say "none" by leaving the key out, or by a number that no token has: -1, 4294967295.
  const auto id = value->AsInt64();
  if (!id || *id < 0 || static_cast<uint64_t>(*id) >= tokens_.size()) {
    return std::optional<int32_t>();
  }
  return std::optional(static_cast<int32_t>(*id));
}

Status GgufReader::ReadTokens() {
  DRAY_ASSIGN_OR_RETURN(const Json::Array* array, Array("tokens"));
  if (array->empty() || array->size() > kMaxVocabTokens) {
    return Error(StatusCode::kResourceExhausted, "tokens",
                 fmt::format("has {} tokens, not 1 to {}", array->size(), size_t{kMaxVocabTokens}));
  }
  tokens_.reserve(array->size());
  for (const Json& token : *array) {
    const std::string* text = token.AsString();
    if (text == nullptr) {
      return Error(
          StatusCode::kInvalidArgument, "tokens",
          fmt::format("element {} is a {}, not a string", tokens_.size(), token.KindName()));
    }
    tokens_.push_back(*text);
  }
  return ReadTypes();
}

Status GgufReader::ReadTypes() {
  types_.assign(tokens_.size(), kNormal);
  DRAY_ASSIGN_OR_RETURN(const Json::Array* array, ArrayOfTokens("token_type"));
  if (array == nullptr) return OkStatus();
  for (size_t i = 0; i < types_.size(); ++i) {
    const auto type = (*array)[i].AsInt64();
    if (!type || *type < kNormal || *type > kByte) {
      return Error(StatusCode::kInvalidArgument, "token_type",
                   fmt::format("element {} is {}, not one of {} to {}", i,
                               (*array)[i].Dump().substr(0, 40), int64_t{kNormal}, int64_t{kByte}));
    }
    types_[i] = *type;
  }
  return OkStatus();
}

// Ids that stand for no token are filled up with such names.
bool IsFiller(std::string_view text, int64_t type) {
  return type == kUnused && text.starts_with("[PAD");
}

Result<Vocab> GgufReader::MakeVocab() const {
  size_t bytes = 0;
  for (const std::string_view token : tokens_) bytes += token.size();
  Vocab vocab;
  vocab.Reserve(tokens_.size(), bytes);
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (IsFiller(tokens_[i], types_[i])) continue;
    DRAY_RETURN_IF_ERROR(vocab.Add(tokens_[i], static_cast<int32_t>(i)));
  }
  return vocab;
}

// Control tokens are special, and those that a user defined are not; all are found in the text as
// it is given.
Status GgufReader::AddTokens(TokenizerParts& parts) const {
  std::vector<AddedToken> added;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const bool special = types_[i] == kControl || types_[i] == kUnknown;
    if ((!special && types_[i] != kUserDefined) || tokens_[i].empty()) continue;
    if (tokens_[i].size() > AddedTokens::kMaxContentBytes) {
      return Error(StatusCode::kResourceExhausted, "tokens",
                   fmt::format("element {} has {} bytes, above the limit of {} for a control token",
                               i, tokens_[i].size(), size_t{AddedTokens::kMaxContentBytes}));
    }
    AddedToken token;
    token.content = tokens_[i];
    token.normalized = false;
    token.special = special;
    added.push_back(std::move(token));
  }
  return parts.added_tokens.Add(std::move(added), parts.model->vocab(), parts.normalizer);
}

Status GgufReader::AddEnds(TokenizerParts& parts, bool add_bos) const {
  DRAY_ASSIGN_OR_RETURN(const auto bos_id, TokenId("bos_token_id"));
  if (bos_id) parts.bos_id = bos_id;
  DRAY_ASSIGN_OR_RETURN(const auto eos_id, TokenId("eos_token_id"));
  if (eos_id) parts.eos_id = eos_id;
  DRAY_ASSIGN_OR_RETURN(const bool bos, Flag("add_bos_token", add_bos));
  DRAY_ASSIGN_OR_RETURN(const bool eos, Flag("add_eos_token", false));
  std::vector<int32_t> before;
  std::vector<int32_t> after;
  if (bos && parts.bos_id) before.push_back(*parts.bos_id);
  if (eos && parts.eos_id) after.push_back(*parts.eos_id);
  parts.post_processor = PostProcessor::Around(std::move(before), std::move(after));
  return OkStatus();
}

Result<WordRule> GgufReader::ReadWordRule() const {
  DRAY_ASSIGN_OR_RETURN(const std::string name, Text("pre", ""));
  if (name.empty()) {
    LogWarning(
        fmt::format("{} is missing, as in files of old converters: text is cut into words by "
                    "GPT-2's rule, which may not be the model's",
                    Name("pre")));
    return Gpt2WordRule();
  }
  const WordRule* rule = FindWordRule(name);
  if (rule != nullptr) return *rule;
  return Error(StatusCode::kUnsupported, "pre",
               fmt::format("{} is not one of {}; put the model's tokenizer.json beside the file",
                           QuoteText(name), KnownWordRules()));
}

Status GgufReader::ReadBytePairs(TokenizerParts& parts) {
  DRAY_ASSIGN_OR_RETURN(const WordRule rule, ReadWordRule());
  if (rule.nfc) {
    const Json nfc = Json::MakeObject({{"type", "NFC"}});
    DRAY_ASSIGN_OR_RETURN(parts.normalizer, Normalizer::Load(JsonNode(nfc, "normalizer")));
  }
  const Json words = WordRuleNode(rule);
  DRAY_ASSIGN_OR_RETURN(parts.pre_tokenizer, PreTokenizer::Load(JsonNode(words, Name("pre"))));
  const Json decoder = WordRuleNode(Gpt2WordRule()).Find("pretokenizers")->AsArray()->front();
  DRAY_ASSIGN_OR_RETURN(parts.decoder, TokenDecoder::Load(JsonNode(decoder, "decoder")));
  DRAY_ASSIGN_OR_RETURN(const Json::Array* array, Array("merges"));
  std::vector<std::string_view> lines;
  lines.reserve(array->size());
  for (const Json& line : *array) {
    if (!line.is_string()) {
      return Error(StatusCode::kInvalidArgument, "merges",
                   fmt::format("element {} is no string", lines.size()));
    }
    lines.push_back(*line.AsString());
  }
  const auto merges = ParseMergeLines(lines);
  if (!merges.ok()) return merges.status().WithPrefix(Name("merges"));
  DRAY_ASSIGN_OR_RETURN(Vocab vocab, MakeVocab());
  BpeOptions options;
  options.ignore_merges = rule.ignore_merges;
  auto model = BpeModel::Create(std::move(vocab), *merges, std::move(options));
  if (!model.ok()) return model.status().WithPrefix(Name("merges"));
  parts.model = std::move(model).value();
  DRAY_RETURN_IF_ERROR(AddTokens(parts));
  return AddEnds(parts, rule.add_bos);
}

// All ways to cut a piece in two that are pieces as well.
void GgufReader::AppendMerges(size_t token, double score, const Vocab& vocab,
                              std::vector<ScoredMerge>& merges) const {
  const std::string_view piece = tokens_[token];
  std::vector<size_t> cuts;
  for (size_t at = 0; at < piece.size(); at += DecodeChar(piece, at).bytes) cuts.push_back(at);
  const size_t first = merges.size();
  for (size_t i = 1; i < cuts.size(); ++i) {
    const std::string_view left = piece.substr(0, cuts[i]);
    const std::string_view right = piece.substr(cuts[i]);
    const auto left_id = vocab.Find(left);
    const auto right_id = left_id ? vocab.Find(right) : std::nullopt;
    if (!right_id || !IsPiece(static_cast<size_t>(*left_id)) ||
        !IsPiece(static_cast<size_t>(*right_id))) {
      continue;
    }
    merges.push_back({score, i, cuts.size() - i, {left, right}});
  }
  std::reverse(merges.begin() + static_cast<std::ptrdiff_t>(first), merges.end());
}

// SentencePiece joins the two neighbours whose piece has the highest score. As ranked merges that
// is the order of the scores; among the cuts of one piece, the longest left side comes first.
Result<std::vector<BpeModel::MergePair>> GgufReader::ScoredMerges(const Vocab& vocab) const {
  DRAY_ASSIGN_OR_RETURN(const Json::Array* scores, ArrayOfTokens("scores"));
  if (scores == nullptr) return Error(StatusCode::kInvalidArgument, "scores", "is missing");
  std::vector<ScoredMerge> merges;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const auto score = (*scores)[i].AsDouble();
    if (!score || !std::isfinite(*score)) {
      return Error(StatusCode::kInvalidArgument, "scores",
                   fmt::format("element {} is no finite number", i));
    }
    if (!IsPiece(i) || tokens_[i].size() > kMaxPieceBytes) continue;
    AppendMerges(i, *score, vocab, merges);
    if (merges.size() > kMaxMerges) {
      return Error(StatusCode::kResourceExhausted, "tokens",
                   fmt::format("can be cut in more than {} ways", size_t{kMaxMerges}));
    }
  }
  std::stable_sort(merges.begin(), merges.end(), [](const ScoredMerge& a, const ScoredMerge& b) {
    return std::tie(a.score, a.left_chars, a.right_chars) >
           std::tie(b.score, b.left_chars, b.right_chars);
  });
  std::vector<BpeModel::MergePair> pairs;
  pairs.reserve(merges.size());
  for (const ScoredMerge& merge : merges) pairs.push_back(merge.pair);
  return pairs;
}

// SentencePiece writes blanks as U+2581 and puts one before each text between control tokens, even
// if the text begins with a blank.
Json BlankNormalizer(bool prefix) {
  Json steps = Json::MakeArray();
  if (prefix) steps.Append(Json::MakeObject({{"type", "Prepend"}, {"prepend", "▁"}}));
  steps.Append(Json::MakeObject(
      {{"type", "Replace"}, {"pattern", Json::MakeObject({{"String", " "}})}, {"content", "▁"}}));
  return Json::MakeObject({{"type", "Sequence"}, {"normalizers", std::move(steps)}});
}

Status GgufReader::ReadSentencePieces(TokenizerParts& parts) {
  DRAY_ASSIGN_OR_RETURN(const bool prefix, Flag("add_space_prefix", true));
  const Json normalizer = BlankNormalizer(prefix);
  DRAY_ASSIGN_OR_RETURN(parts.normalizer, Normalizer::Load(JsonNode(normalizer, "normalizer")));
  const Json decoder = LlamaDecoder(prefix ? FirstBlank::kStrip : FirstBlank::kKeep);
  DRAY_ASSIGN_OR_RETURN(parts.decoder, TokenDecoder::Load(JsonNode(decoder, "decoder")));
  DRAY_ASSIGN_OR_RETURN(Vocab vocab, MakeVocab());
  DRAY_ASSIGN_OR_RETURN(const auto merges, ScoredMerges(vocab));
  DRAY_ASSIGN_OR_RETURN(const auto unknown, TokenId("unknown_token_id"));
  BpeOptions options;
  const auto unk_id = static_cast<size_t>(unknown.value_or(0));
  options.unk_token = std::string(tokens_[unk_id]);
  options.fuse_unk = true;
  options.byte_fallback = true;
  options.long_pieces = !parts.pre_tokenizer.cuts();
  auto model = BpeModel::Create(std::move(vocab), merges, std::move(options));
  if (!model.ok()) return model.status().WithPrefix(Name("tokens"));
  parts.model = std::move(model).value();
  // SentencePiece's own ids, where the file names no others.
  const auto usual = [&](int32_t id) {
    return static_cast<size_t>(id) < tokens_.size() ? std::optional(id) : std::nullopt;
  };
  parts.bos_id = usual(1);
  parts.eos_id = usual(2);
  DRAY_RETURN_IF_ERROR(AddTokens(parts));
  return AddEnds(parts, true);
}

Result<TokenizerParts> GgufReader::Read() {
  DRAY_ASSIGN_OR_RETURN(const std::string model, Text("model", ""));
  const bool byte_pairs = model == "gpt2";
  if (!byte_pairs && model != "llama") {
    return Error(StatusCode::kUnsupported, "model",
                 fmt::format("{} is not one of gpt2, llama; put the model's tokenizer.json beside "
                             "the file",
                             QuoteText(model)));
  }
  DRAY_RETURN_IF_ERROR(ReadTokens());
  TokenizerParts parts;
  DRAY_RETURN_IF_ERROR(byte_pairs ? ReadBytePairs(parts) : ReadSentencePieces(parts));
  return parts;
}

}  // namespace

Result<TokenizerParts> LoadGgufParts(const Json& metadata) { return GgufReader(metadata).Read(); }

Result<std::unique_ptr<Tokenizer>> Tokenizer::FromGguf(const Json& metadata) {
  DRAY_ASSIGN_OR_RETURN(TokenizerParts parts, LoadGgufParts(metadata));
  return BuildTokenizer(std::move(parts));
}

}  // namespace dray::tokenizer
