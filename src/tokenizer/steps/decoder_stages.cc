#include "tokenizer/steps/decoder_stages.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "tokenizer/steps/stage.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty() || text.find(from) == std::string::npos) return;
  std::string out;
  size_t begin = 0;
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, begin)) {
    out.append(text, begin, at - begin);
    out += to;
    begin = at + from.size();
  }
  out.append(text, begin);
  text = std::move(out);
}

// The reference's repair of English punctuation.
void CleanUp(std::string& text) {
  static constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  for (const auto& [from, to] : kRules) ReplaceAll(text, from, to);
}

class FuseStage : public Stage {
 public:
  static constexpr bool kTakesCutTokens = true;
  FuseStage(TokenSink& next, const NoOptions&) : Stage(next) {}
  void Token(std::string_view token) override { next().Part(token); }
  void Part(std::string_view part) override { next().Part(part); }
  void Finish() override {
    next().Part({});  // there is one token even if it is empty
    next().Finish();
  }
};

struct StripOptions {
  std::string content;
  size_t start = 0;
  size_t stop = 0;
};

class StripStage : public Stage {
 public:
  StripStage(TokenSink& next, const StripOptions& options)
      : Stage(next), options_(options), start_left_(options.start) {}

  void Token(std::string_view token) override {
    token = StripStart(token, options_.start).first;
    next().Token(token.substr(0, token.size() - TailBytes(token)));
  }
  void Part(std::string_view part) override {
    if (start_left_ > 0) {
      const auto [rest, taken] = StripStart(part, start_left_);
      start_left_ = rest.empty() ? start_left_ - taken : 0;
      part = rest;
    }
    held_ += part;
    const size_t keep = TailBytes(held_);
    next().Part(std::string_view{held_}.substr(0, held_.size() - keep));
    held_.erase(0, held_.size() - keep);
  }
  void Finish() override { next().Finish(); }

 private:
  // `text` without up to `limit` leading contents, and how many those were.
  std::pair<std::string_view, size_t> StripStart(std::string_view text, size_t limit) const {
    size_t taken = 0;
    while (taken < limit && text.starts_with(options_.content)) {
      text.remove_prefix(options_.content.size());
      ++taken;
    }
    return {text, taken};
  }
  // The size of up to `stop` contents at the end of `text`.
  size_t TailBytes(std::string_view text) const {
    const size_t before = text.size();
    for (size_t i = 0; i < options_.stop && text.ends_with(options_.content); ++i) {
      text.remove_suffix(options_.content.size());
    }
    return before - text.size();
  }

  const StripOptions& options_;
  size_t start_left_;
  std::string held_;  // what may yet turn out to be the end
};

class ReplaceStage : public WholeTokenStage {
 public:
  ReplaceStage(TokenSink& next, const TextPattern& pattern, std::string_view content)
      : WholeTokenStage(next), pattern_(pattern), content_(content) {}

  void Token(std::string_view token) override {
    matches_.clear();
    if (!pattern_.FindAll(token, budget_, matches_)
             .ok()) {  // too slow on this token: it stays as it is
      next().Token(token);
      return;
    }
    out_.clear();
    for (const Match& match : matches_) {
      out_ += match.is_match ? content_ : token.substr(match.begin, match.end - match.begin);
    }
    next().Token(out_);
  }

 private:
  const TextPattern& pattern_;
  std::string_view content_;
  WorkBudget budget_{0};  // of the whole stream
  std::vector<Match> matches_;
  std::string out_;
};

class ReplaceDecoderStep : public DecoderStep {
 public:
  ReplaceDecoderStep(TextPattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  std::unique_ptr<TokenSink> NewStage(TokenSink& next, Flow) const override {
    return std::make_unique<ReplaceStage>(next, pattern_, content_);
  }

 private:
  TextPattern pattern_;
  std::string content_;
};

struct MetaspaceOptions {
  std::string replacement;
  FirstSpace first = FirstSpace::kDrop;
};

class MetaspaceStage : public Stage {
 public:
  static constexpr bool kTakesCutTokens = true;
  MetaspaceStage(TokenSink& next, const MetaspaceOptions& options)
      : Stage(next), options_(options) {}

  void Token(std::string_view token) override {
    ++num_tokens_;
    next().Token(Map(token));
  }
  void More(std::string_view part) override { next().More(Map(part)); }
  void Part(std::string_view part) override { next().Part(Map(part)); }
  void Finish() override { next().Finish(); }

 private:
  std::string Map(std::string_view token) const {
    std::string text(token);
    const bool drop = num_tokens_ <= 1 && options_.first == FirstSpace::kDrop;
    ReplaceAll(text, options_.replacement, drop ? "" : " ");
    return text;
  }

  const MetaspaceOptions& options_;
  size_t num_tokens_ = 0;  // begun
};

struct WordPieceDecoderOptions {
  std::string prefix;
  Cleanup cleanup = Cleanup::kYes;
};

class WordPieceStage : public WholeTokenStage {
 public:
  WordPieceStage(TokenSink& next, const WordPieceDecoderOptions& options)
      : WholeTokenStage(next), options_(options) {}

  void Token(std::string_view token) override {
    std::string text;
    if (is_first_) {
      text = token;
    } else if (token.starts_with(options_.prefix)) {
      text = token.substr(options_.prefix.size());
    } else {
      text = " ";
      text += token;
    }
    if (options_.cleanup == Cleanup::kYes) CleanUp(text);
    next().Token(text);
    is_first_ = false;
  }

 private:
  const WordPieceDecoderOptions& options_;
  bool is_first_ = true;
};

// `suffix` ends a word: a blank follows, unless the token is the last.
class BpeStage : public WholeTokenStage {
 public:
  BpeStage(TokenSink& next, const std::string& suffix, Flow flow)
      : WholeTokenStage(next), suffix_(suffix), flow_(flow) {}

  void Token(std::string_view token) override {
    PassOnHeld(" ");
    const bool cut = flow_ == Flow::kParts && !suffix_.empty();
    const size_t certain = cut ? std::min(token.find(suffix_), token.size()) : 0;
    if (certain > 0) next().Token(token.substr(0, certain));
    begun_ = certain > 0;
    held_ = token.substr(certain);
  }

 private:
  void FinishTokens() override { PassOnHeld(""); }
  void PassOnHeld(std::string_view replacement) {
    if (!held_) return;
    ReplaceAll(*held_, suffix_, replacement);
    begun_ ? next().More(*held_) : next().Token(*held_);
    held_.reset();
  }

  const std::string& suffix_;
  const Flow flow_;
  std::optional<std::string> held_;  // of the last token, from the first suffix on
  bool begun_ = false;               // what stands before it has been passed on
};

class BpeDecoderStep : public DecoderStep {
 public:
  explicit BpeDecoderStep(std::string suffix) : suffix_(std::move(suffix)) {}
  std::unique_ptr<TokenSink> NewStage(TokenSink& next, Flow flow) const override {
    return std::make_unique<BpeStage>(next, suffix_, flow);
  }

 private:
  std::string suffix_;
};

class CtcStage : public WholeTokenStage {
 public:
  CtcStage(TokenSink& next, const CtcOptions& options) : WholeTokenStage(next), options_(options) {}

  void Token(std::string_view token) override {
    if (previous_ == token) return;
    previous_ = token;
    std::string text(token);
    ReplaceAll(text, options_.pad_token, "");
    if (options_.cleanup == Cleanup::kYes) {
      CleanUp(text);
      ReplaceAll(text, options_.word_delimiter_token, " ");
    }
    if (!text.empty()) next().Token(text);
  }

 private:
  const CtcOptions& options_;
  std::optional<std::string> previous_;
};

class JoinStage : public WholeTokenStage {
 public:
  JoinStage(TokenSink& next, const NoOptions&) : WholeTokenStage(next) {}
  void Token(std::string_view token) override {
    if (!is_first_) next().Token(" ");
    next().Token(token);
    is_first_ = false;
  }

 private:
  bool is_first_ = true;
};

std::string CharText(char32_t code) {
  std::string text;
  AppendUtf8(code, text);
  return text;
}

}  // namespace

DecoderStepPtr NewFuseDecoder() { return MakeStep<FuseStage>(NoOptions{}); }
DecoderStepPtr NewStripDecoder(char32_t content, size_t start, size_t stop) {
  return MakeStep<StripStage>(StripOptions{CharText(content), start, stop});
}
DecoderStepPtr NewReplaceDecoder(TextPattern pattern, std::string content) {
  return std::make_unique<ReplaceDecoderStep>(std::move(pattern), std::move(content));
}
DecoderStepPtr NewMetaspaceDecoder(char32_t replacement, FirstSpace first) {
  return MakeStep<MetaspaceStage>(MetaspaceOptions{CharText(replacement), first});
}
DecoderStepPtr NewWordPieceDecoder(std::string prefix, Cleanup cleanup) {
  return MakeStep<WordPieceStage>(WordPieceDecoderOptions{std::move(prefix), cleanup});
}
DecoderStepPtr NewBpeDecoder(std::string suffix) {
  return std::make_unique<BpeDecoderStep>(std::move(suffix));
}
DecoderStepPtr NewCtcDecoder(CtcOptions options) { return MakeStep<CtcStage>(std::move(options)); }
DecoderStepPtr NewJoinDecoder() { return MakeStep<JoinStage>(NoOptions{}); }

}  // namespace dray::tokenizer
