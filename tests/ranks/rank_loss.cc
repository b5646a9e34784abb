#include "ranks/rank_loss.h"

#include <signal.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "attack/started_server.h"
#include "testing/http_client.h"
#include "testing/process_state.h"

namespace dray::ranks {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kNumClients = 3;
// As long as a client waits for an answer; a recovery takes less than a tenth of that.
constexpr int kAnswerMs = 120'000;

const std::vector<std::string> kPrompts = {"Once upon a time", "The little dog",
                                           "One day in summer", "Lily and her brother",
                                           "There was a big tree"};

std::string BodyOf(const std::string& prompt, int num_tokens) {
  return R"({"inputs":")" + prompt + R"(","parameters":{"max_new_tokens":)" +
         std::to_string(num_tokens) + "}}";
}

// Asks again and again, and compares.
class Clients {
 public:
  Clients(uint16_t port, LossReport& report) : port_(port), report_(report) {
    for (const std::string& prompt : kPrompts) {
      expected_.push_back(Ask(port, prompt, kNumTokens).value_or(""));
    }
    for (size_t i = 0; i < kNumClients; ++i) threads_.emplace_back([this, i] { Run(i); });
  }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;
  ~Clients() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  static constexpr int kNumTokens = 60;

  void Run(size_t client) {
    for (size_t i = client; !stop_; ++i) {
      const size_t prompt = i % kPrompts.size();
      const auto answer = Ask(port_, kPrompts[prompt], kNumTokens);
      const std::lock_guard lock(mutex_);
      ++report_.num_answers;
      if (!answer) ++report_.num_lost;
      if (answer && *answer != expected_[prompt]) ++report_.num_wrong;
    }
  }

  const uint16_t port_;
  LossReport& report_;  // guarded by mutex_ while the clients run
  std::vector<std::string> expected_;
  std::mutex mutex_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// Reads what the server and mpirun print: a server whose output is not read waits when the pipe is full.
class OutputReader {
 public:
  explicit OutputReader(testing::Process& process)
      : thread_([this, &process] {
          while (!stop_) process.ReadLine(kPeriodMs);
        }) {}
  OutputReader(const OutputReader&) = delete;
  OutputReader& operator=(const OutputReader&) = delete;
  ~OutputReader() {
    stop_ = true;
    thread_.join();
  }

 private:
  static constexpr int kPeriodMs = 50;

  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// The processes of the ranks; empty while they are not all there.
std::vector<pid_t> Ranks(pid_t server, const LossPlan& plan) {
  std::vector<pid_t> ranks = testing::ChildrenOf(server);
  if (plan.over_mpi)
    ranks = ranks.size() == 1 ? testing::ChildrenOf(ranks.front()) : std::vector<pid_t>();
  if (static_cast<int>(ranks.size()) != plan.num_ranks) ranks.clear();
  return ranks;
}

// The time until the server answers again, in milliseconds; nothing if it does not.
std::optional<double> LoseOne(attack::StartedServer& server, const LossPlan& plan, int signal,
                              std::mt19937& random) {
  std::vector<pid_t> ranks;
  const auto deadline = Clock::now() + std::chrono::milliseconds(kAnswerMs);
  while (ranks.empty() && Clock::now() < deadline) {
    ranks = Ranks(server.process().pid(), plan);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 100));
  }
  if (ranks.empty()) return std::nullopt;
  const auto start = Clock::now();
  ::kill(ranks[random() % ranks.size()], signal);
  if (!Ask(server.port(), kPrompts.front(), 1)) return std::nullopt;
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

}  // namespace

std::optional<std::string> Ask(uint16_t port, const std::string& prompt, int num_tokens) {
  testing::HttpClient client(port);
  if (!client.connected() || !client.SendPost("/invocations", BodyOf(prompt, num_tokens))) {
    return std::nullopt;
  }
  const auto response = client.ReadResponse(kAnswerMs);
  if (!response || response->status != 200) return std::nullopt;
  return response->body;
}

LossReport LoseRanks(const std::string& program, const LossPlan& plan) {
  LossReport report;
  std::vector<std::string> flags = plan.flags;
  flags.insert(flags.end(),
               {"--oversubscribe", "true", "--rank-timeout", std::to_string(kRankTimeoutSeconds)});
  attack::StartedServer server(program, flags);
  if (server.port() == 0) {
    report.failure = server.process().output();
    return report;
  }
  std::mt19937 random(plan.seed);
  {
    const OutputReader reader(server.process());
    const Clients clients(server.port(), report);
    const auto lose = [&](int count, int signal, std::vector<double>& times) {
      for (int i = 0; i < count; ++i) {
        const auto time = LoseOne(server, plan, signal, random);
        if (time) times.push_back(*time);
        if (!time) ++report.num_not_recovered;
      }
    };
    lose(plan.num_kills, SIGKILL, report.kill_ms);
    lose(plan.num_stops, SIGSTOP, report.stop_ms);
  }
  return report;
}

}  // namespace dray::ranks
