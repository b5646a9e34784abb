#include "ranks/user_job_loss.h"

#include <signal.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <thread>

#include "base/testing/source_dir.h"
#include "ranks/rank_loss.h"
#include "testing/http_client.h"
#include "testing/process.h"
#include "testing/process_state.h"

namespace dray::ranks {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a job may take to end or to start before the tool gives up.
constexpr milliseconds kLongestWait(60'000);
constexpr size_t kNumRanks = 2;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

template <typename Condition>
bool WaitUntil(const Condition& condition) {
  const auto deadline = Clock::now() + kLongestWait;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

class UserJobs {
 public:
  explicit UserJobs(const std::string& program)
      : group_({"/usr/bin/env", "RESTART_DELAY=0", SourceDir() / "deploy/group/serve-group",
                "mpirun", "-np", std::to_string(kNumRanks), "--allow-run-as-root",
                "--oversubscribe", "--bind-to", "none", program, "serve", "demo", "--port", "0",
                "--oversubscribe", "true"}) {}

  UserJobs(const UserJobs&) = delete;
  UserJobs& operator=(const UserJobs&) = delete;
  // Ends the job in order: a killed script would leave mpirun behind.
  ~UserJobs() {
    group_.Signal(SIGTERM);
    group_.Wait();
  }

  // Waits until a job serves. False if none does.
  bool AwaitServer() {
    const auto line = group_.ReadUntil("serving demo on http", kLongestWait.count());
    if (!line) return false;
    port_ = static_cast<uint16_t>(std::atoi(line->substr(line->rfind(':') + 1).c_str()));
    return Ask(port_, "Once", 1).has_value();
  }

  // Kills a rank while tokens are generated. False if the job does not end, or none serves after it.
  bool Lose(size_t rank, JobLossReport& report) {
    const std::vector<pid_t> processes = Processes();
    if (processes.empty()) return false;
    testing::HttpClient client(port_);
    client.SendPost("/invocations", R"({"inputs":"Once","parameters":{"max_new_tokens":400}})");
    const size_t printed = group_.output().size();
    const auto start = Clock::now();
    ::kill(processes[1 + rank], SIGKILL);
    const auto is_gone = [](pid_t process) { return testing::StateOf(process).letter == '-'; };
    for (const pid_t process : processes) {
      if (!WaitUntil([&] { return is_gone(process); })) return false;
    }
    report.end_ms.push_back(MillisecondsSince(start));
    if (!AwaitServer()) return false;
    report.serve_ms.push_back(MillisecondsSince(start));
    const std::string told = group_.output().substr(printed);
    const bool has_reason = told.find("process rank") != std::string::npos ||
                            told.find("dray rank") != std::string::npos;
    report.num_without_reason += has_reason ? 0 : 1;
    return true;
  }

  const std::string& output() const { return group_.output(); }

 private:
  // mpirun, and the ranks in their order; empty if they do not come.
  std::vector<pid_t> Processes() const {
    std::vector<pid_t> found;
    WaitUntil([&] {
      for (const pid_t child : testing::ChildrenOf(group_.pid())) {
        const auto ranks = testing::ChildrenOf(child);
        if (ranks.size() != kNumRanks) continue;
        found = {child};
        found.insert(found.end(), ranks.begin(), ranks.end());
      }
      return !found.empty();
    });
    return found;
  }

  testing::Process group_;
  uint16_t port_ = 0;
};

}  // namespace

JobLossReport LoseUserJobs(const std::string& program, int num_kills) {
  JobLossReport report;
  UserJobs jobs(program);
  bool serves = jobs.AwaitServer();
  for (int i = 0; serves && i < num_kills; ++i) {
    serves = jobs.Lose(static_cast<size_t>(i) % kNumRanks, report);
  }
  if (!serves) report.failure = jobs.output();
  return report;
}

}  // namespace dray::ranks
