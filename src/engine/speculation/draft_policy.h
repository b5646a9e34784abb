// Decides how many tokens are guessed: as many as give the most tokens a second. It knows how many
// guesses were accepted so far, and learns what a row costs from steps with different numbers of
// rows. Its decisions change the speed, never the tokens.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace dray::engine {

// Sorts of guesses whose acceptance is tracked apart.
inline constexpr int kNumDraftKinds = 3;

// How a sequence's guesses of each kind have done so far.
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

// The time of a step that only decoded.
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

  // The record of a new sequence, which begins with the recent acceptance of all sequences.
  DraftRecord NewRecord() const { return recent_; }

  // Returns how many of the `most` offered guesses to take while `num_sequences` decode together.
  int64_t NumDrafts(DraftRecord& record, int kind, int64_t most, int64_t num_sequences) const;

  // Of `num_drafts` guesses the first `num_accepted` were right; the next one, if any, was wrong.
  void Learn(DraftRecord& record, int kind, int64_t num_drafts, int64_t num_accepted);

  // Compares the step with the last one. A single time may be far off, so only the direction
  // counts: whether a cost seems higher or lower than the estimate. So the estimate goes to the
  // median.
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
