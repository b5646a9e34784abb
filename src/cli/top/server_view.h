// What `dray top` shows: rates and latencies of the last seconds, computed from samples.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/top/server_sample.h"

namespace dray::cli {

// A quantile of a histogram, in seconds.
struct Quantile {
  double seconds = 0;
  // The value lies above the histogram's last bound, which `seconds` is.
  bool is_beyond = false;
};

// The value below which the share `share` of the values lies that were counted between the two samples. Inside a
// bucket, values are taken to be spread evenly. Nothing if no value was counted, or if the histograms have
// different bounds. `before` may be empty: then all values of `now` count.
std::optional<Quantile> QuantileBetween(const BucketCounts& before, const BucketCounts& now,
                                        double share);

struct Latency {
  std::optional<Quantile> p50;
  std::optional<Quantile> p95;
};

struct ModelView {
  std::string name;     // as it can be printed
  std::string version;  // likewise
  ModelStatus status;   // likewise
  // Nothing until the model is loaded.
  std::optional<ModelNumbers> numbers;
  // A second.
  double prompt_token_rate = 0;
  double generated_token_rate = 0;
  // Sequences of a step, on average; 0 if there was no step.
  double batch = 0;
  Latency queue_time;
  Latency time_to_first_token;
  Latency time_per_token;
  Latency request_time;
  // Generated tokens a second, one entry for each sample, the newest last.
  std::vector<double> token_rates;
};

struct ServerView {
  ServerSample now;  // its models are left out
  double up_seconds = 0;
  // Processors that are busy, on average.
  double busy_processors = 0;
  // [i]: answers with a status of i00 to i99, a second.
  std::array<double, 6> response_rates{};
  // Over how long latencies were taken; nothing: since the models were loaded.
  std::optional<double> window_seconds;
  std::vector<ModelView> models;
};

// `text` with a question mark in place of each byte that is no printable ASCII: names and messages come from the
// server, and must not move the cursor or change colors.
std::string Printable(const std::string& text);

// The samples of the last seconds.
class SampleHistory {
 public:
  // Latencies are those of the last `window_seconds`, or without it those since a model was loaded.
  explicit SampleHistory(std::optional<double> window_seconds) : window_seconds_(window_seconds) {}

  // Samples must be added in the order in which they were taken. After one of a server that was started anew, all
  // older ones are forgotten.
  void Add(ServerSample sample);
  bool empty() const { return samples_.empty(); }
  // What there is to show, at the Unix time `now_seconds`; the history must not be empty. Rates are those since the
  // sample before the last. Latencies of a model with one sample only are those since it was loaded.
  ServerView View(double now_seconds) const;

 private:
  using ModelKey = std::pair<std::string, std::string>;  // name and version

  void RememberRates();
  ModelView ViewModel(const ModelEntry& entry) const;

  const std::optional<double> window_seconds_;
  // At least the last two samples, and all of the window.
  std::deque<ServerSample> samples_;
  std::map<ModelKey, std::deque<double>> token_rates_;
};

}  // namespace dray::cli
