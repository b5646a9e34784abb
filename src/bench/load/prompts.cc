#include "bench/load/prompts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <random>
#include <string_view>

#include "base/file.h"
#include "base/parse/json.h"

namespace dray::bench {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

// Words that, with a space before them, are one token in every larger vocabulary.
constexpr std::array<std::string_view, 96> kWords = {
    "time",    "people",   "way",     "day",     "man",     "thing",    "woman",    "life",
    "child",   "world",    "school",  "state",   "family",  "student",  "group",    "country",
    "problem", "hand",     "part",    "place",   "case",    "week",     "company",  "system",
    "program", "question", "work",    "number",  "night",   "point",    "home",     "water",
    "room",    "mother",   "area",    "money",   "story",   "fact",     "month",    "lot",
    "right",   "study",    "book",    "eye",     "job",     "word",     "business", "issue",
    "side",    "kind",     "head",    "house",   "service", "friend",   "father",   "power",
    "hour",    "game",     "line",    "end",     "member",  "law",      "car",      "city",
    "name",    "team",     "minute",  "idea",    "body",    "back",     "parent",   "face",
    "level",   "office",   "door",    "health",  "person",  "art",      "war",      "history",
    "party",   "result",   "change",  "morning", "reason",  "research", "girl",     "guy",
    "moment",  "air",      "teacher", "force",   "order",   "light",    "voice",    "food"};

std::string_view RandomWord(std::mt19937_64& random) { return kWords[random() % kWords.size()]; }

std::string Join(const std::vector<std::string_view>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

// Adds or removes words until the text has `tokens` tokens, or until the tries are used up.
Result<std::string> FitText(std::vector<std::string_view> words, int64_t tokens,
                            const CountTokens& count_tokens, std::mt19937_64& random) {
  constexpr int kMostTries = 24;
  for (int i = 0; i < kMostTries; ++i) {
    DRAY_ASSIGN_OR_RETURN(const int64_t count, count_tokens(Join(words)));
    if (count == tokens || (count > tokens && words.size() == 1)) break;
    const auto size = static_cast<int64_t>(words.size());
    int64_t wanted = size * tokens / std::max<int64_t>(count, 1);
    if (wanted == size) wanted += count < tokens ? 1 : -1;
    wanted = std::max<int64_t>(wanted, 1);
    while (static_cast<int64_t>(words.size()) < wanted) words.push_back(RandomWord(random));
    words.resize(static_cast<size_t>(wanted));
  }
  return Join(words);
}

// The prompt in one element of a prompt file; null if there is none.
const std::string* PromptIn(const Json& json) {
  if (json.AsString() != nullptr) return json.AsString();
  for (const char* key : {"prompt", "text", "inputs"}) {
    const Json* value = json.Find(key);
    if (value != nullptr && value->AsString() != nullptr) return value->AsString();
  }
  const Json* turns = json.Find("conversations");
  if (turns == nullptr || turns->AsArray() == nullptr) return nullptr;
  for (const Json& turn : *turns->AsArray()) {
    const Json* from = turn.Find("from");
    const Json* value = turn.Find("value");
    const bool human =
        from != nullptr && from->AsString() != nullptr && *from->AsString() == "human";
    if (human && value != nullptr && value->AsString() != nullptr) return value->AsString();
  }
  return nullptr;
}

std::vector<std::string> ReadLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

Result<std::vector<std::string>> RandomPrompts(int64_t count, int64_t tokens, uint64_t seed,
                                               const CountTokens& count_tokens) {
  std::mt19937_64 random(seed);
  std::vector<std::string> prompts;
  for (int64_t i = 0; i < count; ++i) {
    std::vector<std::string_view> words;
    for (int64_t w = 0; w < tokens; ++w) words.push_back(RandomWord(random));
    if (!count_tokens) {
      prompts.push_back(Join(words));
      continue;
    }
    DRAY_ASSIGN_OR_RETURN(auto text, FitText(std::move(words), tokens, count_tokens, random));
    prompts.push_back(std::move(text));
  }
  return prompts;
}

Result<std::vector<std::string>> ReadPrompts(const std::filesystem::path& path) {
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  std::vector<std::string> prompts;
  if (path.extension() == ".json") {
    const auto json = Json::Parse(text);
    if (!json.ok()) return json.status().WithPrefix(path.string());
    for (const Json& element : json->AsArray() != nullptr ? *json->AsArray() : Json::Array()) {
      if (const std::string* prompt = PromptIn(element)) prompts.push_back(*prompt);
    }
  } else {
    prompts = ReadLines(text);
  }
  if (prompts.empty()) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("{}: no prompt in it; it must have one on each line, or, if its name "
                              "ends in .json, be an array of texts, of objects with \"prompt\", or "
                              "of ShareGPT's conversations",
                              path.string()));
  }
  return prompts;
}

}  // namespace dray::bench
