// How many tokens are guessed: as many as make the most tokens a second, by what was accepted so
// far and by what a row of a step costs, which is learnt from steps of different numbers of rows.
// Pure arithmetic; what it decides is never seen in the tokens.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace dray::engine {

// Sorts of guesses whose acceptance is tracked apart.
inline constexpr int kNumDraftKinds = 3;

// What a sequence's guesses of each kind have come to.
struct DraftRecord {
  struct Kind {
    float acceptance = 0;  // share of the guesses that are right if those before them are
    int32_t wait = 0;      // offers to let pass before a single guess is tried again
    int32_t interval = 0;  // the last wait's length
  };
  std::array<Kind, kNumDraftKinds> kinds = {};
};

// Time in units of a step with one row.
struct DraftCosts {
  double row = 0;    // of one more row in a step
  double guess = 0;  // of guessing one token
};

// What a step took that only decoded.
struct StepTime {
  int64_t rows = 0;          // known tokens and guesses
  double seconds = 0;        // of the model and the sampler
  int64_t guess_rounds = 0;  // the most guesses of any sequence
  double guess_seconds = 0;
};

class DraftPolicy {
 public:
  DraftPolicy() = default;
  // `priors`: acceptance of each kind, until there is better to know.
  DraftPolicy(const DraftCosts& costs, std::span<const float> priors);

  // For a new sequence: begins with what the sequences before it have come to.
  DraftRecord NewRecord() const { return recent_; }

  // How many of the up to `most` guesses on offer to take while `num_sequences` decode together.
  int64_t NumDrafts(DraftRecord& record, int kind, int64_t most, int64_t num_sequences) const;

  // Of `num_drafts` guesses the first `num_accepted` were right; the next one, if any, was wrong.
  void Learn(DraftRecord& record, int kind, int64_t num_drafts, int64_t num_accepted);

  // Compares the step with the last one. Single times may be far off: only whether a cost seems
  // higher or lower than believed counts, so that the belief goes to the median.
  void LearnCosts(const StepTime& step);
  // The steps before and after this are not to be compared.
  void BreakSeries() { last_step_ = {}; }

  const DraftCosts& costs() const { return costs_; }

 private:
  int64_t BestLength(double acceptance, int64_t most, int64_t num_sequences) const;

  DraftCosts costs_;
  DraftRecord recent_;
  StepTime last_step_;
};

}  // namespace dray::engine
