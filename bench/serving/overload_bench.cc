// What does a server do with ten times the requests that it can answer?
//
//   build/release/bench/overload_bench build/release/dray --model echo --seconds 120
//
// First measures the most that the server answers: clients that ask again as soon as they have an answer keep
// its batch and half of its queue full. Then requests arrive by themselves at ten times that rate, and after them
// the clients come again. Several rounds of floods, with the peak measured between them, tell the server's loss from
// the speed of the machine, which changes from minute to minute where others share it. Every answer is compared with
// the expected one, and the server's memory is read each second. The load has one processor of its own, the server
// has the others.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/machine_limits.h"
#include "bench/statistics.h"
#include "cli/flags/flags.h"
#include "http_load.h"
#include "measured_server.h"
#include "testing/http_client.h"

namespace dray::bench {
namespace {

constexpr double kMegabyte = 1 << 20;
// With the server's default of 1024 connections, some are left for others.
constexpr size_t kMostConnections = 1000;
// Until buffers and pools have grown to what the load needs.
constexpr size_t kSettledSeconds = 10;

// What must hold. The peak of a flood is the mean of the rates before and after it. An answer waits for a full queue
// and a full batch before it, at the rate that nine of ten seconds exceed, and for a quarter of that, since rates
// differ within a second, too.
constexpr double kLeastGoodput = 0.9;
constexpr double kMostWait = 1.25;
constexpr double kMostGrowthMegabytes = 4;

struct Flags {
  std::string dray;
  std::string model = "echo";
  int64_t rounds = 1;
  double seconds = 120;
  double peak_seconds = 15;
  double factor = 10;
  size_t queue = 64;
  size_t batch = 32;
  int echo_interval_ms = 2;
  int new_tokens = 128;
};

std::vector<std::string> Command(const Flags& flags) {
  std::vector<std::string> command = {flags.dray,
                                      "serve",
                                      flags.model,
                                      "--port",
                                      "0",
                                      "--job-queue-size",
                                      std::to_string(flags.queue),
                                      "--max-rolling-batch-size",
                                      std::to_string(flags.batch)};
  if (flags.model == "echo") {
    command.insert(command.end(), {"--echo-interval", std::to_string(flags.echo_interval_ms)});
  }
  return command;
}

using MakeExchange = std::function<HttpExchange(uint64_t number)>;

// A text of its own for each request.
HttpExchange EchoExchange(uint64_t number) {
  const std::string text =
      fmt::format("request {:012}, word {}", number, number * 2654435761U % 997);
  return {MakePost("/invocations", fmt::format(R"({{"inputs": "{}"}})", text)),
          fmt::format(R"({{"generated_text":"{}"}})", text)};
}

// The requests of a model that computes: a few prompts, whose greedy answers the idle server gives first.
MakeExchange AskForAnswers(uint16_t port, int new_tokens) {
  constexpr std::array<std::string_view, 8> kPrompts = {
      "Once upon a time", "One day", "The little dog",  "Lily and Ben",
      "It was raining",   "A big",   "In the park, he", "The sun"};
  std::vector<HttpExchange> exchanges;
  for (const std::string_view prompt : kPrompts) {
    const std::string body = fmt::format(
        R"({{"inputs": "{}", "parameters": {{"max_new_tokens": {}, "ignore_eos_token": true}}}})",
        prompt, new_tokens);
    const auto answer = testing::Post(port, "/invocations", body);
    if (!answer || answer->status != 200) {
      fmt::print(stderr, "no answer to {}\n", body);
      std::exit(1);
    }
    exchanges.push_back({MakePost("/invocations", body), answer->body});
  }
  return [exchanges](uint64_t number) { return exchanges[number % exchanges.size()]; };
}

// One stage of the run.
struct Stage {
  HttpLoadResult result;
  std::vector<double> megabytes;  // [s]: after s + 1 seconds

  double Goodput() const { return static_cast<double>(result.answered) / result.seconds; }
};

Stage RunStage(const MeasuredServer& server, HttpLoad load) {
  Stage stage;
  load.port = server.port();
  load.on_second = [&] {
    stage.megabytes.push_back(static_cast<double>(server.ResidentBytes()) / kMegabyte);
  };
  stage.result = RunLoad(load);
  return stage;
}

void PrintStage(const char* name, const Stage& stage) {
  const HttpLoadResult& result = stage.result;
  fmt::print("| {} | {:.0f} | {:.1f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {} | {:.1f} |\n", name,
             result.seconds, stage.Goodput(), 1000 * Percentile(result.answered_seconds, 0.5),
             1000 * Percentile(result.answered_seconds, 0.99),
             static_cast<double>(result.refused) / result.seconds,
             1000 * Percentile(result.refused_seconds, 0.99), result.wrong + result.broken,
             stage.megabytes.empty() ? 0 : stage.megabytes.back());
}

// A line for each thing that must hold.
bool Judge(std::string_view what, double value, double limit, bool holds) {
  fmt::print("- {}: {:.3f}, limit {:.3f}: {}\n", what, value, limit, holds ? "ok" : "MISSED");
  return holds;
}

// At which the slower seconds of a stage answer.
double SlowRate(const Stage& stage) {
  const auto& counts = stage.result.answered_each_second;
  const auto num_seconds = std::min(counts.size(), static_cast<size_t>(stage.result.seconds));
  const std::vector<double> rates(counts.begin(),
                                  counts.begin() + static_cast<std::ptrdiff_t>(num_seconds));
  return std::max(1.0, Percentile(rates, 0.1));
}

// The floods, and the peaks before, between and after them.
struct Stages {
  std::vector<Stage> floods;
  std::vector<Stage> peaks;  // one more

  double ShareOfPeak(size_t round) const {
    return 2 * floods[round].Goodput() / (peaks[round].Goodput() + peaks[round + 1].Goodput());
  }
};

double MedianShareOfPeak(const Stages& stages) {
  std::vector<double> shares;
  for (size_t i = 0; i < stages.floods.size(); ++i) shares.push_back(stages.ShareOfPeak(i));
  return Median(shares);
}

// From the settled part of the first flood to the end of the last.
double GrowthMegabytes(const Stages& stages) {
  const auto& first = stages.floods.front().megabytes;
  const auto& last = stages.floods.back().megabytes;
  if (first.size() <= kSettledSeconds || last.empty()) return 0;
  return last.back() - first[kSettledSeconds];
}

bool JudgeFlood(const Flags& flags, const Stage& flood) {
  const double p99 = Percentile(flood.result.answered_seconds, 0.99);
  const double longest =
      kMostWait * static_cast<double>(flags.queue + flags.batch) / SlowRate(flood);
  const auto wrong = static_cast<double>(flood.result.wrong + flood.result.broken);
  bool all = Judge("p99 of an answer, s", p99, longest, p99 <= longest);
  all &= Judge("wrong or broken answers", wrong, 0, wrong == 0);
  if (flood.result.unsent > 0) {
    fmt::print("- {} requests were not sent: {} were unanswered\n", flood.result.unsent,
               kMostConnections);
  }
  if (wrong > 0) fmt::print("- the first wrong answer: {}\n", flood.result.first_wrong);
  return all;
}

bool JudgeAll(const Flags& flags, const Stages& stages) {
  bool all = true;
  for (const Stage& flood : stages.floods) all &= JudgeFlood(flags, flood);
  const double share = MedianShareOfPeak(stages);
  const double growth = GrowthMegabytes(stages);
  all &= Judge("answers a second, of the peak (median of the floods)", share, kLeastGoodput,
               share >= kLeastGoodput);
  all &= Judge(fmt::format("memory after {} s to the end, MiB more", kSettledSeconds), growth,
               kMostGrowthMegabytes, growth <= kMostGrowthMegabytes);
  return all;
}

Stages MeasureRounds(const MeasuredServer& server, const Flags& flags, const MakeExchange& make) {
  const HttpLoad clients{.port = 0,
                         .connections = flags.batch + flags.queue / 2,
                         .seconds = flags.peak_seconds,
                         .rate = 0,
                         .make = make};
  Stages stages;
  stages.peaks.push_back(RunStage(server, clients));
  for (int64_t i = 0; i < flags.rounds; ++i) {
    stages.floods.push_back(RunStage(server, {.port = 0,
                                              .connections = kMostConnections,
                                              .seconds = flags.seconds,
                                              .rate = flags.factor * stages.peaks.back().Goodput(),
                                              .make = make}));
    stages.peaks.push_back(RunStage(server, clients));
  }
  return stages;
}

void PrintRun(const Flags& flags, const Stages& stages) {
  fmt::print("{}: a batch of {}, a queue of {}; {:.0f} requests/s arrive in the first flood\n\n",
             flags.model, flags.batch, flags.queue, flags.factor * stages.peaks[0].Goodput());
  fmt::print(
      "| | s | answers/s | median ms | p99 ms | refused/s | p99 ms | wrong | MiB at the end |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
  PrintStage("peak", stages.peaks[0]);
  for (size_t i = 0; i < stages.floods.size(); ++i) {
    PrintStage("flood", stages.floods[i]);
    PrintStage("peak", stages.peaks[i + 1]);
  }
  fmt::print("\n");
}

int Measure(const Flags& flags) {
  // The load is not to take the server's processors, as it would not if it came from another machine.
  std::vector<int> cpus = UsableProcessors();
  const std::vector<int> of_load = {cpus.back()};
  if (cpus.size() > 1) cpus.pop_back();
  const MeasuredServer server(Command(flags), cpus);
  UseProcessors(of_load);
  const MakeExchange make = flags.model == "echo" ? MakeExchange(EchoExchange)
                                                  : AskForAnswers(server.port(), flags.new_tokens);
  const Stages stages = MeasureRounds(server, flags, make);
  PrintRun(flags, stages);
  return JudgeAll(flags, stages) ? 0 : 1;
}

int Run(int argc, char** argv) {
  Flags flags;
  const auto exit_code = cli::ParseFlags(
      "What a server does with more requests than it can answer.",
      {{.names = "dray",
        .target = &flags.dray,
        .help = "The program to measure",
        .is_required = true},
       {.names = "--model", .target = &flags.model, .help = "echo or demo"},
       {.names = "--rounds",
        .target = &flags.rounds,
        .help = "Floods, with the peak measured between them",
        .check = cli::FlagLimits<int64_t>{1, 1000}},
       {.names = "--seconds",
        .target = &flags.seconds,
        .help = "Of a flood",
        .check = cli::FlagLimits<double>{1.0, 1e6}},
       {.names = "--peak-seconds",
        .target = &flags.peak_seconds,
        .help = "Of the stages before and after a flood",
        .check = cli::FlagLimits<double>{1.0, 1e6}},
       {.names = "--factor", .target = &flags.factor, .help = "Of the peak rate, in the flood"},
       {.names = "--queue", .target = &flags.queue, .help = "Requests that the server lets wait"},
       {.names = "--batch",
        .target = &flags.batch,
        .help = "Requests that the server computes together"},
       {.names = "--echo-interval",
        .target = &flags.echo_interval_ms,
        .help = "Milliseconds for a token of echo"},
       {.names = "--new-tokens", .target = &flags.new_tokens, .help = "Of an answer of demo"}},
      argc, argv);
  if (exit_code) return *exit_code;
  if (flags.model != "echo" && flags.model != "demo") {
    fmt::print(stderr, "overload_bench: --model {}: it must be echo or demo\n", flags.model);
    return 1;
  }
  return Measure(flags);
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::GuardedMain(argc, argv, dray::bench::Run); }
