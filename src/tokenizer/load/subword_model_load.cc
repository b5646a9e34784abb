#include "tokenizer/load/subword_model_load.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/parse/parse_number.h"
#include "tokenizer/models/unigram.h"
#include "tokenizer/models/word_models.h"

namespace dray::tokenizer {
namespace {

using ModelPtr = std::unique_ptr<const SubwordModel>;

Status TooManyMerges(size_t count) {
  return {StatusCode::kResourceExhausted,
          fmt::format("{} merges, above the limit of {}", count, kMaxMerges)};
}

template <typename M>
Result<ModelPtr> Finish(const JsonNode& node, Result<std::unique_ptr<M>> model) {
  if (!model.ok()) return node.Error(model.status().code(), model.status().message());
  return ModelPtr(std::move(model).value());
}

// Merges are pairs ["left", "right"], or lines "left right" in older files.
Result<std::vector<BpeModel::MergePair>> LoadMerges(const JsonNode& node) {
  const Json::Array* array = node.value().AsArray();
  if (array == nullptr) {
    return node.Error(StatusCode::kInvalidArgument,
                      fmt::format("must be an array, not a {}", node.value().KindName()));
  }
  if (array->size() > kMaxMerges) {
    const Status status = TooManyMerges(array->size());
    return node.Error(status.code(), status.message());
  }
  if (!array->empty() && array->front().is_string()) {
    std::vector<std::string_view> lines;
    lines.reserve(array->size());
    for (const Json& line : *array) {
      if (!line.is_string()) {
        return node.Error(
            StatusCode::kInvalidArgument,
            fmt::format("element {} is a {}, but the first is a string: it mixes two forms",
                        lines.size(), line.KindName()));
      }
      lines.push_back(*line.AsString());
    }
    auto merges = ParseMergeLines(lines);
    if (!merges.ok()) return node.Error(merges.status().code(), merges.status().message());
    return merges;
  }
  std::vector<BpeModel::MergePair> merges;
  merges.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i) {
    const Json::Array* pair = (*array)[i].AsArray();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() ||
        !(*pair)[1].is_string()) {
      return node.Error(StatusCode::kInvalidArgument,
                        fmt::format("element {} is not a pair of strings", i));
    }
    merges.emplace_back(*(*pair)[0].AsString(), *(*pair)[1].AsString());
  }
  return merges;
}

Status RefuseDropout(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const auto dropout, node.Find("dropout"));
  if (!dropout) return OkStatus();
  const auto rate = dropout->value().AsDouble();
  if (rate && *rate == 0.0) return OkStatus();
  return dropout->Error(StatusCode::kUnsupported,
                        "makes encoding random; set it to null to serve this model");
}

Result<ModelPtr> LoadBpe(const JsonNode& node, bool long_pieces) {
  DRAY_RETURN_IF_ERROR(RefuseDropout(node));
  BpeOptions options;
  options.long_pieces = long_pieces;
  DRAY_ASSIGN_OR_RETURN(options.unk_token, node.FindString("unk_token"));
  DRAY_ASSIGN_OR_RETURN(options.continuing_subword_prefix,
                        node.GetString("continuing_subword_prefix", ""));
  DRAY_ASSIGN_OR_RETURN(options.end_of_word_suffix, node.GetString("end_of_word_suffix", ""));
  DRAY_ASSIGN_OR_RETURN(options.fuse_unk, node.GetBool("fuse_unk", false));
  DRAY_ASSIGN_OR_RETURN(options.byte_fallback, node.GetBool("byte_fallback", false));
  DRAY_ASSIGN_OR_RETURN(options.ignore_merges, node.GetBool("ignore_merges", false));
  DRAY_ASSIGN_OR_RETURN(const JsonNode vocab_node, node.Get("vocab"));
  DRAY_ASSIGN_OR_RETURN(Vocab vocab, LoadVocabObject(vocab_node));
  DRAY_ASSIGN_OR_RETURN(const JsonNode merges_node, node.Get("merges"));
  DRAY_ASSIGN_OR_RETURN(const auto merges, LoadMerges(merges_node));
  return Finish(node, BpeModel::Create(std::move(vocab), merges, std::move(options)));
}

Result<ModelPtr> LoadWordPiece(const JsonNode& node) {
  WordPieceOptions options;
  DRAY_ASSIGN_OR_RETURN(options.unk_token, node.GetString("unk_token"));
  DRAY_ASSIGN_OR_RETURN(options.continuing_subword_prefix,
                        node.GetString("continuing_subword_prefix"));
  DRAY_ASSIGN_OR_RETURN(const int64_t max_chars,
                        node.GetCount("max_input_chars_per_word", INT32_MAX));
  options.max_input_chars_per_word = static_cast<size_t>(max_chars);
  DRAY_ASSIGN_OR_RETURN(const JsonNode vocab_node, node.Get("vocab"));
  DRAY_ASSIGN_OR_RETURN(Vocab vocab, LoadVocabObject(vocab_node));
  return Finish(node, WordPieceModel::Create(std::move(vocab), std::move(options)));
}

Result<ModelPtr> LoadWordLevel(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(std::string unk_token, node.GetString("unk_token"));
  DRAY_ASSIGN_OR_RETURN(const JsonNode vocab_node, node.Get("vocab"));
  DRAY_ASSIGN_OR_RETURN(Vocab vocab, LoadVocabObject(vocab_node));
  return ModelPtr(std::make_unique<WordLevelModel>(std::move(vocab), std::move(unk_token)));
}

// The score as the reference reads it. Its JSON library takes a number's digits for an integer and
// multiplies or divides that by a power of ten, so that the last bit may differ from the nearest
// double; of cuts that are equally likely this bit decides. `score` is the nearest double, whose
// shortest digits are what every writer puts into the file.
double AsReferenceReads(double score) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), score, std::chars_format::scientific);
  const std::string_view written(text, static_cast<size_t>(end.ptr - text));  // "-1.25e-03"
  const size_t e = written.find('e');
  uint64_t digits = 0;
  const size_t sign = written[e + 1] == '+' ? 1 : 0;
  auto exponent = static_cast<int>(ParseInt64(written.substr(e + 1 + sign)).value_or(0));
  const size_t point = written.find('.');
  for (size_t i = 0; i < e; ++i) {
    if (written[i] < '0' || written[i] > '9') continue;
    digits = digits * 10 + static_cast<uint64_t>(written[i] - '0');
    if (point != std::string_view::npos && i > point) --exponent;
  }
  constexpr int kMaxPower = 308;  // of the library's table
  auto value = static_cast<double>(digits);
  if (exponent < -kMaxPower) {
    value /= 1e308;
    exponent += kMaxPower;
  }
  const double power = ParseDouble(fmt::format("1e{}", std::abs(exponent))).value_or(0);
  value = exponent >= 0 ? value * power : value / power;
  return score < 0 ? -value : value;
}

// The vocabulary is a list of [token, score]; a token's id is its place.
Result<ModelPtr> LoadUnigram(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const JsonNode list, node.Get("vocab"));
  const Json::Array* array = list.value().AsArray();
  if (array == nullptr || array->size() > kMaxVocabTokens) {
    return list.Error(
        StatusCode::kInvalidArgument,
        fmt::format("must be an array of at most {} [token, score] pairs", kMaxVocabTokens));
  }
  Vocab vocab;
  vocab.Reserve(array->size(), array->size() * 8);
  std::vector<double> scores;
  scores.reserve(array->size());
  for (const Json& element : *array) {
    const Json::Array* pair = element.AsArray();
    const bool is_pair =
        pair != nullptr && pair->size() == 2 && (*pair)[0].is_string() && (*pair)[1].is_number();
    if (!is_pair) {
      return list.Error(StatusCode::kInvalidArgument,
                        fmt::format("element {} is not a [token, score] pair", scores.size()));
    }
    if (!std::isfinite(*(*pair)[1].AsDouble())) {
      return list.Error(StatusCode::kInvalidArgument,
                        fmt::format("element {} has a score beyond all numbers", scores.size()));
    }
    DRAY_RETURN_IF_ERROR(vocab.Add(*(*pair)[0].AsString(), static_cast<int32_t>(scores.size())));
    scores.push_back(AsReferenceReads(*(*pair)[1].AsDouble()));
  }
  UnigramOptions options;
  DRAY_ASSIGN_OR_RETURN(options.byte_fallback, node.GetBool("byte_fallback", false));
  DRAY_ASSIGN_OR_RETURN(const auto unk_id, node.Find("unk_id"));
  if (unk_id) {
    DRAY_ASSIGN_OR_RETURN(const int64_t id,
                          unk_id->AsCount(static_cast<int64_t>(scores.size()) - 1));
    options.unk_id = static_cast<int32_t>(id);
  }
  return Finish(node, UnigramModel::Create(std::move(vocab), std::move(scores), options));
}

// The order is the reference's.
std::string GuessType(const Json& model) {
  if (model.Find("merges") != nullptr) return "BPE";
  if (model.Find("max_input_chars_per_word") != nullptr) return "WordPiece";
  const Json* vocab = model.Find("vocab");
  return vocab != nullptr && vocab->is_array() ? "Unigram" : "WordLevel";
}

}  // namespace

std::string SubwordModelType(const Json& model) {
  const Json* type = model.Find("type");
  if (type == nullptr || type->is_null()) return GuessType(model);
  const std::string* name = type->AsString();
  return name != nullptr ? *name : "";
}

Result<Vocab> LoadVocabObject(const JsonNode& node) {
  const Json::Object* object = node.value().AsObject();
  if (object == nullptr) {
    return node.Error(StatusCode::kInvalidArgument,
                      fmt::format("must be an object, not a {}", node.value().KindName()));
  }
  size_t bytes = 0;
  for (const auto& member : *object) bytes += member.first.size();
  if (object->size() > kMaxVocabTokens) {
    return node.Error(
        StatusCode::kResourceExhausted,
        fmt::format("{} tokens, above the limit of {}", object->size(), kMaxVocabTokens));
  }
  Vocab vocab;
  vocab.Reserve(object->size(), bytes);
  for (const auto& [token, value] : *object) {
    const auto id = value.AsInt64();
    if (!id || *id < 0 || *id > kMaxTokenId) {
      return node.Error(StatusCode::kInvalidArgument,
                        fmt::format("the id of {} is {}, which is not an integer in 0..{}",
                                    QuoteText(token), value.Dump().substr(0, 40), kMaxTokenId));
    }
    const auto owner = vocab.Text(static_cast<int32_t>(*id));
    if (owner && *owner != token && vocab.Find(*owner) == *id) {
      return node.Error(StatusCode::kCorrupt,
                        fmt::format("{} has the id {}, which {} has too", QuoteText(token), *id,
                                    QuoteText(*owner)));
    }
    DRAY_RETURN_IF_ERROR(vocab.Add(token, static_cast<int32_t>(*id)));
  }
  return vocab;
}

Result<std::vector<BpeModel::MergePair>> ParseMergeLines(
    const std::vector<std::string_view>& lines) {
  if (lines.size() > kMaxMerges) return TooManyMerges(lines.size());
  std::vector<BpeModel::MergePair> merges;
  merges.reserve(lines.size());
  for (const std::string_view line : lines) {
    if (line.starts_with("#version")) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
      return Status(
          StatusCode::kCorrupt,
          fmt::format("merge {} is \"{}\", which is not two tokens with a space between them",
                      merges.size() + 1, line.substr(0, 80)));
    }
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

Result<std::unique_ptr<const SubwordModel>> LoadSubwordModel(const JsonNode& node,
                                                             bool long_pieces) {
  DRAY_RETURN_IF_ERROR(node.FindString("type").status());
  const std::string type = SubwordModelType(node.value());
  if (type == "BPE") return LoadBpe(node, long_pieces);
  if (type == "Unigram") return LoadUnigram(node);
  if (type == "WordPiece") return LoadWordPiece(node);
  if (type == "WordLevel") return LoadWordLevel(node);
  DRAY_ASSIGN_OR_RETURN(const JsonNode type_node, node.Get("type"));
  return type_node.Unknown(type, "BPE, Unigram, WordPiece, WordLevel");
}

}  // namespace dray::tokenizer
