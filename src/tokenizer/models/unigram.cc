#include "tokenizer/models/unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

// An unknown character scores this much below the worst token.
constexpr double kUnkPenalty = 10.0;
// The index takes some 40 bytes of memory for a byte of token text; published vocabularies
// have 3 MB.
constexpr size_t kMaxIndexedBytes = 16 << 20;
// A path looks at every token that begins at a character: this bounds the work for one character.
constexpr size_t kMaxTokenBytes = 1024;

Status NoUnk() {
  return {StatusCode::kInvalidArgument,
          "the text has a character that the vocabulary lacks, and the tokenizer has no unk_id"};
}

}  // namespace

UnigramModel::UnigramModel(Vocab vocab, std::vector<double> scores, const UnigramOptions& options)
    : SubwordModel(std::move(vocab)), scores_(std::move(scores)), options_(options) {
  double least = std::numeric_limits<double>::infinity();
  for (const double score : scores_) least = std::min(least, score);
  unk_score_ = least - kUnkPenalty;
}

Result<std::unique_ptr<UnigramModel>> UnigramModel::Create(Vocab vocab, std::vector<double> scores,
                                                           const UnigramOptions& options) {
  std::unique_ptr<UnigramModel> model(
      new UnigramModel(std::move(vocab), std::move(scores), options));
  size_t indexed = 0;
  for (int32_t id = 0; id < model->vocab().id_end(); ++id) {
    const auto text = model->vocab().Text(id);
    if (!text) continue;
    if (text->size() > kMaxTokenBytes) {
      return Status(StatusCode::kResourceExhausted,
                    fmt::format("vocab[{}] has {} bytes, above the limit of {} for a token", id,
                                text->size(), kMaxTokenBytes));
    }
    indexed += text->size();
    if (indexed > kMaxIndexedBytes) {
      return Status(
          StatusCode::kResourceExhausted,
          fmt::format("vocab: the tokens have more than {} bytes in all", kMaxIndexedBytes));
    }
    // Of two tokens with one text the later counts.
    model->trie_.Insert(*text, model->vocab().Find(*text).value_or(id));
  }
  return model;
}

Status UnigramModel::FindBestPath(std::string_view piece, WorkBudget& budget,
                                  std::vector<Step>& steps) const {
  steps.assign(piece.size() + 1, Step{});
  const auto offer = [&](size_t end, size_t begin, double score, int32_t id) {
    Step& step = steps[end];
    if (step.length != 0 && score <= step.score) return;
    step = {score, id, static_cast<uint32_t>(end - begin)};
  };
  for (size_t begin = 0; begin < piece.size();) {
    const double so_far = steps[begin].score;
    const size_t char_end = begin + DecodeChar(piece, begin).bytes;
    if (budget.IsCancelledAfter(char_end - begin)) return budget.SpentError(piece.size());
    bool has_char = false;
    Trie::Node node = Trie::kRoot;
    for (size_t end = begin; end < piece.size();) {
      node = trie_.Step(node, piece[end]);
      if (node == Trie::kNone) break;
      ++end;
      const int32_t id = trie_.Value(node);
      if (id == Trie::kNoValue) continue;
      offer(end, begin, scores_[static_cast<size_t>(id)] + so_far, id);
      has_char = has_char || end == char_end;
    }
    if (!has_char) {
      if (!options_.unk_id) {
        // The reference fails only if nothing better ends here.
        if (steps[char_end].length == 0 || unk_score_ + so_far > steps[char_end].score)
          return NoUnk();
      } else {
        offer(char_end, begin, unk_score_ + so_far, *options_.unk_id);
      }
    }
    begin = char_end;
  }
  return OkStatus();
}

Status UnigramModel::AppendPart(std::string_view part, std::vector<int32_t>& ids) const {
  if (const auto id = vocab().Find(part)) {
    ids.push_back(*id);
    return OkStatus();
  }
  if (options_.byte_fallback) {
    const size_t start = ids.size();
    for (const char byte : part) {
      const auto id = vocab().Find(fmt::format("<0x{:02X}>", static_cast<uint8_t>(byte)));
      if (!id) break;
      ids.push_back(*id);
    }
    if (ids.size() - start == part.size()) return OkStatus();
    ids.resize(start);
  }
  if (!options_.unk_id) return NoUnk();
  ids.push_back(*options_.unk_id);
  return OkStatus();
}

Status UnigramModel::Encode(const std::vector<std::string_view>& pieces, WorkBudget& budget,
                            std::vector<int32_t>& ids) const {
  std::vector<Step> steps;
  std::vector<std::pair<size_t, size_t>> parts;
  for (const std::string_view piece : pieces) {
    DRAY_RETURN_IF_ERROR(FindBestPath(piece, budget, steps));
    parts.clear();
    bool last_unk = false;
    for (size_t end = piece.size(); end > 0;) {
      const Step& step = steps[end];
      const bool unk = options_.unk_id && step.id == *options_.unk_id;
      const size_t begin = end - step.length;
      if (unk && last_unk) {
        parts.back().first = begin;  // neighbouring unknown characters are one part
      } else {
        parts.emplace_back(begin, end);
      }
      last_unk = unk;
      end = begin;
    }
    std::reverse(parts.begin(), parts.end());
    for (const auto& [begin, end] : parts) {
      DRAY_RETURN_IF_ERROR(AppendPart(piece.substr(begin, end - begin), ids));
    }
  }
  return OkStatus();
}

}  // namespace dray::tokenizer
