// Loses ranks of servers in every kind of group, 50 by SIGKILL and 20 by SIGSTOP each, and judges what
// clients noticed: rank_loss_tool build/release/dray [kills stops]. Then kills as many ranks of jobs that a
// user has started by mpirun, and judges how the jobs end. Takes some minutes. Exits with 1 if a request was lost or
// answered with another text, or if a user's job did not end as it should.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "ranks/rank_loss.h"
#include "ranks/user_job_loss.h"

namespace dray::ranks {
namespace {

constexpr int kKills = 50;
constexpr int kStops = 20;

struct Case {
  std::string name;
  LossPlan plan;
};

std::vector<Case> Cases() {
  const auto of = [](const std::string& transport, int ranks_in_stage, int num_stages) {
    LossPlan plan;
    plan.flags = {"--rank-transport",           transport,
                  "--tensor-parallel-degree",   std::to_string(ranks_in_stage),
                  "--pipeline-parallel-degree", std::to_string(num_stages)};
    plan.num_ranks = ranks_in_stage * num_stages;
    plan.over_mpi = transport == "mpi";
    return Case{fmt::format("{}, {} x {}", transport, ranks_in_stage, num_stages), plan};
  };
  return {of("processes", 2, 1), of("processes", 1, 2), of("processes", 2, 2), of("mpi", 2, 1),
          of("mpi", 1, 2)};
}

std::string Times(std::vector<double> times) {
  if (times.empty()) return "-";
  std::sort(times.begin(), times.end());
  return fmt::format("{:.0f} / {:.0f}", times[times.size() / 2], times.back());
}

bool Judge(const std::string& program, int num_kills, int num_stops) {
  fmt::print("{:<18} {:>8} {:>5} {:>6} {:>12} {:>18} {:>18}\n", "ranks", "answers", "lost", "wrong",
             "not recovered", "kill: ms, most", "stop: ms, most");
  bool is_good = true;
  for (Case& one : Cases()) {
    one.plan.num_kills = num_kills;
    one.plan.num_stops = num_stops;
    const LossReport report = LoseRanks(program, one.plan);
    if (!report.failure.empty()) fmt::print(stderr, "{}: {}\n", one.name, report.failure);
    fmt::print("{:<18} {:>8} {:>5} {:>6} {:>12} {:>18} {:>18}\n", one.name, report.num_answers,
               report.num_lost, report.num_wrong, report.num_not_recovered, Times(report.kill_ms),
               Times(report.stop_ms));
    std::fflush(stdout);
    is_good = is_good && report.failure.empty() && report.num_lost == 0 && report.num_wrong == 0 &&
              report.num_not_recovered == 0;
  }
  return is_good;
}

// Within which a user's job must end, and say why.
constexpr double kMostEndMs = 5000;

bool JudgeUserJobs(const std::string& program, int num_kills) {
  const JobLossReport report = LoseUserJobs(program, num_kills);
  if (!report.failure.empty()) fmt::print(stderr, "a user's job: {}\n", report.failure);
  fmt::print("\n{:<18} {:>8} {:>15} {:>22} {:>24}\n", "mpirun of a user", "kills", "without reason",
             "all ended: ms, most", "serves again: ms, most");
  fmt::print("{:<18} {:>8} {:>15} {:>22} {:>24}\n", "2 x 1", report.end_ms.size(),
             report.num_without_reason, Times(report.end_ms), Times(report.serve_ms));
  const bool in_time = std::all_of(report.end_ms.begin(), report.end_ms.end(),
                                   [](double time) { return time <= kMostEndMs; });
  return report.failure.empty() && report.num_without_reason == 0 && in_time;
}

}  // namespace
}  // namespace dray::ranks

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) {
    fmt::print(stderr, "usage: rank_loss_tool DRAY [KILLS STOPS]\n");
    return 2;
  }
  const int num_kills = argc == 4 ? std::atoi(argv[2]) : dray::ranks::kKills;
  const int num_stops = argc == 4 ? std::atoi(argv[3]) : dray::ranks::kStops;
  const bool recovers = dray::ranks::Judge(argv[1], num_kills, num_stops);
  const bool ends = dray::ranks::JudgeUserJobs(argv[1], num_kills);
  return recovers && ends ? 0 : 1;
}
