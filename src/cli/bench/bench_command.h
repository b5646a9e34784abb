// `dray bench`: measures how fast a model is on this machine, or a server under load.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "bench/model_bench.h"
#include "cli/bench/bench_load.h"
#include "cli/flags/flags.h"
#include "cli/model_options.h"

namespace dray::cli {

struct BenchArguments {
  ModelArguments model;
  enum class Mode { kMicro, kGrid, kBatchTable, kTexts, kMixedTexts, kLimits } mode = Mode::kMicro;
  enum class Format { kTable, kJson, kCsv } format = Format::kTable;
  std::string html;  // the file of the page; "": no page
  LoadArguments load;

  std::vector<bench::MicroKind> kinds;  // empty: all

  // Empty: the default of the mode.
  std::vector<int64_t> inputs;
  std::vector<int64_t> outputs;
  std::vector<int64_t> batches;
  int64_t prompt = 512;
  int64_t repeats = 3;
  int64_t seed = 1;
  int64_t num_beams = 1;
  int64_t bandwidth_mib = 512;

  // Stated in the report.
  std::string version;
  std::string command_line;
};

// `arguments` must live until parsing is done.
void AddBenchOptions(Command command, BenchArguments& arguments);

// Prints the report to `out` and writes the page. Returns 0, or 1 after an error, or 130 after
// Ctrl-C; then the report has the results up to that moment.
int RunBench(const BenchArguments& arguments, std::ostream& out, std::ostream& err);

}  // namespace dray::cli
