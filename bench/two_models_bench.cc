// What do two models lose by sharing the processors? Each model has clients that ask again as soon as
// they have their answer. Each round measures the first model alone, both together, and the second one
// alone, so that other work on the machine changes their ratio little. A measurement ends with the
// answers that are under way after its time, so that all of them have as many prompt tokens for a new
// token. Together the models should make at least 95 % of the tokens that one of them makes alone.
//
//   two_models_bench MODEL_DIR [--second DIR] [--dummy] [--threads N] [--clients 4] [--prompt 64]
//                    [--new 64] [--seconds 5] [--rounds 7]
#include <fmt/format.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "bench/machine_limits.h"
#include "bench/statistics.h"
#include "cli/flags/flags.h"
#include "engine/token_engine.h"

namespace dray::bench {
namespace {

struct Options {
  std::string model_dir;
  std::string second_dir;
  bool dummy = false;
  int threads = 0;
  int64_t clients = 4;
  int64_t prompt_tokens = 64;
  int64_t new_tokens = 64;
  double seconds = 5;
  int rounds = 7;
};

// The clients of one model. Every answer is followed by the next request until AskNoMore.
class Clients {
 public:
  Clients(engine::Engine& engine, const Options& options) : engine_(engine), options_(options) {}

  void Start() {
    stop_ = false;
    num_open_ = options_.clients;
    for (int64_t i = 0; i < options_.clients; ++i) Ask(i);
  }
  void AskNoMore() { stop_ = true; }
  // Waits for the answers that are under way, after AskNoMore.
  void Wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return num_open_ == 0; });
  }
  int64_t num_tokens() const { return num_tokens_; }

 private:
  class Sink final : public engine::EventSink {
   public:
    Sink(Clients& clients, int64_t client) : clients_(clients), client_(client) {}
    void OnEvent(engine::Event event) override {
      if (std::holds_alternative<engine::TokenEvent>(event)) ++clients_.num_tokens_;
      if (std::holds_alternative<engine::RequestEndEvent>(event)) clients_.OnEnd(client_);
    }

   private:
    Clients& clients_;
    const int64_t client_;
  };

  void Ask(int64_t client) {
    engine::GenerateRequest request;
    std::mt19937_64 random(static_cast<uint64_t>(client));
    for (int64_t i = 0; i < options_.prompt_tokens; ++i) {
      request.prompt.push_back(
          static_cast<int32_t>(random() % static_cast<uint64_t>(engine_.limits().vocab_size)));
    }
    request.params.max_new_tokens = options_.new_tokens;
    request.params.ignore_eos = true;
    DRAY_CHECK(engine_.Submit(std::move(request), std::make_shared<Sink>(*this, client)).ok());
  }
  void OnEnd(int64_t client) {
    if (!stop_) return Ask(client);
    const std::lock_guard lock(mutex_);
    if (--num_open_ == 0) ended_.notify_all();
  }

  engine::Engine& engine_;
  const Options& options_;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> num_tokens_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  int64_t num_open_ = 0;
};

// What a time span cost.
struct Span {
  double tokens_per_second = 0;
  double processor_us_per_token = 0;
  double switches_per_token = 0;  // threads that went to sleep
};

int64_t NumTokens(const std::vector<Clients*>& all) {
  int64_t sum = 0;
  for (const Clients* clients : all) sum += clients->num_tokens();
  return sum;
}

double Microseconds(const timeval& time) {
  return 1e6 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec);
}

Span Measure(const std::vector<Clients*>& all, const Options& options) {
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  const int64_t first = NumTokens(all);
  const Stopwatch watch;
  for (Clients* clients : all) clients->Start();
  std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
  for (Clients* clients : all) clients->AskNoMore();
  for (Clients* clients : all) clients->Wait();
  const double seconds = watch.Seconds();
  const auto tokens = static_cast<double>(NumTokens(all) - first);
  ::getrusage(RUSAGE_SELF, &after);
  const double processor = Microseconds(after.ru_utime) + Microseconds(after.ru_stime) -
                           Microseconds(before.ru_utime) - Microseconds(before.ru_stime);
  return {.tokens_per_second = tokens / seconds,
          .processor_us_per_token = processor / tokens,
          .switches_per_token = static_cast<double>(after.ru_nvcsw - before.ru_nvcsw) / tokens};
}

Result<std::unique_ptr<engine::Engine>> Open(const std::string& dir, const Options& options) {
  engine::LoadModelOptions load{.model_dir = dir,
                                .backend_options = {.cpu = {.num_threads = options.threads}}};
  if (options.dummy) load.load_format = engine::LoadFormat::kDummy;
  DRAY_ASSIGN_OR_RETURN(auto model, engine::LoadModel(load));
  fmt::print("{}: {:.3f} GB packed, {}\n", dir, static_cast<double>(model->weight_bytes()) / 1e9,
             model->DescribeBackends());
  return engine::StartEngine(std::move(model),
                             {.max_sequences = options.clients,
                              .max_context_tokens = options.prompt_tokens + options.new_tokens});
}

void Print(const char* name, const Span& span) {
  fmt::print("  {:<8} {:9.1f} tok/s {:8.1f} us of processors and {:.3f} sleeps a token\n", name,
             span.tokens_per_second, span.processor_us_per_token, span.switches_per_token);
}

Status Run(const Options& options) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  DRAY_ASSIGN_OR_RETURN(const auto first_engine, Open(options.model_dir, options));
  DRAY_ASSIGN_OR_RETURN(
      const auto second_engine,
      Open(options.second_dir.empty() ? options.model_dir : options.second_dir, options));
  Clients first(*first_engine, options), second(*second_engine, options);
  std::vector<double> ratios, costs;
  for (int round = 0; round < options.rounds; ++round) {
    const Span alone = Measure({&first}, options);
    const Span both = Measure({&first, &second}, options);
    const Span other = Measure({&second}, options);
    Print("first", alone);
    Print("both", both);
    Print("second", other);
    const auto mean = [](double a, double b) { return (a + b) / 2; };
    ratios.push_back(both.tokens_per_second /
                     mean(alone.tokens_per_second, other.tokens_per_second));
    costs.push_back(both.processor_us_per_token /
                    mean(alone.processor_us_per_token, other.processor_us_per_token));
    fmt::print("  together {:.3f} of the tokens, each at {:.3f} of the processor time\n",
               ratios.back(), costs.back());
  }
  fmt::print("median: {:.3f} of the tokens ({:.3f} to {:.3f}), {:.3f} of the processor time\n",
             Median(ratios), Percentile(ratios, 0), Percentile(ratios, 1), Median(costs));
  return OkStatus();
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) {
  dray::bench::Options options;
  const auto exit_code = dray::cli::ParseFlags(
      "What two models lose by sharing the processors",
      {{.names = "model",
        .target = &options.model_dir,
        .help = "Model directory",
        .is_required = true},
       {.names = "--second",
        .target = &options.second_dir,
        .help = "The second model, of about the same size; default: the same"},
       {.names = "--dummy",
        .target = &options.dummy,
        .help = "Random weights; only config.json is read"},
       {.names = "--threads", .target = &options.threads, .help = "Threads; 0: all processors"},
       {.names = "--clients", .target = &options.clients, .help = "Clients of each model"},
       {.names = "--prompt", .target = &options.prompt_tokens, .help = "Tokens of each prompt"},
       {.names = "--new", .target = &options.new_tokens, .help = "New tokens of each answer"},
       {.names = "--seconds", .target = &options.seconds, .help = "Seconds of each measurement"},
       {.names = "--rounds", .target = &options.rounds, .help = "Rounds"}},
      argc, argv);
  if (exit_code) return *exit_code;
  const dray::Status status = dray::bench::Run(options);
  if (!status.ok()) fmt::print(stderr, "{}\n", status.message());
  return status.ok() ? 0 : 1;
}
