#include "cli/top/server_view.h"

#include <algorithm>
#include <cmath>

namespace dray::cli {
namespace {

// The most entries of ModelView::token_rates: more than a wide terminal has columns.
constexpr size_t kMostRates = 400;

// How much a counter has grown in each second; 0 if it began anew.
double Rate(double before, double now, double seconds) {
  return seconds > 0 && now > before ? (now - before) / seconds : 0;
}

// The numbers that `now` can be compared with: those of the older sample, unless the model was not there yet or was
// loaded anew since then, so that its counters began anew.
const ModelNumbers* Earlier(const ServerSample& older, const ModelEntry& now) {
  const ModelEntry* const entry = older.FindModel(now.name, now.version);
  if (entry == nullptr || !entry->numbers || !now.numbers) return nullptr;
  const bool began_anew = now.numbers->steps < entry->numbers->steps ||
                          now.numbers->prompt_tokens < entry->numbers->prompt_tokens;
  return began_anew ? nullptr : &*entry->numbers;
}

// `before`: the numbers of `seconds` earlier; null if there are none.
void SetRates(const ModelNumbers* before, double seconds, ModelView& view) {
  if (before == nullptr) return;
  const ModelNumbers& now = *view.numbers;
  view.prompt_token_rate = Rate(before->prompt_tokens, now.prompt_tokens, seconds);
  view.generated_token_rate = Rate(before->generated_tokens, now.generated_tokens, seconds);
  view.batch = Rate(before->step_sequences, now.step_sequences, now.steps - before->steps);
}

Latency LatencyBetween(const BucketCounts& before, const BucketCounts& now) {
  return {QuantileBetween(before, now, 0.5), QuantileBetween(before, now, 0.95)};
}

// `before`: the numbers at the window's beginning; null: the times since the model was loaded count.
void SetLatencies(const ModelNumbers* before, ModelView& view) {
  static const ModelNumbers nothing;
  if (before == nullptr) before = &nothing;
  const ModelNumbers& now = *view.numbers;
  view.queue_time = LatencyBetween(before->queue_time, now.queue_time);
  view.time_to_first_token = LatencyBetween(before->time_to_first_token, now.time_to_first_token);
  view.time_per_token = LatencyBetween(before->time_per_token, now.time_per_token);
  view.request_time = LatencyBetween(before->request_time, now.request_time);
}

}  // namespace

std::string Printable(const std::string& text) {
  std::string out = text;
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

std::optional<Quantile> QuantileBetween(const BucketCounts& before, const BucketCounts& now,
                                        double share) {
  if (now.counts.empty()) return std::nullopt;
  if (!before.counts.empty() && before.bounds != now.bounds) return std::nullopt;
  // [i]: how many of the counted values are at most now.bounds[i].
  std::vector<double> counts = now.counts;
  for (size_t i = 0; i < before.counts.size(); ++i) counts[i] -= before.counts[i];
  const double wanted = share * counts.back();
  if (!(wanted > 0)) return std::nullopt;
  const auto bucket = static_cast<size_t>(
      std::find_if(counts.begin(), counts.end(), [&](double count) { return count >= wanted; }) -
      counts.begin());
  if (bucket == counts.size()) return std::nullopt;
  const double low = bucket == 0 ? 0 : now.bounds[bucket - 1];
  if (std::isinf(now.bounds[bucket])) return Quantile{low, true};
  const double below = bucket == 0 ? 0 : counts[bucket - 1];
  const double part = (wanted - below) / (counts[bucket] - below);
  return Quantile{low + (now.bounds[bucket] - low) * part, false};
}

void SampleHistory::Add(ServerSample sample) {
  if (!samples_.empty() && samples_.back().start_seconds != sample.start_seconds) {
    samples_.clear();
    token_rates_.clear();
  }
  samples_.push_back(std::move(sample));
  // The second sample stays while the first one is only just outside the window.
  const double oldest = samples_.back().taken_seconds - window_seconds_.value_or(0);
  while (samples_.size() > 2 && samples_[1].taken_seconds <= oldest) samples_.pop_front();
  if (samples_.size() > 1) RememberRates();
}

void SampleHistory::RememberRates() {
  const ServerSample& now = samples_.back();
  const ServerSample& last = samples_[samples_.size() - 2];
  std::map<ModelKey, std::deque<double>> kept;
  for (const ModelEntry& entry : now.models) {
    if (!entry.numbers) continue;
    std::deque<double>& rates = kept[{entry.name, entry.version}];
    rates = std::move(token_rates_[{entry.name, entry.version}]);
    const ModelNumbers* const before = Earlier(last, entry);
    rates.push_back(before == nullptr
                        ? 0
                        : Rate(before->generated_tokens, entry.numbers->generated_tokens,
                               now.taken_seconds - last.taken_seconds));
    if (rates.size() > kMostRates) rates.pop_front();
  }
  token_rates_ = std::move(kept);
}

ModelView SampleHistory::ViewModel(const ModelEntry& entry) const {
  ModelView view;
  view.name = Printable(entry.name);
  view.version = Printable(entry.version);
  view.status = entry.status;
  view.status.state = Printable(entry.status.state);
  view.status.failure = Printable(entry.status.failure);
  view.numbers = entry.numbers;
  if (!entry.numbers) return view;
  const ServerSample& now = samples_.back();
  if (samples_.size() > 1) {
    const ServerSample& last = samples_[samples_.size() - 2];
    SetRates(Earlier(last, entry), now.taken_seconds - last.taken_seconds, view);
  }
  SetLatencies(window_seconds_ && samples_.size() > 1 ? Earlier(samples_.front(), entry) : nullptr,
               view);
  const auto rates = token_rates_.find({entry.name, entry.version});
  if (rates != token_rates_.end()) view.token_rates = {rates->second.begin(), rates->second.end()};
  return view;
}

ServerView SampleHistory::View(double now_seconds) const {
  ServerView view;
  view.now = samples_.back();
  view.up_seconds = std::max(0.0, now_seconds - view.now.start_seconds);
  const ServerSample& last = samples_.size() > 1 ? samples_[samples_.size() - 2] : view.now;
  const double seconds = view.now.taken_seconds - last.taken_seconds;
  view.busy_processors = Rate(last.cpu_seconds, view.now.cpu_seconds, seconds);
  for (size_t i = 0; i < view.response_rates.size(); ++i) {
    view.response_rates[i] = Rate(last.responses[i], view.now.responses[i], seconds);
  }
  if (window_seconds_ && samples_.size() > 1) {
    view.window_seconds = view.now.taken_seconds - samples_.front().taken_seconds;
  }
  for (const ModelEntry& entry : samples_.back().models) view.models.push_back(ViewModel(entry));
  view.now.models.clear();
  return view;
}

}  // namespace dray::cli
