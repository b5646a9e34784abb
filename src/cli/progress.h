// A line on the terminal that shows how far loading is; silent when standard error is not a
// terminal.
#pragma once

#include <chrono>
#include <cstdint>

namespace dray::cli {

class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Update(uint64_t done_bytes, uint64_t total_bytes);

 private:
  bool is_terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace dray::cli
