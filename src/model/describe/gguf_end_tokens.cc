#include "model/describe/gguf_end_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/log.h"

namespace dray::model {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";

// What llama.cpp ends an answer on, by text.
constexpr std::string_view kEndTexts[] = {
    "</s>",
    "<EOT>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|call|>",
    "<|calls|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|flush|>",
    "<|im_end|>",
    "<|return|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[EOS]",
    "[EOT]",
    "[e~[",
    "_<EOT>",
};

// Tokens of code models, which end an answer as well: padding, and the begin of another file or
// repository. A key names the token, or else its text does.
struct CodeToken {
  std::string_view key;
  std::array<std::string_view, 5> texts;
};
constexpr CodeToken kCodeTokens[] = {
    {"fim_pad", {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
    {"fim_rep", {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {"fim_sep", {"<|file_sep|>"}},
};

template <typename Texts>
bool Contains(const Texts& texts, std::string_view text) {
  return std::find(std::begin(texts), std::end(texts), text) != std::end(texts);
}

const Json::Array* Tokens(const Json& metadata) {
  const Json* tokens = metadata.Find(fmt::format("{}tokens", kPrefix));
  return tokens == nullptr ? nullptr : tokens->AsArray();
}

class EndTokens {
 public:
  EndTokens(const Json& metadata, const std::string& where) : metadata_(metadata), where_(where) {}

  std::vector<int64_t> Find() {
    for (const std::string_view key : {"eos", "eot", "eom"}) AddKey(key);
    for (const CodeToken& token : kCodeTokens) named_.push_back(AddKey(token.key));
    if (const Json::Array* tokens = Tokens(metadata_)) {
      for (size_t id = 0; id < tokens->size(); ++id) {
        const std::string* text = (*tokens)[id].AsString();
        if (text != nullptr && !text->empty()) AddText(*text, static_cast<int64_t>(id));
      }
    }
    RemoveParts();
    return std::move(ids_);
  }

 private:
  bool AddKey(std::string_view key) {
    const auto id = GgufTokenId(metadata_, key, where_);
    if (id) Add(*id);
    return id.has_value();
  }

  void AddText(std::string_view text, int64_t id) {
    bool ends = Contains(kEndTexts, text);
    for (size_t i = 0; i < std::size(kCodeTokens); ++i) {
      ends = ends || (!named_[i] && Contains(kCodeTokens[i].texts, text));
    }
    if (!ends) return;
    Add(id);
    seen_.push_back({text, id});
  }

  void Add(int64_t id) {
    if (std::find(ids_.begin(), ids_.end(), id) == ids_.end()) ids_.push_back(id);
  }

  bool Has(std::string_view text) const {
    return std::any_of(seen_.begin(), seen_.end(),
                       [&](const Seen& token) { return token.text == text; });
  }
  void Remove(std::string_view text) {
    for (const Seen& token : seen_) {
      if (token.text == text) std::erase(ids_, token.id);
    }
  }

  // Beside some tokens, others that look like an end only part messages within an answer.
  void RemoveParts() {
    const bool harmony = Has("<|return|>") && (Has("<|call|>") || Has("<|calls|>"));
    const bool solar = Has("<|flush|>") && (Has("<|call|>") || Has("<|calls|>"));
    if (harmony || solar) Remove("<|end|>");
    if (Has("<|tool_response>")) Remove("</s>");
  }

  // A token known by its text; the text is the metadata's.
  struct Seen {
    std::string_view text;
    int64_t id;
  };

  const Json& metadata_;
  const std::string& where_;
  std::vector<bool> named_;  // by kCodeTokens: whether a key names it
  std::vector<int64_t> ids_;
  std::vector<Seen> seen_;
};

}  // namespace

std::optional<int64_t> GgufTokenId(const Json& metadata, std::string_view name,
                                   const std::string& where) {
  const std::string key = fmt::format("{}{}_token_id", kPrefix, name);
  const Json* value = metadata.Find(key);
  if (value == nullptr) return std::nullopt;
  const auto id = value->AsInt64();
  const Json::Array* tokens = Tokens(metadata);
  const int64_t end = tokens == nullptr ? INT32_MAX : static_cast<int64_t>(tokens->size());
  if (id && *id >= 0 && *id < end) return id;
  const bool none = id && (*id == -1 || *id == int64_t{UINT32_MAX});
  if (!none) {
    LogWarning(fmt::format("{}: {} is {}, which is no token's id: it does not count", where, key,
                           value->Dump().substr(0, 40)));
  }
  return std::nullopt;
}

std::vector<int64_t> GgufEndTokens(const Json& metadata, const std::string& where) {
  return EndTokens(metadata, where).Find();
}

}  // namespace dray::model
