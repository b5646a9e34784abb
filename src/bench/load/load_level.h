// One level of load on a server: so many clients, each asking again as soon as it has its answer,
// or requests that arrive by themselves at a rate.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/load/dialect.h"
#include "bench/load/url.h"
#include "bench/model_run.h"

namespace dray::bench {

struct LoadTarget {
  Url url;
  CallOptions call;
  std::vector<std::string> headers;
  double timeout_seconds = 120;
};

struct LoadLevel {
  int64_t clients = 1;
  // Requests a second, arriving as a Poisson process, whatever is still unanswered; 0: closed loop.
  double rate = 0;
  // The level ends when so many were sent, or after so many seconds (0: no such limit), and
  // all are answered.
  int64_t requests = 1;
  double seconds = 0;
  uint64_t seed = 1;
};

struct LoadResult {
  double seconds = 0;  // from the first request to the last answer
  int64_t answered = 0;
  int64_t output_tokens = 0;
  // Prompt tokens of all answers, where the server tells them.
  int64_t prompt_tokens = 0;
  // Of each answer. With a rate, from when the request was due.
  std::vector<double> first_token_seconds;
  std::vector<double> seconds_per_token;  // between the first and the last; none for single tokens
  std::vector<double> total_seconds;
  std::map<std::string, int64_t> errors;  // by what they say
  bool interrupted = false;
};

// Runs the level; prompts are taken in turn from `prompts`, beginning at `first_prompt`. Returns
// when all requests are answered, or at once when `stop` says so.
LoadResult RunLevel(const LoadTarget& target, const LoadLevel& level,
                    const std::vector<std::string>& prompts, size_t first_prompt,
                    const StopCheck& stop);

}  // namespace dray::bench
