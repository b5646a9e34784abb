// Shows on a line of the terminal how far long work is. Silent if standard error is not a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/human.h"
#include "base/status.h"
#include "cli/model_options.h"
#include "serving/served_model.h"

namespace dray::cli {

class ProgressLine {
 public:
  // `verb`: what is done, e.g. "loading". `amount` writes an amount of it for people.
  explicit ProgressLine(const char* verb, std::string (*amount)(uint64_t) = HumanBytes);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Update(uint64_t done, uint64_t total);

 private:
  using Time = std::chrono::steady_clock::time_point;

  // ", 600.00 MB/s, 6 s left" at the time `last_`; nothing until there is a rate.
  std::string DescribePace(uint64_t done, uint64_t total) const;

  // The first update. The work begins then, not when the line is made.
  struct Start {
    Time time;
    uint64_t done;
  };

  const char* verb_;
  std::string (*amount_)(uint64_t);
  bool is_terminal_;
  bool shown_ = false;
  std::optional<Start> start_;
  Time last_{};
};

// Opens the model, with a progress line while its weights are read.
Result<std::shared_ptr<serving::ServedModel>> OpenWithProgress(const ResolvedModel& resolved);

}  // namespace dray::cli
