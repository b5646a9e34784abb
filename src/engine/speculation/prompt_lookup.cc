#include "engine/speculation/prompt_lookup.h"

#include <algorithm>
#include <array>

namespace dray::engine {
namespace {

class PromptLookup final : public Drafter {
 public:
  PromptLookup(int64_t min, int64_t max) : min_(min), max_(max) {}

  std::span<const float> Priors() const override {
    // For matches of 1, of 2, and of 3 or more tokens. Guessing pays from about 0.4 on, so short
    // matches are first tried with single guesses (DraftPolicy::NumDrafts).
    static constexpr std::array<float, kNumDraftKinds> kPriors = {0.2F, 0.4F, 0.6F};
    return kPriors;
  }

  DraftOffer Offer(Sequence& sequence, int64_t most) override {
    const LookupMatch match = FindLatestMatch(sequence.tokens, min_, max_);
    if (match.length == 0) return {};
    CopyFromMatch(sequence.tokens, match, most, sequence.drafts.tokens);
    return {.num_drafts = most,
            .kind = static_cast<int>(std::min<int64_t>(match.length, kNumDraftKinds)) - 1};
  }

 private:
  int64_t min_;
  int64_t max_;
};

}  // namespace

LookupMatch FindLatestMatch(std::span<const int32_t> tokens, int64_t min, int64_t max) {
  const auto size = static_cast<int64_t>(tokens.size());
  const int32_t* const last = tokens.data() + size - 1;
  LookupMatch best;
  for (int64_t i = size - 2; i >= 0 && best.length < max; --i) {
    const int32_t* const candidate = tokens.data() + i;
    if (*candidate != *last) continue;
    int64_t length = 1;
    while (length < max && length <= i && candidate[-length] == last[-length]) ++length;
    if (length > best.length) best = {.length = length, .next = i + 1};
  }
  return best.length < min ? LookupMatch() : best;
}

void CopyFromMatch(std::span<const int32_t> tokens, const LookupMatch& match, int64_t count,
                   std::vector<int32_t>& drafts) {
  for (int64_t i = 0; i < count; ++i) {
    const auto from = static_cast<size_t>(match.next + i);
    drafts.push_back(from < tokens.size() ? tokens[from] : drafts[from - tokens.size()]);
  }
}

std::unique_ptr<Drafter> MakePromptLookup(int64_t min, int64_t max) {
  return std::make_unique<PromptLookup>(min, max);
}

}  // namespace dray::engine
