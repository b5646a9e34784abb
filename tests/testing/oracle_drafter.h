// Makes guesses of a given quality. It knows the tokens that a sequence will have, and replaces
// some by wrong ones.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "engine/speculation/drafter.h"

namespace dray::testing {

class OracleDrafter : public engine::Drafter {
 public:
  // Each guess is right with probability `acceptance`. `prior` is the probability that Priors
  // reports.
  OracleDrafter(double acceptance, int64_t vocab_size, float prior = 0.9F)
      : acceptance_(acceptance), vocab_size_(vocab_size), priors_{prior} {}

  // States the tokens that sample `sequence_idx` of this prompt will have.
  void Expect(std::vector<int32_t> prompt, int sequence_idx, std::vector<int32_t> tokens) {
    futures_[{std::move(prompt), sequence_idx}] = std::move(tokens);
  }

  std::span<const float> Priors() const override { return priors_; }

  engine::DraftOffer Offer(engine::Sequence& sequence, int64_t most) override {
    const auto num_prompt = static_cast<std::ptrdiff_t>(sequence.num_prompt_tokens);
    const std::vector<int32_t> prompt(sequence.tokens.begin(),
                                      sequence.tokens.begin() + num_prompt);
    const auto found = futures_.find({prompt, sequence.sequence_idx});
    if (found == futures_.end()) return {};
    const std::vector<int32_t>& future = found->second;
    const size_t known = sequence.tokens.size() - prompt.size();
    std::vector<int32_t>& guesses = sequence.drafts.tokens;
    for (size_t i = known; i < future.size() && std::ssize(guesses) < most; ++i) {
      const bool right = std::uniform_real_distribution()(random_) < acceptance_;
      const auto wrong = static_cast<int32_t>((future[i] + 1) % vocab_size_);
      guesses.push_back(right ? future[i] : wrong);
    }
    return {.num_drafts = std::ssize(guesses)};
  }

 private:
  double acceptance_;
  int64_t vocab_size_;
  std::mt19937_64 random_;
  std::array<float, 1> priors_;
  std::map<std::pair<std::vector<int32_t>, int>, std::vector<int32_t>> futures_;
};

}  // namespace dray::testing
