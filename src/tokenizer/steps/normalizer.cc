#include "tokenizer/steps/normalizer.h"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <utility>

#include "tokenizer/text/byte_level.h"
#include "tokenizer/text/text_pattern.h"
#include "tokenizer/text/unicode.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

constexpr size_t kMaxSteps = 64;
constexpr size_t kMaxGrowth = 64;
constexpr size_t kGrowthAllowanceBytes = 1 << 20;

using StepPtr = std::unique_ptr<const NormalizerStep>;
using Steps = std::vector<StepPtr>;

Status TooLong(size_t max_bytes) {
  return {StatusCode::kResourceExhausted,
          fmt::format("normalizing makes this text longer than {} bytes", max_bytes)};
}

// Rewrites the text character by character; `map(code, out)` appends what stands for `code`.
template <typename Map>
void MapChars(OwnedPiece& piece, const Map& map) {
  std::string out;
  out.reserve(piece.text.size() + piece.text.size() / 8);
  size_t origin = 0;
  for (size_t pos = 0; pos < piece.text.size();) {
    const DecodedChar c = DecodeChar(piece.text, pos);
    map(c.code, out);
    if (pos < piece.origin) origin = out.size();
    pos += c.bytes;
  }
  piece.text = std::move(out);
  piece.origin = origin;
}

void ApplyForm(OwnedPiece& piece, NormalForm form) {
  std::string text = Normalize(piece.text, form);
  const std::string front = Normalize(std::string_view{piece.text}.substr(0, piece.origin), form);
  piece.origin = std::min(front.size(), text.size());
  piece.text = std::move(text);
}

class FormStep : public NormalizerStep {
 public:
  explicit FormStep(NormalForm form) : form_(form) {}
  Status Apply(OwnedPiece& piece, NormalizerLimits&) const override {
    ApplyForm(piece, form_);
    return OkStatus();
  }

 private:
  NormalForm form_;
};

// A step that is a plain function of the text.
class FunctionStep : public NormalizerStep {
 public:
  explicit FunctionStep(void (*apply)(OwnedPiece&)) : apply_(apply) {}
  Status Apply(OwnedPiece& piece, NormalizerLimits&) const override {
    apply_(piece);
    return OkStatus();
  }

 private:
  void (*apply_)(OwnedPiece&);
};

void Lowercase(OwnedPiece& piece) {
  MapChars(piece, [](char32_t code, std::string& out) { AppendLowercase(code, out); });
}

void StripAccents(OwnedPiece& piece) {
  MapChars(piece, [](char32_t code, std::string& out) {
    if (!IsMark(code)) AppendUtf8(code, out);
  });
}

void MapToByteLevel(OwnedPiece& piece) {
  std::string out;
  AppendByteLevel(std::string_view{piece.text}.substr(0, piece.origin), out);
  const size_t origin = out.size();
  AppendByteLevel(std::string_view{piece.text}.substr(piece.origin), out);
  piece.text = std::move(out);
  piece.origin = origin;
}

// SentencePiece's "nmt" rules: drop control characters, make odd spaces plain.
void Nmt(OwnedPiece& piece) {
  const auto in = [](char32_t code, char32_t low, char32_t high) {
    return code >= low && code <= high;
  };
  MapChars(piece, [&](char32_t code, std::string& out) {
    if (in(code, 0x01, 0x08) || code == 0x0B || in(code, 0x0E, 0x1F) || code == 0x7F ||
        code == 0x8F || code == 0x9F) {
      return;
    }
    const bool space = code == 0x09 || code == 0x0A || code == 0x0C || code == 0x0D ||
                       code == 0x1680 || in(code, 0x200B, 0x200F) || code == 0x2028 ||
                       code == 0x2029 || code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
    AppendUtf8(space ? U' ' : code, out);
  });
}

class StripStep : public NormalizerStep {
 public:
  StripStep(bool left, bool right) : left_(left), right_(right) {}
  Status Apply(OwnedPiece& piece, NormalizerLimits&) const override {
    const std::string_view text = piece.text;
    size_t begin = 0;
    size_t end = text.size();
    while (left_ && begin < end) {
      const DecodedChar c = DecodeChar(text, begin);
      if (!IsWhitespace(c.code)) break;
      begin += c.bytes;
    }
    while (right_ && end > begin) {
      const size_t last = CharBoundaryBefore(text, end - 1);
      if (!IsWhitespace(DecodeChar(text, last).code)) break;
      end = last;
    }
    piece.origin -= std::min(piece.origin, begin);
    piece.text = std::string(text.substr(begin, end - begin));
    piece.origin = std::min(piece.origin, piece.text.size());
    return OkStatus();
  }

 private:
  bool left_;
  bool right_;
};

class PrependStep : public NormalizerStep {
 public:
  explicit PrependStep(std::string prefix) : prefix_(std::move(prefix)) {}
  Status Apply(OwnedPiece& piece, NormalizerLimits&) const override {
    if (piece.text.empty()) return OkStatus();
    piece.text.insert(0, prefix_);
    if (piece.origin > 0) piece.origin += prefix_.size();
    return OkStatus();
  }

 private:
  std::string prefix_;
};

class ReplaceStep : public NormalizerStep {
 public:
  ReplaceStep(TextPattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  Status Apply(OwnedPiece& piece, NormalizerLimits& limits) const override {
    std::vector<Match> matches;
    DRAY_RETURN_IF_ERROR(pattern_.FindAll(piece.text, limits.budget, matches));
    std::string out;
    out.reserve(piece.text.size());
    size_t origin = 0;
    bool in_origin = true;
    for (const Match& match : matches) {
      // What replaces a match stands where the match's last character stood.
      const bool stays = in_origin && match.end <= piece.origin;
      if (match.is_match) {
        out += content_;
        if (stays) origin = out.size();
      } else {
        if (in_origin && match.begin < piece.origin) {
          origin = out.size() + std::min(match.end, piece.origin) - match.begin;
        }
        out.append(piece.text, match.begin, match.end - match.begin);
      }
      in_origin = stays;
      if (out.size() > limits.max_bytes) return TooLong(limits.max_bytes);
    }
    piece.text = std::move(out);
    piece.origin = origin;
    return OkStatus();
  }

 private:
  TextPattern pattern_;
  std::string content_;
};

class CharsmapStep : public NormalizerStep {
 public:
  explicit CharsmapStep(Charsmap map) : map_(std::move(map)) {}
  Status Apply(OwnedPiece& piece, NormalizerLimits& limits) const override {
    DRAY_ASSIGN_OR_RETURN(piece.text, map_.Apply(piece.text, limits.max_bytes, piece.origin));
    return OkStatus();
  }

 private:
  Charsmap map_;
};

// The characters around which BERT puts spaces.
bool IsCjkIdeograph(char32_t code) {
  const auto in = [code](char32_t low, char32_t high) { return code >= low && code <= high; };
  return in(0x4E00, 0x9FFF) || in(0x3400, 0x4DBF) || in(0x20000, 0x2A6DF) || in(0x2A700, 0x2B73F) ||
         in(0x2B740, 0x2B81F) || in(0x2B920, 0x2CEAF) || in(0xF900, 0xFAFF) || in(0x2F800, 0x2FA1F);
}

struct BertOptions {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};

class BertStep : public NormalizerStep {
 public:
  explicit BertStep(const BertOptions& options) : options_(options) {}

  Status Apply(OwnedPiece& piece, NormalizerLimits&) const override {
    if (options_.clean_text) MapChars(piece, CleanChar);
    if (options_.handle_chinese_chars) {
      MapChars(piece, [](char32_t code, std::string& out) {
        const bool apart = IsCjkIdeograph(code);
        if (apart) out += ' ';
        AppendUtf8(code, out);
        if (apart) out += ' ';
      });
    }
    if (options_.strip_accents) {
      ApplyForm(piece, NormalForm::kNfd);
      MapChars(piece, [](char32_t code, std::string& out) {
        if (!IsNonSpacingMark(code)) AppendUtf8(code, out);
      });
    }
    if (options_.lowercase) Lowercase(piece);
    return OkStatus();
  }

 private:
  static void CleanChar(char32_t code, std::string& out) {
    const bool blank = code == '\t' || code == '\n' || code == '\r';
    if (code == 0 || code == kReplacementChar || (!blank && IsOther(code))) return;
    AppendUtf8(IsWhitespace(code) ? U' ' : code, out);
  }

  BertOptions options_;
};

Result<StepPtr> LoadReplace(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const JsonNode pattern_node, node.Get("pattern"));
  DRAY_ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::Load(pattern_node));
  DRAY_ASSIGN_OR_RETURN(std::string content, node.GetString("content"));
  return StepPtr(std::make_unique<ReplaceStep>(std::move(pattern), std::move(content)));
}

Result<StepPtr> LoadStrip(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const bool left, node.GetBool("strip_left"));
  DRAY_ASSIGN_OR_RETURN(const bool right, node.GetBool("strip_right"));
  return StepPtr(std::make_unique<StripStep>(left, right));
}

Result<StepPtr> LoadPrepend(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(std::string prefix, node.GetString("prepend"));
  return StepPtr(std::make_unique<PrependStep>(std::move(prefix)));
}

Result<StepPtr> LoadCharsmap(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const JsonNode blob, node.Get("precompiled_charsmap"));
  DRAY_ASSIGN_OR_RETURN(const std::string base64, blob.AsString());
  auto map = Charsmap::FromBase64(base64);
  if (!map.ok()) return blob.Error(map.status().code(), map.status().message());
  return StepPtr(std::make_unique<CharsmapStep>(std::move(map).value()));
}

Result<StepPtr> LoadBert(const JsonNode& node) {
  BertOptions options;
  DRAY_ASSIGN_OR_RETURN(options.clean_text, node.GetBool("clean_text"));
  DRAY_ASSIGN_OR_RETURN(options.handle_chinese_chars, node.GetBool("handle_chinese_chars"));
  DRAY_ASSIGN_OR_RETURN(options.lowercase, node.GetBool("lowercase"));
  DRAY_ASSIGN_OR_RETURN(options.strip_accents, node.GetBool("strip_accents", options.lowercase));
  return StepPtr(std::make_unique<BertStep>(options));
}

template <NormalForm kForm>
Result<StepPtr> LoadForm(const JsonNode&) {
  return StepPtr{std::make_unique<FormStep>(kForm)};
}

template <void (*kApply)(OwnedPiece&)>
Result<StepPtr> LoadFunction(const JsonNode&) {
  return StepPtr{std::make_unique<FunctionStep>(kApply)};
}

using Loader = Result<StepPtr> (*)(const JsonNode&);

const std::map<std::string_view, Loader>& Loaders() {
  static const std::map<std::string_view, Loader> loaders = {
      {"BertNormalizer", LoadBert},
      {"ByteLevel", LoadFunction<MapToByteLevel>},
      {"Lowercase", LoadFunction<Lowercase>},
      {"NFC", LoadForm<NormalForm::kNfc>},
      {"NFD", LoadForm<NormalForm::kNfd>},
      {"NFKC", LoadForm<NormalForm::kNfkc>},
      {"NFKD", LoadForm<NormalForm::kNfkd>},
      {"Nmt", LoadFunction<Nmt>},
      {"Precompiled", LoadCharsmap},
      {"Prepend", LoadPrepend},
      {"Replace", LoadReplace},
      {"Strip", LoadStrip},
      {"StripAccents", LoadFunction<StripAccents>},
  };
  return loaders;
}

constexpr std::string_view kKnown =
    "BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, Prepend, "
    "Replace, "
    "Sequence, Strip, StripAccents";

// Sequences may nest as deep as the JSON reader lets them; their steps become one list.
Status LoadSteps(const JsonNode& node, Steps& steps) {
  DRAY_ASSIGN_OR_RETURN(const JsonNode type, node.Get("type"));
  DRAY_ASSIGN_OR_RETURN(const std::string name, type.AsString());
  if (name == "Sequence") {
    DRAY_ASSIGN_OR_RETURN(const JsonNode list, node.Get("normalizers"));
    DRAY_ASSIGN_OR_RETURN(const auto elements, list.Elements());
    for (const JsonNode& element : elements) DRAY_RETURN_IF_ERROR(LoadSteps(element, steps));
    return OkStatus();
  }
  const auto loader = Loaders().find(name);
  if (loader == Loaders().end()) return type.Unknown(name, kKnown);
  if (steps.size() == kMaxSteps) {
    return node.Error(StatusCode::kResourceExhausted,
                      fmt::format("more than {} normalizers", kMaxSteps));
  }
  DRAY_ASSIGN_OR_RETURN(StepPtr step, loader->second(node));
  steps.push_back(std::move(step));
  return OkStatus();
}

}  // namespace

Result<Normalizer> Normalizer::Load(const JsonNode& node) {
  Normalizer normalizer;
  DRAY_RETURN_IF_ERROR(LoadSteps(node, normalizer.steps_));
  return normalizer;
}

Normalizer Normalizer::FromCharsmap(Charsmap map) {
  Normalizer normalizer;
  normalizer.steps_.push_back(std::make_unique<CharsmapStep>(std::move(map)));
  return normalizer;
}

Status Normalizer::Apply(OwnedPiece& piece, WorkBudget& budget) const {
  NormalizerLimits limits{kGrowthAllowanceBytes + kMaxGrowth * piece.text.size(), budget};
  for (const StepPtr& step : steps_) {
    DRAY_RETURN_IF_ERROR(step->Apply(piece, limits));
    if (piece.text.size() > limits.max_bytes) return TooLong(limits.max_bytes);
  }
  return OkStatus();
}

}  // namespace dray::tokenizer
