// What does dray add to a request beyond the bare transport?
//
//   build/release/bench/server_overhead_bench build/release/dray
//
// Measures `dray serve echo` in turn with a bare echo server on epoll: the time of one request after another
// over one connection; requests a second of a server that has one processor, loaded from the others; and what
// 1000 streams take of memory while they wait.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bench/machine_limits.h"
#include "bench/statistics.h"
#include "cli/flags/flags.h"
#include "epoll_echo.h"
#include "http_load.h"
#include "measured_server.h"

namespace dray::bench {
namespace {

constexpr const char* kEpollEcho = "serve-epoll-echo";
constexpr const char* kText = "Once upon a time";
constexpr size_t kNumStreams = 1000;

struct Flags {
  std::string dray;
  std::string self;
  int rounds = 9;
  int requests = 3000;
  size_t connections = 32;
  double seconds = 2;
};

// One of the two servers, with the request that both answer.
struct Subject {
  std::vector<std::string> command;
  HttpExchange exchange;
};

Subject Bare(const Flags& flags) {
  const std::string body = fmt::format("{{\"inputs\": \"{}\"}}", kText);
  return {{flags.self, kEpollEcho}, {MakePost("/invocations", body), body}};
}

Subject Dray(const Flags& flags) {
  Subject subject = Bare(flags);
  subject.command = {flags.dray, "serve", "echo", "--port", "0"};
  subject.exchange.answer = fmt::format("{{\"generated_text\":\"{}\"}}", kText);
  return subject;
}

// What is measured of one server in one round.
struct Round {
  double microseconds = 0;      // the median of a request
  double cpu_microseconds = 0;  // processor time of the server for a request
  double requests_per_second = 0;
};

Round MeasureLatency(const MeasuredServer& server, const Subject& subject, int requests) {
  const double cpu = server.CpuSeconds();
  const auto seconds = TimeExchanges(server.port(), subject.exchange, requests);
  return {.microseconds = 1e6 * Median(seconds),
          .cpu_microseconds = 1e6 * (server.CpuSeconds() - cpu) / requests,
          .requests_per_second = 0};
}

Round MeasureThroughput(const MeasuredServer& server, const Subject& subject, const Flags& flags) {
  const double cpu = server.CpuSeconds();
  const HttpLoadResult result = RunLoad({.port = server.port(),
                                         .connections = flags.connections,
                                         .seconds = flags.seconds,
                                         .make = [&](uint64_t) { return subject.exchange; }});
  if (result.wrong + result.broken + result.refused > 0) {
    fmt::print(stderr, "{} refused, {} wrong ({}), {} broken\n", result.refused, result.wrong,
               result.first_wrong, result.broken);
    std::exit(1);
  }
  const auto answered = static_cast<double>(result.answered);
  return {.microseconds = 0,
          .cpu_microseconds = 1e6 * (server.CpuSeconds() - cpu) / answered,
          .requests_per_second = answered / result.seconds};
}

// The values of one member, over all rounds.
std::vector<double> Column(const std::vector<Round>& rounds, double Round::*member) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const Round& round : rounds) values.push_back(round.*member);
  return values;
}

double Least(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}
double Most(const std::vector<double>& values) {
  return *std::max_element(values.begin(), values.end());
}

void CompareLatencies(const Flags& flags) {
  const Subject subjects[] = {Bare(flags), Dray(flags)};
  const MeasuredServer servers[] = {{subjects[0].command, UsableProcessors()},
                                    {subjects[1].command, UsableProcessors()}};
  std::vector<Round> rounds[2];
  std::vector<double> added;
  for (int round = 0; round <= flags.rounds; ++round) {
    Round measured[2];
    for (int i : {0, 1}) measured[i] = MeasureLatency(servers[i], subjects[i], flags.requests);
    if (round == 0) continue;  // the first one warms up
    for (int i : {0, 1}) rounds[i].push_back(measured[i]);
    added.push_back(measured[1].microseconds - measured[0].microseconds);
  }
  fmt::print("one connection, one request after another, {} rounds of {}; us\n", flags.rounds,
             flags.requests);
  fmt::print("| | median | least round | processor time |\n| --- | --- | --- | --- |\n");
  const char* const names[] = {"bare epoll echo", "dray"};
  for (int i : {0, 1}) {
    const auto times = Column(rounds[i], &Round::microseconds);
    fmt::print("| {} | {:.1f} | {:.1f} | {:.1f} |\n", names[i], Median(times), Least(times),
               Median(Column(rounds[i], &Round::cpu_microseconds)));
  }
  fmt::print(
      "added by dray: median of the rounds {:.1f} us, between the least rounds {:.1f} us\n\n",
      Median(added),
      Least(Column(rounds[1], &Round::microseconds)) -
          Least(Column(rounds[0], &Round::microseconds)));
}

void CompareThroughput(const Flags& flags) {
  const std::vector<int> cpus = UsableProcessors();
  if (cpus.size() < 2) {
    fmt::print("one processor only: requests a second are not measured\n\n");
    return;
  }
  const Subject subjects[] = {Bare(flags), Dray(flags)};
  const MeasuredServer servers[] = {{subjects[0].command, {cpus.front()}},
                                    {subjects[1].command, {cpus.front()}}};
  UseProcessors({cpus.begin() + 1, cpus.end()});
  std::vector<Round> rounds[2];
  for (int round = 0; round <= flags.rounds; ++round) {
    for (int i : {0, 1}) {
      const Round measured = MeasureThroughput(servers[i], subjects[i], flags);
      if (round > 0) rounds[i].push_back(measured);
    }
  }
  UseProcessors(cpus);
  fmt::print("the server on one processor, {} connections, {} rounds of {} s\n", flags.connections,
             flags.rounds, flags.seconds);
  fmt::print(
      "| | requests/s, median | most | processor time for a request, us: median | least |\n"
      "| --- | --- | --- | --- | --- |\n");
  const char* const names[] = {"bare epoll echo", "dray"};
  for (int i : {0, 1}) {
    const auto rates = Column(rounds[i], &Round::requests_per_second);
    const auto cpu = Column(rounds[i], &Round::cpu_microseconds);
    fmt::print("| {} | {:.0f} | {:.0f} | {:.1f} | {:.1f} |\n", names[i], Median(rates), Most(rates),
               Median(cpu), Least(cpu));
  }
  fmt::print("\n");
}

// Each stream has its first token and waits a minute for the next.
void MeasureStreams(const Flags& flags) {
  const std::string streams = std::to_string(kNumStreams);
  const MeasuredServer server({flags.dray, "serve", "echo", "--port", "0", "--echo-interval",
                               "60000", "--max-rolling-batch-size", streams, "--max-connections",
                               std::to_string(kNumStreams + 1), "--output-formatter", "sse"},
                              UsableProcessors());
  const std::string request =
      MakePost("/invocations", fmt::format("{{\"inputs\": \"{}\", \"stream\": true}}", kText));
  constexpr double kMegabyte = 1 << 20;
  const auto megabytes = [&] { return static_cast<double>(server.ResidentBytes()) / kMegabyte; };
  { const OpenStreams warm_up(server.port(), request, 1); }
  const double before = megabytes();
  const OpenStreams open(server.port(), request, kNumStreams);
  const double after = megabytes();
  fmt::print("{} waiting streams: from {:.1f} to {:.1f} MiB, {:.1f} MiB more, {:.1f} KiB each\n",
             kNumStreams, before, after, after - before,
             (after - before) * 1024 / static_cast<double>(kNumStreams));
}

int Run(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == kEpollEcho) return ServeEpollEcho();
  Flags flags;
  flags.self = "/proc/self/exe";
  const auto exit_code = cli::ParseFlags(
      "What dray adds to a request beyond the bare transport.",
      {{.names = "dray",
        .target = &flags.dray,
        .help = "The program to measure",
        .is_required = true},
       {.names = "--rounds",
        .target = &flags.rounds,
        .help = "Of each measurement",
        .check = cli::FlagLimits<int64_t>{1, 1000}},
       {.names = "--requests",
        .target = &flags.requests,
        .help = "Of each round, one after another",
        .check = cli::FlagLimits<int64_t>{10, 1'000'000}},
       {.names = "--connections",
        .target = &flags.connections,
        .help = "That load the server at the same time",
        .check = cli::FlagLimits<int64_t>{1, 1000}},
       {.names = "--seconds", .target = &flags.seconds, .help = "Of each round under load"}},
      argc, argv);
  if (exit_code) return *exit_code;
  CompareLatencies(flags);
  CompareThroughput(flags);
  MeasureStreams(flags);
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::GuardedMain(argc, argv, dray::bench::Run); }
