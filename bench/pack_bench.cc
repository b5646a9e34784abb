// How fast are weights packed when a model loads? Dense and transposed sources of every format.
#include <fmt/format.h>

#include <vector>

#include "base/check.h"
#include "bench/machine_limits.h"
#include "cli/flags/flags.h"
#include "kernels/backend.h"
#include "kernels/make_backend.h"

namespace dray::bench {
namespace {

using kernels::WeightFormat;

struct Case {
  DType source;
  WeightFormat format;
  const char* order;
};

void Measure(kernels::Backend& backend, MachineLimits& limits, const Case& c) {
  constexpr int64_t kRows = 16384, kCols = 8192;
  std::vector<std::byte> source(static_cast<size_t>(kRows * kCols) * SizeOf(c.source),
                                std::byte{0x3C});
  auto matrix = std::move(backend.packer().AllocateMatrix({kRows, kCols, c.format})).value();
  const bool dense = std::string_view(c.order) == "dense";
  const kernels::SourceRows rows{source.data(), c.source,          kRows,
                                 kCols,         dense ? kCols : 1, dense ? 1 : kRows};
  std::vector<double> seconds, bandwidth;
  for (int i = 0; i < 4; ++i) {
    bandwidth.push_back(limits.ReadBandwidth());
    const Stopwatch watch;
    DRAY_CHECK(backend.packer().PackRows(matrix, 0, rows).ok());
    if (i > 0) seconds.push_back(watch.Seconds());
  }
  // The processor reads each cache line before it writes it, so written bytes count twice.
  const double traffic = static_cast<double>(source.size() + 2 * matrix.size_bytes());
  fmt::print("{:>5} to {:>4} {:>10}: {:>6.2f} GB/s of source, traffic {:.2f} of read bandwidth\n",
             Name(c.source), kernels::Name(c.format), c.order,
             static_cast<double>(source.size()) / Median(seconds) * 1e-9,
             traffic / Median(seconds) / Median(bandwidth));
}

int Main(int argc, char** argv) {
  int threads = 0;
  const auto exit_code =
      cli::ParseFlags("How fast weights are packed",
                      {{.names = "--threads", .target = &threads, .help = "0: one per processor"},
                       {.names = "--processor-time",
                        .target = Stopwatch::UseProcessorTime,
                        .help = "of one thread, for busy machines; use with --threads 1"}},
                      argc, argv);
  if (exit_code) return *exit_code;
  const auto backend = std::move(kernels::MakeBackend({.cpu = {.num_threads = threads}})).value();
  MachineLimits limits(threads);
  fmt::print("{}\n", backend->Describe());
  for (const char* order : {"dense", "transposed"}) {
    Measure(*backend, limits, {DType::kBF16, WeightFormat::kBF16, order});
    Measure(*backend, limits, {DType::kF16, WeightFormat::kF16, order});
    Measure(*backend, limits, {DType::kF32, WeightFormat::kF32, order});
    Measure(*backend, limits, {DType::kF32, WeightFormat::kBF16, order});
    Measure(*backend, limits, {DType::kF16, WeightFormat::kBF16, order});
  }
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::GuardedMain(argc, argv, dray::bench::Main); }
