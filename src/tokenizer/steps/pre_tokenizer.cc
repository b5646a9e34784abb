#include "tokenizer/steps/pre_tokenizer.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "tokenizer/steps/split_behavior.h"
#include "tokenizer/text/byte_level.h"
#include "tokenizer/text/text_pattern.h"
#include "tokenizer/text/unicode.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

constexpr size_t kMaxSteps = 64;
// What the steps may make of a text, in bytes: byte-level twice over is eightfold at most.
constexpr size_t kMaxGrowth = 16;
constexpr size_t kGrowthAllowanceBytes = 1 << 20;

using StepPtr = std::unique_ptr<const PreTokenizerStep>;
using Steps = std::vector<StepPtr>;

// Parts of `text` for which `is_match` says so, one per character, and what lies between them.
template <typename Predicate>
void FindChars(std::string_view text, const Predicate& is_match, std::vector<Match>& out) {
  size_t covered = 0;
  for (size_t pos = 0; pos < text.size();) {
    const DecodedChar c = DecodeChar(text, pos);
    if (is_match(c.code)) {
      if (covered < pos) out.push_back({covered, pos, false});
      covered = pos + c.bytes;
      out.push_back({pos, covered, true});
    }
    pos += c.bytes;
  }
  if (covered < text.size()) out.push_back({covered, text.size(), false});
}

// Cuts at single characters of a class.
class CharClassStep : public PreTokenizerStep {
 public:
  using Predicate = bool (*)(char32_t);
  CharClassStep(Predicate is_match, SplitBehavior behavior)
      : is_match_(is_match), behavior_(behavior) {}
  Status Apply(const std::vector<Piece>& in, std::vector<Piece>& out, Pieces&) const override {
    std::vector<Match> matches;
    for (const Piece& piece : in) {
      matches.clear();
      FindChars(piece.text, is_match_, matches);
      SplitPiece(piece, matches, behavior_, out);
    }
    return OkStatus();
  }

 private:
  Predicate is_match_;
  SplitBehavior behavior_;
};

class CharDelimiterStep : public PreTokenizerStep {
 public:
  explicit CharDelimiterStep(char32_t delimiter) : delimiter_(delimiter) {}
  Status Apply(const std::vector<Piece>& in, std::vector<Piece>& out, Pieces&) const override {
    std::vector<Match> matches;
    for (const Piece& piece : in) {
      matches.clear();
      FindChars(
          piece.text, [this](char32_t code) { return code == delimiter_; }, matches);
      SplitPiece(piece, matches, SplitBehavior::kRemoved, out);
    }
    return OkStatus();
  }

 private:
  char32_t delimiter_;
};

// Runs of word characters and runs of what is neither word nor white space.
class WordsStep : public PreTokenizerStep {
 public:
  Status Apply(const std::vector<Piece>& in, std::vector<Piece>& out, Pieces&) const override {
    for (const Piece& piece : in) {
      size_t begin = 0;
      int kind = kBlank;
      for (size_t pos = 0; pos < piece.text.size();) {
        const DecodedChar c = DecodeChar(piece.text, pos);
        const int next = IsWord(c.code) ? kWord : IsWhitespace(c.code) ? kBlank : kRest;
        if (next != kind) {
          if (kind != kBlank) out.push_back(piece.Slice(begin, pos));
          begin = pos;
          kind = next;
        }
        pos += c.bytes;
      }
      if (kind != kBlank) out.push_back(piece.Slice(begin, piece.text.size()));
    }
    return OkStatus();
  }

 private:
  enum Kind { kBlank, kWord, kRest };
};

class SplitStep : public PreTokenizerStep {
 public:
  SplitStep(TextPattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  Status Apply(const std::vector<Piece>& in, std::vector<Piece>& out,
               Pieces& pieces) const override {
    std::vector<Match> matches;
    for (const Piece& piece : in) {
      matches.clear();
      DRAY_RETURN_IF_ERROR(pattern_.FindAll(piece.text, pieces.budget, matches));
      if (invert_) {
        for (Match& match : matches) match.is_match = !match.is_match;
      }
      SplitPiece(piece, matches, behavior_, out);
    }
    return OkStatus();
  }

 private:
  TextPattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

// GPT-2's: cut by its pattern, then each byte as a printable character.
class ByteLevelStep : public PreTokenizerStep {
 public:
  ByteLevelStep(bool add_prefix_space, bool use_regex)
      : add_prefix_space_(add_prefix_space), use_regex_(use_regex) {}

  bool cuts() const override { return use_regex_; }

  Status Apply(const std::vector<Piece>& in, std::vector<Piece>& out,
               Pieces& pieces) const override {
    size_t total = 0;
    for (const Piece& piece : in) total += piece.text.size() + 1;
    std::string& mapped = pieces.storage.emplace_back();
    mapped.reserve(2 * total);  // no byte becomes more than two, so that views of it stay
    std::vector<size_t> ends;
    std::string prefixed;
    for (const Piece& piece : in) {
      if (piece.text.empty()) continue;
      const bool prefix = add_prefix_space_ && piece.text.front() != ' ';
      if (prefix) {
        prefixed = " ";
        prefixed += piece.text;
      }
      const std::string_view text = prefix ? std::string_view{prefixed} : piece.text;
      ends.clear();
      if (use_regex_) {
        ScanSplits(SplitPattern::kGpt2, text, ends);
      } else {
        ends.push_back(text.size());
      }
      size_t begin = 0;
      for (const size_t end : ends) {
        const size_t at = mapped.size();
        AppendByteLevel(text.substr(begin, end - begin), mapped);
        const size_t shift = prefix && begin > 0 ? 1 : 0;
        const bool starts = piece.at_start && begin - shift < piece.origin;
        out.push_back({std::string_view{mapped}.substr(at), starts ? size_t{1} : 0, starts});
        begin = end;
      }
    }
    return OkStatus();
  }

 private:
  bool add_prefix_space_;
  bool use_regex_;
};

class MetaspaceStep : public PreTokenizerStep {
 public:
  enum class Prepend { kFirst, kAlways, kNever };
  MetaspaceStep(char32_t replacement, Prepend prepend, bool split)
      : prepend_(prepend), split_(split) {
    AppendUtf8(replacement, replacement_);
  }

  bool cuts() const override { return split_; }

  Status Apply(const std::vector<Piece>& in, std::vector<Piece>& out,
               Pieces& pieces) const override {
    std::vector<Match> matches;
    for (const Piece& piece : in) {
      if (piece.text.empty()) continue;
      std::string& text = pieces.storage.emplace_back();
      Piece replaced = Replace(piece, text);
      if (!split_) {
        out.push_back(replaced);
        continue;
      }
      matches.clear();
      FindAllLiteral(replaced.text, replacement_, matches);
      SplitPiece(replaced, matches, SplitBehavior::kMergedWithNext, out);
    }
    return OkStatus();
  }

 private:
  Piece Replace(const Piece& piece, std::string& text) const {
    text.reserve(piece.text.size() + piece.text.size() / 2 + replacement_.size());
    const bool wanted =
        prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && piece.at_start);
    const bool has = piece.text.front() == ' ' || piece.text.starts_with(replacement_);
    if (wanted && !has) text += replacement_;
    size_t origin = text.size();
    for (size_t i = 0; i < piece.text.size(); ++i) {
      if (piece.text[i] == ' ') {
        text += replacement_;
      } else {
        text += piece.text[i];
      }
      if (i < piece.origin) origin = text.size();
    }
    return {text, piece.at_start ? origin : 0, piece.at_start};
  }

  std::string replacement_;
  Prepend prepend_;
  bool split_;
};

// Pieces of a fixed number of characters.
class FixedLengthStep : public PreTokenizerStep {
 public:
  explicit FixedLengthStep(size_t length) : length_(length) {}
  Status Apply(const std::vector<Piece>& in, std::vector<Piece>& out, Pieces&) const override {
    for (const Piece& piece : in) {
      size_t begin = 0;
      size_t chars = 0;
      for (size_t pos = 0; pos < piece.text.size();) {
        pos += DecodeChar(piece.text, pos).bytes;
        if (++chars == length_ || pos == piece.text.size()) {
          out.push_back(piece.Slice(begin, pos));
          begin = pos;
          chars = 0;
        }
      }
    }
    return OkStatus();
  }

 private:
  size_t length_;
};

Result<StepPtr> LoadByteLevel(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const bool add_prefix_space, node.GetBool("add_prefix_space"));
  DRAY_ASSIGN_OR_RETURN(const bool use_regex, node.GetBool("use_regex", true));
  return StepPtr(std::make_unique<ByteLevelStep>(add_prefix_space, use_regex));
}

Result<StepPtr> LoadMetaspace(const JsonNode& node) {
  using Prepend = MetaspaceStep::Prepend;
  DRAY_ASSIGN_OR_RETURN(const char32_t replacement, node.GetChar("replacement"));
  DRAY_ASSIGN_OR_RETURN(const bool add_prefix_space, node.GetBool("add_prefix_space", true));
  DRAY_ASSIGN_OR_RETURN(const bool split, node.GetBool("split", true));
  DRAY_ASSIGN_OR_RETURN(const auto scheme, node.Find("prepend_scheme"));
  Prepend prepend = add_prefix_space ? Prepend::kAlways : Prepend::kNever;
  if (scheme) {
    DRAY_ASSIGN_OR_RETURN(const std::string name, scheme->AsString());
    if (name != "first" && name != "always" && name != "never") {
      return scheme->Unknown(name, "first, always, never");
    }
    if (name == "first") prepend = Prepend::kFirst;
    if (name == "always") prepend = Prepend::kAlways;
    if (name == "never") prepend = Prepend::kNever;
    if (!add_prefix_space && prepend != Prepend::kNever) {
      return scheme->Error(StatusCode::kInvalidArgument,
                           "contradicts add_prefix_space, which is false; make it \"never\"");
    }
  }
  return StepPtr(std::make_unique<MetaspaceStep>(replacement, prepend, split));
}

Result<StepPtr> LoadSplit(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const JsonNode pattern_node, node.Get("pattern"));
  DRAY_ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::Load(pattern_node));
  DRAY_ASSIGN_OR_RETURN(const JsonNode behavior_node, node.Get("behavior"));
  DRAY_ASSIGN_OR_RETURN(const SplitBehavior behavior, LoadSplitBehavior(behavior_node));
  DRAY_ASSIGN_OR_RETURN(const bool invert, node.GetBool("invert"));
  return StepPtr(std::make_unique<SplitStep>(std::move(pattern), behavior, invert));
}

Result<StepPtr> LoadPunctuation(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const auto behavior_node, node.Find("behavior"));
  SplitBehavior behavior = SplitBehavior::kIsolated;
  if (behavior_node) {
    DRAY_ASSIGN_OR_RETURN(behavior, LoadSplitBehavior(*behavior_node));
  }
  return StepPtr(std::make_unique<CharClassStep>(IsPunctuation, behavior));
}

Result<StepPtr> LoadDigits(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const bool individual, node.GetBool("individual_digits"));
  return StepPtr(std::make_unique<CharClassStep>(
      IsNumber, individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous));
}

Result<StepPtr> LoadDelimiter(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const char32_t delimiter, node.GetChar("delimiter"));
  return StepPtr(std::make_unique<CharDelimiterStep>(delimiter));
}

Result<StepPtr> LoadFixedLength(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const auto given, node.Find("length"));
  if (!given) return StepPtr(std::make_unique<FixedLengthStep>(5));
  DRAY_ASSIGN_OR_RETURN(const int64_t length, given->AsCount(INT32_MAX));
  if (length == 0) return given->Error(StatusCode::kInvalidArgument, "must be above 0");
  return StepPtr(std::make_unique<FixedLengthStep>(static_cast<size_t>(length)));
}

Result<StepPtr> LoadWords(const JsonNode&) { return StepPtr(std::make_unique<WordsStep>()); }

Result<StepPtr> LoadWhitespaceSplit(const JsonNode&) {
  return StepPtr(std::make_unique<CharClassStep>(IsWhitespace, SplitBehavior::kRemoved));
}

using Loader = Result<StepPtr> (*)(const JsonNode&);

const std::map<std::string_view, Loader>& Loaders() {
  static const std::map<std::string_view, Loader> loaders = {
      {"ByteLevel", LoadByteLevel},
      {"CharDelimiterSplit", LoadDelimiter},
      {"Digits", LoadDigits},
      {"FixedLength", LoadFixedLength},
      {"Metaspace", LoadMetaspace},
      {"Punctuation", LoadPunctuation},
      {"Split", LoadSplit},
      {"Whitespace", LoadWords},
      {"WhitespaceSplit", LoadWhitespaceSplit},
  };
  return loaders;
}

constexpr std::string_view kKnown =
    "BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, FixedLength, Metaspace, Punctuation, "
    "Sequence, Split, Whitespace, WhitespaceSplit";

size_t TotalBytes(const std::vector<Piece>& pieces) {
  size_t total = 0;
  for (const Piece& piece : pieces) total += piece.text.size();
  return total;
}

Status LoadSteps(const JsonNode& node, Steps& steps) {
  DRAY_ASSIGN_OR_RETURN(const JsonNode type, node.Get("type"));
  DRAY_ASSIGN_OR_RETURN(const std::string name, type.AsString());
  if (name == "Sequence") {
    DRAY_ASSIGN_OR_RETURN(const JsonNode list, node.Get("pretokenizers"));
    DRAY_ASSIGN_OR_RETURN(const auto elements, list.Elements());
    for (const JsonNode& element : elements) DRAY_RETURN_IF_ERROR(LoadSteps(element, steps));
    return OkStatus();
  }
  if (steps.size() >= kMaxSteps) {
    return node.Error(StatusCode::kResourceExhausted,
                      fmt::format("more than {} pre-tokenizers", kMaxSteps));
  }
  if (name == "BertPreTokenizer") {  // white space removed, then punctuation by itself
    steps.push_back(std::make_unique<CharClassStep>(IsWhitespace, SplitBehavior::kRemoved));
    steps.push_back(std::make_unique<CharClassStep>(IsPunctuation, SplitBehavior::kIsolated));
    return OkStatus();
  }
  const auto loader = Loaders().find(name);
  if (loader == Loaders().end()) return type.Unknown(name, kKnown);
  DRAY_ASSIGN_OR_RETURN(StepPtr step, loader->second(node));
  steps.push_back(std::move(step));
  return OkStatus();
}

}  // namespace

Result<PreTokenizer> PreTokenizer::Load(const JsonNode& node) {
  PreTokenizer pre_tokenizer;
  DRAY_RETURN_IF_ERROR(LoadSteps(node, pre_tokenizer.steps_));
  return pre_tokenizer;
}

Status PreTokenizer::Apply(Pieces& pieces) const {
  const size_t max_bytes = kGrowthAllowanceBytes + kMaxGrowth * TotalBytes(pieces.list);
  std::vector<Piece> next;
  for (const StepPtr& step : steps_) {
    next.clear();
    next.reserve(pieces.list.size());
    DRAY_RETURN_IF_ERROR(step->Apply(pieces.list, next, pieces));
    pieces.list.swap(next);
    if (steps_.size() > 2 && TotalBytes(pieces.list) > max_bytes) {
      return {StatusCode::kResourceExhausted,
              fmt::format("cutting makes this text longer than {} bytes", max_bytes)};
    }
  }
  return OkStatus();
}

bool PreTokenizer::cuts() const {
  for (const StepPtr& step : steps_) {
    if (step->cuts()) return true;
  }
  return false;
}

}  // namespace dray::tokenizer
