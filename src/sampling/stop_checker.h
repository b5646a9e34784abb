// Stop strings in a stream of text. They may straddle token boundaries, so text that may yet turn
// out to be the beginning of one is held back, and no more than that.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dray::sampling {

enum class StopText { kExclude, kInclude };  // whether the stop string itself is output

// The outcome does not depend on how the text was cut into pieces: the stop string that is complete
// first ends the text, and of several that end at the same byte, the longest.
class StopChecker {
 public:
  // `stop_strings` must not be empty strings.
  StopChecker(std::span<const std::string> stop_strings, StopText stop_text);

  // Takes the next piece of text; returns what is safe to output, valid until the next call. After
  // a stop, "".
  std::string_view Push(std::string_view piece);

  // The sequence is over for another reason: returns what was held back.
  std::string_view Flush();

  // The index of the stop string that ended the text, or -1.
  int stop_index() const { return stop_index_; }
  bool stopped() const { return stop_index_ >= 0; }

 private:
  // One stop string and how many of its first bytes the text ends with (Knuth, Morris and Pratt).
  struct Pattern {
    std::string text;
    std::vector<int32_t> fallback;  // by matched length: the next shorter match
    int32_t num_matched = 0;
  };

  static int32_t Advance(const Pattern& pattern, int32_t num_matched, char byte);
  // Feeds one byte to every pattern; returns the longest one that is now complete, or -1.
  int AdvanceAll(char byte);
  size_t NumHeldBack() const;

  std::vector<Pattern> patterns_;
  StopText stop_text_;
  std::string buffer_;     // what was output last, then what is held back
  size_t num_output_ = 0;  // bytes of the former
  int stop_index_ = -1;
};

}  // namespace dray::sampling
