// One level of load on a server: either a number of clients, each of which sends its next request
// as soon as it has its answer (a closed loop), or requests that arrive at a given rate (an open
// loop).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/load/dialect.h"
#include "bench/model_run.h"
#include "http/client/http_client.h"

namespace dray::bench {

struct LoadTarget {
  http::HttpServerAddress server;
  CallOptions call;
  std::vector<std::string> headers;
};

struct LoadLevel {
  int64_t clients = 1;
  // Requests a second. They arrive as a Poisson process, whether earlier ones are answered or not.
  // 0: a closed loop.
  double rate = 0;
  // The level sends requests until it has sent this many, or until `seconds` are over (0: no such
  // limit), and ends when all are answered.
  int64_t requests = 1;
  double seconds = 0;
  uint64_t seed = 1;
};

struct LoadResult {
  double seconds = 0;  // from the first request to the last answer
  int64_t answered = 0;
  int64_t output_tokens = 0;
  // Prompt tokens of all answers, as far as the server reports them.
  int64_t prompt_tokens = 0;
  // One time for each answer, measured from when its request was sent.
  std::vector<double> first_token_seconds;
  std::vector<double> seconds_per_token;  // between the first and the last; none for single tokens
  std::vector<double> total_seconds;
  std::map<std::string, int64_t> errors;  // [message]: how often it came
  bool interrupted = false;
};

// Runs the level. Takes the prompts in turn, beginning at `first_prompt`. Returns when all requests
// are answered, or soon after `stop` returns true.
LoadResult RunLevel(const LoadTarget& target, const LoadLevel& level,
                    const std::vector<std::string>& prompts, size_t first_prompt,
                    const StopCheck& stop);

}  // namespace dray::bench
