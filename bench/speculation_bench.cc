// What does speculation gain and cost? First measures steps of one sequence with more and more
// rows. Then measures decoding with guesses of a known quality, by prompt lookup and by a draft
// model. Each kind takes turns, step by step, with decoding without guesses, so that other work on
// the machine does not change their ratio.
//
//   speculation_bench MODEL_DIR [--dummy] [--dtype int8] [--threads N] [--prompt 64] [--new 96]
//                     [--sequences 1,4,8] [--acceptance 0,0.5,0.8,0.95,1] [--draft DIR]
#include <fmt/format.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/machine_limits.h"
#include "bench/statistics.h"
#include "cli/flags/flags.h"
#include "engine/engine_core.h"
#include "engine/runner/cache_size.h"
#include "engine/runner/make_runner.h"
#include "engine/speculation/model_drafter.h"
#include "engine/speculation/prompt_lookup.h"
#include "testing/oracle_drafter.h"

namespace dray::bench {
namespace {

using engine::EngineCore;
using engine::EngineStats;
using engine::GenerateRequest;
using engine::LoadedModel;

struct Options {
  std::string model_dir;
  std::string draft_dir;
  std::string dtype;
  bool dummy = false;
  int threads = 0;
  int64_t prompt_tokens = 64;
  int64_t new_tokens = 96;
  std::vector<int64_t> sequences = {1, 4, 8};
  std::vector<double> acceptances = {0, 0.5, 0.8, 0.95, 1};
  std::vector<int64_t> rows = {1, 2, 3, 4, 5, 6, 8, 9, 12, 16, 17, 24, 32};
  int rounds = 15;
};

class TokenSink : public engine::EventSink {
 public:
  void OnEvent(engine::Event event) override {
    if (const auto* token = std::get_if<engine::TokenEvent>(&event)) ids.push_back(token->token.id);
  }
  std::vector<int32_t> ids;
};

Result<std::unique_ptr<LoadedModel>> Load(const Options& options, const std::string& dir) {
  engine::LoadModelOptions load{.model_dir = dir,
                                .backend_options = {.cpu = {.num_threads = options.threads}}};
  if (options.dummy) load.load_format = engine::LoadFormat::kDummy;
  if (options.dtype == "f32") load.format = kernels::WeightFormat::kF32;
  if (options.dtype == "bf16") load.format = kernels::WeightFormat::kBF16;
  if (options.dtype == "int8") load.format = kernels::WeightFormat::kI8;
  if (options.dtype == "int4") load.format = kernels::WeightFormat::kI4;
  return engine::LoadModel(load);
}

// The seconds of a step of one sequence that computes `rows` tokens and the logits of each.
class RowTimer {
 public:
  RowTimer(LoadedModel& model, const Options& options, int64_t most_rows)
      : context_(options.prompt_tokens) {
    const int64_t num_blocks = (context_ + most_rows) / kBlockSize + 1;
    const engine::RunnerSpec spec = {.cache = {.num_blocks = num_blocks,
                                               .block_size = kBlockSize,
                                               .dtype = engine::KvDType(model, {})},
                                     .step = {.max_batch_tokens = most_rows,
                                              .max_sequences = 1,
                                              .max_logit_rows = most_rows,
                                              .max_table_entries = num_blocks}};
    runner_ = std::move(engine::MakeRunner(model, spec)).value();
    for (int64_t i = 0; i < num_blocks; ++i) table_.emplace_back(static_cast<int32_t>(i));
    const int64_t vocab_size = model.description.config.vocab_size;
    for (int64_t i = 0; i < context_ + most_rows; ++i) {
      tokens_.push_back(static_cast<int32_t>((17 * i) % vocab_size));
    }
  }

  double Seconds(int64_t rows) {
    step_.Clear();
    step_.AppendRows({.first_position = context_,
                      .num_rows = rows,
                      .num_prompt_tokens = context_,
                      .known = tokens_,
                      .block_table = table_},
                     kBlockSize);
    for (int64_t i = 0; i < rows; ++i) step_.logit_rows.push_back(static_cast<int32_t>(i));
    const Stopwatch watch;
    runner_->Submit(step_);
    for (engine::StepPiece piece; !piece.is_last;) {
      piece = runner_->Collect();
      DRAY_CHECK(piece.status.ok());
    }
    return watch.Seconds();
  }

 private:
  static constexpr int64_t kBlockSize = 32;

  int64_t context_;
  std::unique_ptr<engine::ModelRunner> runner_;
  engine::RunnerStep step_;
  std::vector<int32_t> tokens_;
  std::vector<BlockId> table_;
};

void MeasureRows(LoadedModel& model, const Options& options) {
  RowTimer timer(model, options, options.rows.back());
  std::vector<std::vector<double>> ratios(options.rows.size());
  std::vector<double> singles;
  for (int round = 0; round < options.rounds; ++round) {
    for (size_t i = 0; i < options.rows.size(); ++i) {
      const double single = timer.Seconds(1);
      singles.push_back(single);
      ratios[i].push_back(timer.Seconds(options.rows[i]) / single);
    }
  }
  fmt::print("a step of one row: {:.1f} ms; of more, in units of that (and each further row):\n",
             1e3 * Median(singles));
  for (size_t i = 0; i < options.rows.size(); ++i) {
    const double ratio = Median(ratios[i]);
    const auto more = static_cast<double>(options.rows[i] - 1);
    fmt::print("  {:>3} rows {:6.2f}  ({:.3f})\n", options.rows[i], ratio,
               more > 0 ? (ratio - 1) / more : 0.0);
  }
}

std::vector<GenerateRequest> MakeRequests(const LoadedModel& model, const Options& options,
                                          int64_t sequences) {
  std::vector<GenerateRequest> requests;
  for (int64_t i = 0; i < sequences; ++i) {
    std::mt19937_64 random(static_cast<uint64_t>(i));
    GenerateRequest request;
    for (int64_t j = 0; j < options.prompt_tokens; ++j) {
      request.prompt.push_back(static_cast<int32_t>(
          random() % static_cast<uint64_t>(model.description.config.vocab_size)));
    }
    // Tokens are drawn: with greedy choice, random weights would repeat one token forever.
    request.params.do_sample = true;
    request.params.seed = static_cast<uint64_t>(i);
    request.params.max_new_tokens = options.new_tokens;
    request.params.ignore_eos = true;
    requests.push_back(std::move(request));
  }
  return requests;
}

// A core whose requests are added and whose prompts are computed.
struct GeneratingRun {
  std::unique_ptr<EngineCore> core;
  std::vector<std::shared_ptr<TokenSink>> sinks;
  EngineStats start;
  double seconds = 0;

  GeneratingRun(LoadedModel& model, const Options& options,
                const std::vector<GenerateRequest>& requests,
                std::unique_ptr<engine::Drafter> drafter) {
    auto made = EngineCore::Make(model,
                                 {.max_sequences = std::ssize(requests),
                                  .max_context_tokens = options.prompt_tokens + options.new_tokens},
                                 std::move(drafter));
    core = std::move(made).value();
    for (size_t i = 0; i < requests.size(); ++i) {
      sinks.push_back(std::make_shared<TokenSink>());
      core->Add(RequestId(i + 1), requests[i], sinks.back());
    }
    while (sinks.back()->ids.empty()) core->Step();
    start = core->stats();
  }

  // Returns false when there is no step left.
  bool TimedStep() {
    const Stopwatch watch;
    const bool stepped = core->Step();
    if (stepped) seconds += watch.Seconds();
    return stepped;
  }

  double TokensPerSecond() const {
    return static_cast<double>(core->stats().generated_tokens - start.generated_tokens) / seconds;
  }
};

void Compare(LoadedModel& model, const Options& options, const std::string& name,
             const std::vector<GenerateRequest>& requests,
             std::unique_ptr<engine::Drafter> drafter) {
  GeneratingRun plain(model, options, requests, nullptr);
  GeneratingRun guessing(model, options, requests, std::move(drafter));
  for (bool more = true; more;) {
    more = plain.TimedStep();
    more = guessing.TimedStep() || more;
  }
  const EngineStats stats = guessing.core->stats();
  const auto drafted = static_cast<double>(stats.drafted_tokens);
  fmt::print(
      "{:>3} sequences, {:<18} {:7.2f} tok/s instead of {:7.2f}: {:5.2f} times; {:5.2f} tokens a "
      "step, {} of {} guesses right ({:.0f} %)\n",
      requests.size(), name, guessing.TokensPerSecond(), plain.TokensPerSecond(),
      guessing.TokensPerSecond() / plain.TokensPerSecond(),
      static_cast<double>(stats.generated_tokens - guessing.start.generated_tokens) /
          static_cast<double>(stats.steps - guessing.start.steps),
      stats.accepted_tokens, stats.drafted_tokens,
      drafted > 0 ? 100 * static_cast<double>(stats.accepted_tokens) / drafted : 0.0);
}

void MeasureSpeed(LoadedModel& model, LoadedModel* draft, const Options& options,
                  int64_t sequences) {
  const auto requests = MakeRequests(model, options, sequences);
  GeneratingRun truth(model, options, requests, nullptr);
  while (truth.core->Step()) {
  }
  for (const double acceptance : options.acceptances) {
    auto oracle = std::make_unique<testing::OracleDrafter>(
        acceptance, model.description.config.vocab_size, 0.5F);
    for (size_t i = 0; i < requests.size(); ++i) {
      oracle->Expect(requests[i].prompt, 0, truth.sinks[i]->ids);
    }
    Compare(model, options, fmt::format("{:.0f} % right", 100 * acceptance), requests,
            std::move(oracle));
  }
  Compare(model, options, "prompt lookup", requests, engine::MakePromptLookup(1, 4));
  // A text that repeats itself, because only few tokens are likely.
  auto circling = requests;
  for (GenerateRequest& request : circling) {
    for (size_t i = 0; i < 12; ++i) request.params.logit_bias.push_back({request.prompt[i], 100});
    request.params.temperature = 0.3;
  }
  Compare(model, options, "lookup in circles", circling, engine::MakePromptLookup(1, 4));
  if (draft == nullptr) return;
  auto drafter =
      engine::MakeDrafter(model, draft, {.method = engine::SpeculationMethod::kDraftModel});
  if (!drafter.ok()) {
    fmt::print("{}\n", drafter.status().message());
    return;
  }
  Compare(model, options, "draft model", requests, std::move(*drafter));
}

int Run(const Options& options) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  auto model = Load(options, options.model_dir);
  if (!model.ok()) {
    fmt::print(stderr, "{}\n", model.status().ToString());
    return 1;
  }
  std::unique_ptr<LoadedModel> draft;
  if (!options.draft_dir.empty()) {
    auto loaded = Load(options, options.draft_dir);
    if (!loaded.ok()) {
      fmt::print(stderr, "{}\n", loaded.status().ToString());
      return 1;
    }
    draft = std::move(*loaded);
  }
  fmt::print("{}: {:.2f} GB packed, {}\n", options.model_dir,
             static_cast<double>((*model)->weight_bytes()) / 1e9, (*model)->DescribeBackends());
  MachineLimits machine(options.threads);
  fmt::print("memory reads at {:.1f} GB/s\n", machine.ReadBandwidth() / 1e9);
  if (options.rounds > 0) MeasureRows(**model, options);
  for (const int64_t sequences : options.sequences) {
    MeasureSpeed(**model, draft.get(), options, sequences);
  }
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) {
  dray::bench::Options options;
  const auto exit_code = dray::cli::ParseFlags(
      "What speculation gains and costs",
      {{.names = "model",
        .target = &options.model_dir,
        .help = "Model directory",
        .is_required = true},
       {.names = "--draft", .target = &options.draft_dir, .help = "Draft model's directory"},
       {.names = "--dummy",
        .target = &options.dummy,
        .help = "Random weights; only config.json is read"},
       {.names = "--threads", .target = &options.threads, .help = "Threads; 0: all processors"},
       {.names = "--dtype",
        .target = &options.dtype,
        .help = "f32, bf16, int8 or int4; default: as stored"},
       {.names = "--prompt", .target = &options.prompt_tokens, .help = "Tokens of each prompt"},
       {.names = "--new", .target = &options.new_tokens, .help = "New tokens of each sequence"},
       {.names = "--sequences",
        .target = dray::cli::CommaList{&options.sequences},
        .help = "Numbers of sequences"},
       {.names = "--acceptance",
        .target = dray::cli::CommaList{&options.acceptances},
        .help = "Shares of right guesses"},
       {.names = "--rows",
        .target = dray::cli::CommaList{&options.rows},
        .help = "Rows of a step, ascending"},
       {.names = "--rounds",
        .target = &options.rounds,
        .help = "Repetitions of the rows' timing; 0: none"}},
      argc, argv);
  if (exit_code) return *exit_code;
  return dray::bench::Run(options);
}
