// A line on the terminal that shows how far some long work is; silent when standard error is
// not a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "cli/human.h"

namespace dray::cli {

class ProgressLine {
 public:
  // "loading", and how an amount of what is done reads.
  explicit ProgressLine(const char* verb, std::string (*amount)(uint64_t) = HumanBytes);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Update(uint64_t done, uint64_t total);

 private:
  const char* verb_;
  std::string (*amount_)(uint64_t);
  bool is_terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace dray::cli
