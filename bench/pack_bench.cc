// How fast are weights packed when a model loads? Dense and transposed sources of every format, floats
// that become integers, and the sums of squares that balance needs beside these.
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "bench/machine_limits.h"
#include "cli/flags/flags.h"
#include "kernels/backend.h"
#include "kernels/make_backend.h"

namespace dray::bench {
namespace {

using kernels::WeightForm;
using kernels::WeightFormat;

constexpr int64_t kRows = 16384, kCols = 8192;

struct Case {
  DType source;
  WeightForm form;
  std::string_view order;
};

// A matrix of numbers of `dtype`.
struct Source {
  std::vector<std::byte> bytes;
  kernels::SourceRows rows;

  Source(DType dtype, std::string_view order)
      : bytes(static_cast<size_t>(kRows * kCols) * SizeOf(dtype), std::byte{0x3C}) {
    const bool dense = order == "dense";
    rows = {bytes.data(), dtype, kRows, kCols, dense ? kCols : 1, dense ? 1 : kRows};
  }
};

void Measure(kernels::Backend& backend, MachineLimits& limits, const Case& c) {
  const Source source(c.source, c.order);
  auto matrix =
      std::move(backend.packer().AllocateMatrix(kernels::MatrixSpec::Of(kRows, kCols, c.form)))
          .value();
  std::vector<double> seconds, bandwidth;
  for (int i = 0; i < 4; ++i) {
    bandwidth.push_back(limits.ReadBandwidth());
    const Stopwatch watch;
    DRAY_CHECK(backend.packer().PackRows(matrix, 0, source.rows).ok());
    if (i > 0) seconds.push_back(watch.Seconds());
  }
  // The processor reads each cache line before it writes it, so written bytes count twice.
  const double traffic = static_cast<double>(source.bytes.size() + 2 * matrix.size_bytes());
  fmt::print("{:>5} to {} {}: {:.2f} GB/s of source, traffic {:.2f} of read bandwidth\n",
             Name(c.source), kernels::Name(c.form), c.order,
             static_cast<double>(source.bytes.size()) / Median(seconds) * 1e-9,
             traffic / Median(seconds) / Median(bandwidth));
}

void MeasureSquares(kernels::Backend& backend, DType dtype) {
  const Source source(dtype, "dense");
  std::vector<double> columns(static_cast<size_t>(kCols)), rows(static_cast<size_t>(kRows)),
      seconds;
  const std::vector<float> ones(static_cast<size_t>(kCols), 1.0f);
  for (int i = 0; i < 4; ++i) {
    const Stopwatch watch;
    backend.packer().AddSquares(source.rows, {columns, rows, ones});
    if (i > 0) seconds.push_back(watch.Seconds());
  }
  fmt::print("{:>5} squares: {:.2f} GB/s of source\n", Name(dtype),
             static_cast<double>(source.bytes.size()) / Median(seconds) * 1e-9);
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
    Measure(*backend, limits, {DType::kBF16, WeightFormat::kF16, order});
    Measure(*backend, limits, {DType::kBF16, WeightFormat::kF32, order});
  }
  for (const WeightForm& form :
       {WeightForm{WeightFormat::kI8}, WeightForm{WeightFormat::kI8, 64},
        WeightForm{WeightFormat::kI4, 32}, WeightForm{WeightFormat::kI4, 64},
        WeightForm{WeightFormat::kI4, 64, kernels::ZeroPoint::kPerGroup}}) {
    Measure(*backend, limits, {DType::kBF16, form, "dense"});
  }
  MeasureSquares(*backend, DType::kBF16);
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::GuardedMain(argc, argv, dray::bench::Main); }
