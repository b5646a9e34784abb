#include "sampling/stop_checker.h"

#include <algorithm>

namespace dray::sampling {

StopChecker::StopChecker(std::span<const std::string> stop_strings, StopText stop_text)
    : stop_text_(stop_text) {
  for (const std::string& text : stop_strings) {
    Pattern pattern{.text = text, .fallback = std::vector<int32_t>(text.size() + 1, 0)};
    for (size_t i = 1; i < text.size(); ++i) {
      pattern.fallback[i + 1] = Advance(pattern, pattern.fallback[i], text[i]);
    }
    patterns_.push_back(std::move(pattern));
  }
}

// `fallback` must be filled for lengths [0, num_matched], and num_matched must be less than the
// pattern's length.
int32_t StopChecker::Advance(const Pattern& pattern, int32_t num_matched, char byte) {
  while (num_matched > 0 && pattern.text[num_matched] != byte) {
    num_matched = pattern.fallback[num_matched];
  }
  return pattern.text[num_matched] == byte ? num_matched + 1 : 0;
}

int StopChecker::AdvanceAll(char byte) {
  int complete = -1;
  for (size_t i = 0; i < patterns_.size(); ++i) {
    Pattern& pattern = patterns_[i];
    pattern.num_matched = Advance(pattern, pattern.num_matched, byte);
    if (static_cast<size_t>(pattern.num_matched) < pattern.text.size()) continue;
    if (complete < 0 || pattern.text.size() > patterns_[complete].text.size()) {
      complete = static_cast<int>(i);
    }
  }
  return complete;
}

size_t StopChecker::NumHeldBack() const {
  int32_t longest = 0;
  for (const Pattern& pattern : patterns_) longest = std::max(longest, pattern.num_matched);
  return static_cast<size_t>(longest);
}

std::string_view StopChecker::Push(std::string_view piece) {
  buffer_.erase(0, num_output_);
  num_output_ = 0;
  if (stopped()) return {};
  for (const char byte : piece) {
    buffer_.push_back(byte);
    stop_index_ = AdvanceAll(byte);
    if (!stopped()) continue;
    if (stop_text_ == StopText::kExclude) {
      buffer_.resize(buffer_.size() - patterns_[stop_index_].text.size());
    }
    num_output_ = buffer_.size();
    return buffer_;
  }
  num_output_ = buffer_.size() - NumHeldBack();
  return std::string_view{buffer_}.substr(0, num_output_);
}

std::string_view StopChecker::Flush() {
  buffer_.erase(0, num_output_);
  num_output_ = buffer_.size();
  return buffer_;
}

}  // namespace dray::sampling
