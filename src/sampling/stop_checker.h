// Finds stop strings in a stream of text. A stop string may be spread over several tokens, so text
// that may be the beginning of one is held back, and no more than that.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dray::sampling {

enum class StopText { kExclude, kInclude };  // whether the stop string itself is output

// The stop string that is complete first ends the text; of several that end at the same byte, the
// longest does. The result does not depend on how the text was cut into pieces.
class StopChecker {
 public:
  // No stop string may be empty.
  StopChecker(std::span<const std::string> stop_strings, StopText stop_text);

  // Takes the next piece of text. Returns the text that can be output now, valid until the next
  // call; after a stop, "".
  std::string_view Push(std::string_view piece);

  // Call this when the sequence ends for another reason. Returns the text that was held back.
  std::string_view Flush();

  // The index of the stop string that ended the text, or -1.
  int stop_index() const { return stop_index_; }
  bool stopped() const { return stop_index_ >= 0; }

 private:
  // A stop string, and how many of its first bytes the text so far ends with (Knuth, Morris and
  // Pratt).
  struct Pattern {
    std::string text;
    std::vector<int32_t> fallback;  // [matched length]: the next shorter match to try
    int32_t num_matched = 0;
  };

  static int32_t Advance(const Pattern& pattern, int32_t num_matched, char byte);
  // Feeds one byte to every pattern; returns the longest one that is now complete, or -1.
  int AdvanceAll(char byte);
  size_t NumHeldBack() const;

  std::vector<Pattern> patterns_;
  StopText stop_text_;
  std::string buffer_;     // the text that the last call returned, then the text held back
  size_t num_output_ = 0;  // length of the first part
  int stop_index_ = -1;
};

}  // namespace dray::sampling
