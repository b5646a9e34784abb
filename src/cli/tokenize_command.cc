#include "cli/tokenize_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <istream>
#include <iterator>
#include <ostream>
#include <utility>
#include <vector>

#include "base/parse/json.h"
#include "base/parse/parse_number.h"
#include "base/status.h"
#include "serving/load/open_tokenizer.h"
#include "tokenizer/stream_decoder.h"

namespace dray::cli {
namespace {

using tokenizer::Encoding;
using tokenizer::Tokenizer;
using Ids = std::vector<int32_t>;

int Fail(const Status& status, std::ostream& err) {
  err << "dray tokenize: " << status.message() << "\n";
  return 1;
}

Result<int32_t> CheckId(std::optional<int64_t> id, std::string_view shown) {
  if (id && *id >= 0 && *id <= INT32_MAX) return static_cast<int32_t>(*id);
  return Status(StatusCode::kInvalidArgument, fmt::format("{} is not a token id", shown));
}

Result<Ids> IdsFromJson(const Json& json) {
  const Json::Array* array = json.AsArray();
  if (array == nullptr) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("expected a JSON array of token ids, got a {}", json.KindName()));
  }
  Ids ids;
  ids.reserve(array->size());
  for (const Json& element : *array) {
    DRAY_ASSIGN_OR_RETURN(const int32_t id,
                          CheckId(element.AsInt64(), element.Dump().substr(0, 40)));
    ids.push_back(id);
  }
  return ids;
}

// Reads ids as people type them: digits, with any of ", []" and white space between them.
Result<Ids> IdsFromText(std::string_view text) {
  constexpr std::string_view kBetween = " ,[]\t\r\n";
  Ids ids;
  while (true) {
    const size_t begin = text.find_first_not_of(kBetween);
    if (begin == std::string_view::npos) return ids;
    text.remove_prefix(begin);
    const size_t end = std::min(text.find_first_of(kBetween), text.size());
    const std::string_view word = text.substr(0, end);
    DRAY_ASSIGN_OR_RETURN(const int32_t id, CheckId(ParseInt64(word), fmt::format("\"{}\"", word)));
    ids.push_back(id);
    text.remove_prefix(end);
  }
}

Json ToJson(const Ids& ids) {
  Json array = Json::MakeArray();
  for (const int32_t id : ids) array.Append(Json(int64_t{id}));
  return array;
}

// A text, or the two texts of a pair.
struct Texts {
  std::string first;
  std::optional<std::string> second = {};
};

Result<Texts> TextsFromJson(const Json& json) {
  if (const std::string* text = json.AsString()) return Texts{*text};
  const Json::Array* array = json.AsArray();
  if (array == nullptr || array->size() != 2 || !(*array)[0].is_string() ||
      !(*array)[1].is_string()) {
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("expected a JSON string or an array of two, got a {}", json.KindName()));
  }
  return Texts{*(*array)[0].AsString(), *(*array)[1].AsString()};
}

class Tokenization {
 public:
  Tokenization(const TokenizeOptions& options, const Tokenizer& tokenizer, std::ostream& out)
      : options_(options), tokenizer_(tokenizer), out_(out) {}

  // Reads one line of JSON and writes one.
  Status RunLine(const std::string& line) {
    DRAY_ASSIGN_OR_RETURN(const Json json, Json::Parse(line));
    if (options_.direction == TokenizeDirection::kDecode) {
      DRAY_ASSIGN_OR_RETURN(const Ids ids, IdsFromJson(json));
      out_ << Json(Decode(ids)).Dump() << "\n" << std::flush;
      return OkStatus();
    }
    DRAY_ASSIGN_OR_RETURN(const Texts texts, TextsFromJson(json));
    DRAY_ASSIGN_OR_RETURN(const Encoding encoding, Encode(texts));
    Json ids = ToJson(encoding.ids);
    const Json shown =
        !texts.second
            ? std::move(ids)
            : Json::MakeObject({{"ids", std::move(ids)}, {"type_ids", ToJson(encoding.type_ids)}});
    out_ << shown.Dump() << "\n" << std::flush;
    return OkStatus();
  }

  Status RunText(const std::string& text) {
    if (options_.direction == TokenizeDirection::kDecode) {
      DRAY_ASSIGN_OR_RETURN(const Ids ids, IdsFromText(text));
      out_ << Decode(ids) << "\n";
      return OkStatus();
    }
    DRAY_ASSIGN_OR_RETURN(const Encoding encoding, Encode({text, options_.pair}));
    ShowTokens(encoding);
    return OkStatus();
  }

 private:
  Result<Encoding> Encode(const Texts& texts) const {
    tokenizer::EncodeOptions options;
    options.add_special_tokens = options_.add_special_tokens;
    if (options_.max_tokens) {
      options.truncation =
          tokenizer::Truncation{.max_ids = *options_.max_tokens, .strategy = options_.truncation};
    }
    return texts.second ? tokenizer_.EncodePair(texts.first, *texts.second, options)
                        : tokenizer_.EncodeTyped(texts.first, options);
  }
  std::string Decode(const Ids& ids) const {
    return tokenizer_.Decode(ids, {.skip_special_tokens = options_.skip_special_tokens});
  }

  // Shows each token's entry in the vocabulary, and the text that is certain once the token is
  // known.
  void ShowTokens(const Encoding& encoding) {
    const Ids& ids = encoding.ids;
    const bool pair = options_.pair.has_value();
    size_t width = 5;
    for (const int32_t id : ids) width = std::max(width, fmt::format("{}", id).size());
    tokenizer::StreamDecoder stream(tokenizer_, {.skip_special_tokens = false});
    out_ << fmt::format("{:>6}  {:>{}}  {}{:<24}  {}\n", "place", "id", width, pair ? "type  " : "",
                        "token", "text");
    for (size_t i = 0; i < ids.size(); ++i) {
      std::string text = stream.Push(ids[i]);
      if (i + 1 == ids.size()) text += stream.Finish();
      const std::string_view token = tokenizer_.TokenText(ids[i]).value_or("");
      const std::string type = pair ? fmt::format("{:>4}  ", encoding.type_ids[i]) : "";
      out_ << fmt::format("{:>6}  {:>{}}  {}{:<24}  {}{}\n", i, ids[i], width, type,
                          Json(token).Dump(), Json(text).Dump(),
                          tokenizer_.IsSpecial(ids[i]) ? "  special" : "");
    }
    out_ << fmt::format("{} token{}\n", ids.size(), ids.size() == 1 ? "" : "s");
  }

  const TokenizeOptions& options_;
  const Tokenizer& tokenizer_;
  std::ostream& out_;
};

}  // namespace

Status ParseTruncation(const std::string& name, tokenizer::TruncationStrategy& strategy) {
  using Strategy = tokenizer::TruncationStrategy;
  static constexpr std::pair<std::string_view, Strategy> kNames[] = {
      {"longest_first", Strategy::kLongestFirst},
      {"only_first", Strategy::kOnlyFirst},
      {"only_second", Strategy::kOnlySecond}};
  for (const auto& [known, value] : kNames) {
    if (known != name) continue;
    strategy = value;
    return OkStatus();
  }
  return {StatusCode::kInvalidArgument,
          fmt::format("{} is not one of longest_first, only_first, only_second", name)};
}

int RunTokenize(const TokenizeOptions& options, std::istream& in, std::ostream& out,
                std::ostream& err) {
  const auto tokenizer = serving::OpenTokenizer(options.model_dir);
  if (!tokenizer.ok()) return Fail(tokenizer.status(), err);
  Tokenization tokenization(options, **tokenizer, out);
  if (options.format == TokenizeFormat::kTable) {
    const std::string text =
        options.text ? *options.text : std::string(std::istreambuf_iterator<char>(in), {});
    const Status status = tokenization.RunText(text);
    return status.ok() ? 0 : Fail(status, err);
  }
  if (options.text) {
    const Status status = tokenization.RunLine(*options.text);
    return status.ok() ? 0 : Fail(status, err);
  }
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    const Status status = tokenization.RunLine(line);
    if (!status.ok()) return Fail(status.WithPrefix(fmt::format("line {}", number)), err);
  }
  return 0;
}

}  // namespace dray::cli
