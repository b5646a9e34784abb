// A tokenizer's model: what turns one piece of text into ids. bpe.h, unigram.h and word_models.h
// have the four kinds; load/subword_model_load.cc reads them.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/models/vocab.h"
#include "tokenizer/text/work_budget.h"

namespace dray::tokenizer {

class SubwordModel {
 public:
  virtual ~SubwordModel() = default;

  // Appends the ids of each piece (none is empty), in order. Errors if a piece has a character that
  // the vocabulary lacks and the model has no way to say so, or (kCancelled) if `budget` says that the ids are not
  // wanted any more. Safe from several threads.
  virtual Status Encode(const std::vector<std::string_view>& pieces, WorkBudget& budget,
                        std::vector<int32_t>& ids) const = 0;

  const Vocab& vocab() const { return vocab_; }

 protected:
  explicit SubwordModel(Vocab vocab) : vocab_(std::move(vocab)) {}

 private:
  Vocab vocab_;
};

}  // namespace dray::tokenizer
