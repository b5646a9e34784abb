#include "bench/load/load_level.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <random>
#include <utility>

#include "bench/load/reply_reader.h"
#include "bench/machine_limits.h"
#include "http/client/http_client.h"

namespace dray::bench {
namespace {

namespace asio = boost::asio;

constexpr auto kStopInterval = std::chrono::milliseconds(50);
// The most connections of an open loop. With more unanswered requests the server is far behind, and
// the process may run out of file descriptors.
constexpr size_t kMostConnections = 1000;
constexpr const char* kTooManyOpen = "not sent: 1000 requests were unanswered";

class LevelRun {
 public:
  LevelRun(const LoadTarget& target, const LoadLevel& level,
           const std::vector<std::string>& prompts, size_t first_prompt, StopCheck stop)
      : target_(target),
        level_(level),
        prompts_(prompts),
        next_prompt_(first_prompt),
        stop_(std::move(stop)),
        arrivals_(io_),
        stop_timer_(io_),
        random_(level.seed) {}

  LoadResult Run() {
    if (level_.rate > 0) {
      Arrive();
    } else {
      for (int64_t i = 0; i < level_.clients; ++i) SendNext(NewClient());
    }
    WatchStop();
    io_.run();
    return std::move(result_);
  }

 private:
  using Client = std::shared_ptr<http::HttpClient>;

  Client NewClient() {
    ++num_connections_;
    return http::MakeHttpClient(io_, target_.server);
  }

  bool MayStart() const {
    return num_sent_ < level_.requests &&
           (level_.seconds <= 0 || watch_.Seconds() < level_.seconds);
  }

  // Closed loop: sends the client's next request, or lets the client end.
  void SendNext(const Client& client) {
    if (MayStart()) {
      Send(client, watch_.Seconds());
    } else {
      EndIfDone();
    }
  }

  // Open loop: sends the request that is due now, and waits a random time for the next.
  void Arrive() {
    if (!MayStart()) return EndIfDone();
    if (!idle_.empty()) {
      const Client client = std::move(idle_.back());
      idle_.pop_back();
      Send(client, watch_.Seconds());
    } else if (num_connections_ < kMostConnections) {
      Send(NewClient(), watch_.Seconds());
    } else {
      ++num_sent_;
      ++result_.errors[kTooManyOpen];
    }
    next_arrival_ += std::exponential_distribution<double>(level_.rate)(random_);
    arrivals_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        std::chrono::duration<double>(std::max(0.0, next_arrival_ - watch_.Seconds()))));
    arrivals_.async_wait([this](const auto& error) {
      if (!error) Arrive();
    });
  }

  void Send(const Client& client, double start) {
    ++num_sent_;
    ++num_open_;
    const std::string& prompt = prompts_[next_prompt_++ % prompts_.size()];
    auto reader = std::make_shared<ReplyReader>(target_.call.api, target_.call.delivery);
    client->Send(
        {std::string(TargetOf(target_.call)), MakeBody(target_.call, prompt), target_.headers},
        [this, reader](std::string_view bytes) { return reader->Feed(bytes, watch_.Seconds()); },
        [this, client, reader, start](const Status& status) {
          const Status whole = status.ok() ? reader->Finish(watch_.Seconds()) : status;
          Take(whole, *reader, start);
          level_.rate > 0 ? idle_.push_back(client) : SendNext(client);
          EndIfDone();
        });
  }

  void Take(const Status& status, const ReplyReader& reader, double start) {
    --num_open_;
    const double now = watch_.Seconds();
    result_.seconds = now;
    if (!status.ok()) {
      ++result_.errors[status.message()];
      return;
    }
    ++result_.answered;
    result_.output_tokens += reader.num_tokens();
    result_.prompt_tokens += reader.prompt_tokens().value_or(0);
    const std::vector<double>& times = reader.token_times();
    result_.total_seconds.push_back(now - start);
    if (target_.call.delivery == Delivery::kWhole) return;
    result_.first_token_seconds.push_back(times.front() - start);
    if (reader.num_tokens() > 1 && times.size() > 1) {
      result_.seconds_per_token.push_back((times.back() - times.front()) /
                                          static_cast<double>(reader.num_tokens() - 1));
    }
  }

  void EndIfDone() {
    if (num_open_ > 0 || MayStart()) return;
    arrivals_.cancel();
    stop_timer_.cancel();
  }

  void WatchStop() {
    stop_timer_.expires_after(kStopInterval);
    stop_timer_.async_wait([this](const auto& error) {
      if (error) return;
      if (stop_ && stop_()) {
        result_.interrupted = true;
        io_.stop();
        return;
      }
      if (num_open_ > 0 || MayStart()) WatchStop();
    });
  }

  const LoadTarget& target_;
  const LoadLevel& level_;
  const std::vector<std::string>& prompts_;
  size_t next_prompt_;
  StopCheck stop_;
  LoadResult result_;
  asio::io_context io_;
  asio::steady_timer arrivals_;
  asio::steady_timer stop_timer_;
  std::mt19937_64 random_;
  Stopwatch watch_;
  double next_arrival_ = 0;
  std::vector<Client> idle_;
  size_t num_connections_ = 0;
  int64_t num_sent_ = 0;
  int64_t num_open_ = 0;
};

}  // namespace

LoadResult RunLevel(const LoadTarget& target, const LoadLevel& level,
                    const std::vector<std::string>& prompts, size_t first_prompt,
                    const StopCheck& stop) {
  return LevelRun(target, level, prompts, first_prompt, stop).Run();
}

}  // namespace dray::bench
