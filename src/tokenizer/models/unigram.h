// SentencePiece's unigram model: the cut of a piece into tokens with the highest sum of scores.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/models/subword_model.h"
#include "tokenizer/models/trie.h"

namespace dray::tokenizer {

struct UnigramOptions {
  std::optional<int32_t> unk_id;
  bool byte_fallback = false;
};

class UnigramModel : public SubwordModel {
 public:
  // `vocab` holds each token under its place in the file, and `scores` one score a place.
  // kResourceExhausted if the tokens' texts are too large for the index.
  static Result<std::unique_ptr<UnigramModel>> Create(Vocab vocab, std::vector<double> scores,
                                                      const UnigramOptions& options);

  Status Encode(const std::vector<std::string_view>& pieces, WorkBudget& budget,
                std::vector<int32_t>& ids) const override;

 private:
  UnigramModel(Vocab vocab, std::vector<double> scores, const UnigramOptions& options);

  // The best token that ends at a place, and the score of the best way to get there.
  struct Step {
    double score = 0;
    int32_t id = 0;
    uint32_t length = 0;  // 0: nothing ends here
  };
  Status FindBestPath(std::string_view piece, WorkBudget& budget, std::vector<Step>& steps) const;
  // Appends the id or ids of a part that the path took as one.
  Status AppendPart(std::string_view part, std::vector<int32_t>& ids) const;

  std::vector<double> scores_;
  double unk_score_ = 0;
  UnigramOptions options_;
  Trie trie_;
};

}  // namespace dray::tokenizer
