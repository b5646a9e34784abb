#include "tokenizer/load/gguf/gguf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/log.h"
#include "tokenizer/load/gguf/gguf_encoders.h"
#include "tokenizer/load/gguf/gguf_vocab.h"
#include "tokenizer/load/subword_model_load.h"
#include "tokenizer/load/tokenizer_class.h"
#include "tokenizer/load/word_rules.h"
#include "tokenizer/models/bpe.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

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

Result<WordRule> ReadWordRule(const GgufVocab& file) {
  DRAY_ASSIGN_OR_RETURN(const std::string name, file.Text("pre", ""));
  if (name.empty()) {
    LogWarning(
        fmt::format("{} is missing, as in files of old converters: text is cut into words by "
                    "GPT-2's rule, which may not be the model's",
                    GgufVocab::Name("pre")));
    return Gpt2WordRule();
  }
  const WordRule* rule = FindWordRule(name);
  if (rule != nullptr) return *rule;
  return GgufVocab::Error(
      StatusCode::kUnsupported, "pre",
      fmt::format("{} is not one of {}; put the model's tokenizer.json beside the file",
                  QuoteText(name), KnownWordRules()));
}

Status ReadBytePairs(const GgufVocab& file, TokenizerParts& parts) {
  DRAY_ASSIGN_OR_RETURN(const WordRule rule, ReadWordRule(file));
  if (rule.nfc) {
    const Json nfc = Json::MakeObject({{"type", "NFC"}});
    DRAY_ASSIGN_OR_RETURN(parts.normalizer, Normalizer::Load(JsonNode(nfc, "normalizer")));
  }
  const Json words = WordRuleNode(rule);
  DRAY_ASSIGN_OR_RETURN(parts.pre_tokenizer,
                        PreTokenizer::Load(JsonNode(words, GgufVocab::Name("pre"))));
  const Json decoder = WordRuleNode(Gpt2WordRule()).Find("pretokenizers")->AsArray()->front();
  DRAY_ASSIGN_OR_RETURN(parts.decoder, TokenDecoder::Load(JsonNode(decoder, "decoder")));
  DRAY_ASSIGN_OR_RETURN(const Json::Array* array, file.Array("merges"));
  std::vector<std::string_view> lines;
  lines.reserve(array->size());
  for (const Json& line : *array) {
    if (!line.is_string()) {
      return GgufVocab::Error(StatusCode::kInvalidArgument, "merges",
                              fmt::format("element {} is no string", lines.size()));
    }
    lines.push_back(*line.AsString());
  }
  const auto merges = ParseMergeLines(lines);
  if (!merges.ok()) return merges.status().WithPrefix(GgufVocab::Name("merges"));
  DRAY_ASSIGN_OR_RETURN(Vocab vocab, file.MakeVocab());
  BpeOptions options;
  options.ignore_merges = rule.ignore_merges;
  auto model = BpeModel::Create(std::move(vocab), *merges, std::move(options));
  if (!model.ok()) return model.status().WithPrefix(GgufVocab::Name("merges"));
  parts.model = std::move(model).value();
  DRAY_RETURN_IF_ERROR(file.AddTokens(parts));
  return file.AddEnds(parts, {.bos = rule.add_bos});
}

// All ways to cut a piece in two that are pieces as well.
void AppendMerges(const GgufVocab& file, const Vocab& vocab, std::string_view piece, double score,
                  std::vector<ScoredMerge>& merges) {
  const auto is_piece = [&](const std::optional<int32_t>& id) {
    return id && file.types()[static_cast<size_t>(*id)] == kGgufNormal;
  };
  std::vector<size_t> cuts;
  for (size_t at = 0; at < piece.size(); at += DecodeChar(piece, at).bytes) cuts.push_back(at);
  const size_t first = merges.size();
  for (size_t i = 1; i < cuts.size(); ++i) {
    const std::string_view left = piece.substr(0, cuts[i]);
    const std::string_view right = piece.substr(cuts[i]);
    if (!is_piece(vocab.Find(left)) || !is_piece(vocab.Find(right))) continue;
    merges.push_back({score, i, cuts.size() - i, {left, right}});
  }
  std::reverse(merges.begin() + static_cast<std::ptrdiff_t>(first), merges.end());
}

// SentencePiece joins the two neighbours whose piece has the highest score. As ranked merges that
// is the order of the scores; among the cuts of one piece, the longest left side comes first.
Result<std::vector<BpeModel::MergePair>> ScoredMerges(const GgufVocab& file, const Vocab& vocab) {
  DRAY_ASSIGN_OR_RETURN(const std::vector<double> scores, file.Scores());
  std::vector<ScoredMerge> merges;
  for (size_t i = 0; i < scores.size(); ++i) {
    const std::string_view piece = file.tokens()[i];
    if (file.types()[i] != kGgufNormal || piece.size() > kMaxPieceBytes) continue;
    AppendMerges(file, vocab, piece, scores[i], merges);
    if (merges.size() > kMaxMerges) {
      return GgufVocab::Error(StatusCode::kResourceExhausted, "tokens",
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

Status ReadSentencePieces(const GgufVocab& file, TokenizerParts& parts) {
  DRAY_ASSIGN_OR_RETURN(const bool prefix, file.Flag("add_space_prefix", true));
  const Json normalizer = BlankNormalizer(prefix);
  DRAY_ASSIGN_OR_RETURN(parts.normalizer, Normalizer::Load(JsonNode(normalizer, "normalizer")));
  const Json decoder = LlamaDecoder(prefix ? FirstBlank::kStrip : FirstBlank::kKeep);
  DRAY_ASSIGN_OR_RETURN(parts.decoder, TokenDecoder::Load(JsonNode(decoder, "decoder")));
  DRAY_ASSIGN_OR_RETURN(Vocab vocab, file.MakeVocab());
  DRAY_ASSIGN_OR_RETURN(const auto merges, ScoredMerges(file, vocab));
  DRAY_ASSIGN_OR_RETURN(const auto unknown, file.TokenId("unknown_token_id"));
  BpeOptions options;
  const auto unk_id = static_cast<size_t>(unknown.value_or(0));
  options.unk_token = std::string(file.tokens()[unk_id]);
  options.fuse_unk = true;
  options.byte_fallback = true;
  options.long_pieces = !parts.pre_tokenizer.cuts();
  auto model = BpeModel::Create(std::move(vocab), merges, std::move(options));
  if (!model.ok()) return model.status().WithPrefix(GgufVocab::Name("tokens"));
  parts.model = std::move(model).value();
  // SentencePiece's own ids, where the file names no others.
  const auto usual = [&](int32_t id) {
    return static_cast<size_t>(id) < file.tokens().size() ? std::optional(id) : std::nullopt;
  };
  parts.bos_id = usual(1);
  parts.eos_id = usual(2);
  DRAY_RETURN_IF_ERROR(file.AddTokens(parts));
  return file.AddEnds(parts, {.bos = true});
}

struct Kind {
  std::string_view name;  // tokenizer.ggml.model
  Status (*read)(const GgufVocab& file, TokenizerParts& parts);
};
constexpr Kind kKinds[] = {{"bert", ReadGgufBert},
                           {"gpt2", ReadBytePairs},
                           {"llama", ReadSentencePieces},
                           {"t5", ReadGgufT5}};

Result<const Kind*> FindKind(const Json& metadata) {
  const std::string key = GgufVocab::Name("model");
  const Json* value = metadata.Find(key);
  const std::string* name = value != nullptr ? value->AsString() : nullptr;
  if (value != nullptr && name == nullptr) {
    return GgufVocab::Error(StatusCode::kInvalidArgument, "model", "is no text");
  }
  std::string known;
  for (const Kind& kind : kKinds) {
    if (name != nullptr && kind.name == *name) return &kind;
    known += (known.empty() ? "" : ", ") + std::string(kind.name);
  }
  return GgufVocab::Error(
      StatusCode::kUnsupported, "model",
      fmt::format("{} is not one of {}; put the model's tokenizer.json beside the file",
                  QuoteText(name != nullptr ? *name : ""), known));
}

}  // namespace

Result<TokenizerParts> LoadGgufParts(const Json& metadata) {
  DRAY_ASSIGN_OR_RETURN(const Kind* kind, FindKind(metadata));
  DRAY_ASSIGN_OR_RETURN(const GgufVocab vocab, GgufVocab::Load(metadata));
  TokenizerParts parts;
  DRAY_RETURN_IF_ERROR(kind->read(vocab, parts));
  return parts;
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::FromGguf(const Json& metadata) {
  DRAY_ASSIGN_OR_RETURN(TokenizerParts parts, LoadGgufParts(metadata));
  return BuildTokenizer(std::move(parts));
}

}  // namespace dray::tokenizer
