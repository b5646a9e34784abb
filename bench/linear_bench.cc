// How close is Linear to the machine's limits? Runs all linear layers of a 1.3 B model one after
// the other, with weights far larger than the caches, for several numbers of rows. Prints tokens a
// second and the share of the floor. The floor is the time to read the weights once or the time of
// the arithmetic, whichever is longer.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "bench/machine_limits.h"
#include "cli/flags/flags.h"
#include "kernels/backend.h"
#include "kernels/make_backend.h"
#include "kernels/testing/device_array.h"

namespace dray::bench {
namespace {

using kernels::Backend;
using kernels::DeviceArray;
using kernels::Inputs;
using kernels::LinearArgs;
using kernels::WeightForm;
using kernels::WeightFormat;
using kernels::WeightMatrix;
using kernels::ZeroPoint;

struct Options {
  std::string isa, format = "bf16";
  int threads = 0, layers = 6, repeats = 5;
  std::vector<int> rows = {1, 2, 4, 8, 12, 16, 32, 64, 128, 512};
};

struct NamedForm {
  std::string_view name;
  WeightForm form;
};
const NamedForm kForms[] = {
    {"f32", WeightFormat::kF32},
    {"f16", WeightFormat::kF16},
    {"bf16", WeightFormat::kBF16},
    {"int8", WeightFormat::kI8},
    {"int8_weight_only", {WeightFormat::kI8, 0, ZeroPoint::kNone, Inputs::kFloat}},
    {"int4", WeightFormat::kI4},
    {"int4_asym", {WeightFormat::kI4, 0, ZeroPoint::kPerGroup}},
};

struct Chain {
  std::vector<WeightMatrix> matrices;
  int64_t weights = 0;  // elements
  int64_t bytes = 0;
};

// Fills the weights with small numbers, which is faster than packing.
void Fill(Backend& backend, WeightMatrix& matrix) {
  std::array<uint16_t, 64 << 10> words;
  for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint16_t>(0x3000 + i % 64);
  for (size_t done = 0; done < matrix.size_bytes(); done += sizeof(words)) {
    const size_t bytes = std::min(sizeof(words), matrix.size_bytes() - done);
    DRAY_CHECK(backend.memory().CopyFromHost(matrix.data() + done, words.data(), bytes).ok());
  }
}

Chain MakeChain(Backend& backend, const Options& options, const WeightForm& form) {
  constexpr int64_t kHidden = 2048, kFfn = 8192, kVocab = 50272;
  Chain chain;
  const auto add = [&](int64_t rows, int64_t cols) {
    chain.matrices.push_back(
        std::move(backend.packer().AllocateMatrix(kernels::MatrixSpec::Of(rows, cols, form)))
            .value());
    Fill(backend, chain.matrices.back());
    chain.weights += rows * cols;
    chain.bytes += static_cast<int64_t>(chain.matrices.back().size_bytes());
  };
  for (int layer = 0; layer < options.layers; ++layer) {
    add(3 * kHidden, kHidden);
    add(kHidden, kHidden);
    add(kFfn, kHidden);
    add(kHidden, kFfn);
  }
  add(kVocab, kHidden);
  return chain;
}

// The time may depend on how many of a row's numbers are nearly as large as the largest.
std::vector<float> Activations(size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(count);
  for (float& number : x) number = normal(random);
  return x;
}

double RunChain(Backend& backend, const Chain& chain, int64_t rows, const DeviceArray<float>& x,
                const DeviceArray<float>& out) {
  const Stopwatch watch;
  for (const WeightMatrix& matrix : chain.matrices) {
    LinearArgs args;
    args.weight = &matrix;
    args.x = {x.data(), DType::kF32, matrix.cols()};
    args.rows = rows;
    args.out = {out.data(), DType::kF32, matrix.rows()};
    backend.ops().Linear(args);
  }
  return watch.Seconds();
}

double PeakRate(MachineLimits& limits, const WeightForm& form) {
  double rate = 0;
  const bool is_integer = form.format == WeightFormat::kI8 || form.format == WeightFormat::kI4;
  if (is_integer && form.inputs == Inputs::kRounded) {
    rate = form.format == WeightFormat::kI4 ? limits.Int4Rate() : limits.Int8Rate();
  } else if (is_integer || form.format == WeightFormat::kBF16) {
    rate = limits.BF16Rate();
  }
  return rate > 0 ? rate : limits.F32Rate();
}

void Measure(Backend& backend, const Options& options, const WeightForm& form) {
  const Chain chain = MakeChain(backend, options, form);
  MachineLimits limits(options.threads, backend.isa());
  const int64_t most = *std::max_element(options.rows.begin(), options.rows.end());
  const DeviceArray<float> x(backend, Activations(static_cast<size_t>(most) * 8192));
  const DeviceArray<float> out(backend, static_cast<size_t>(most) * 50272);
  fmt::print("{}: {} weights of {}, {:.2f} GB\n", backend.Describe(), chain.weights,
             kernels::Name(form), static_cast<double>(chain.bytes) * 1e-9);
  fmt::print("{:>5} {:>9} {:>9} {:>8} {:>8} {:>7} {:>7}\n", "rows", "ms", "tok/s", "GB/s", "GMAC/s",
             "memory", "compute");
  for (const int rows : options.rows) {
    RunChain(backend, chain, rows, x, out);
    std::vector<double> seconds, memory_share, compute_share;
    for (int i = 0; i < options.repeats; ++i) {
      const double bandwidth_before = limits.ReadBandwidth();
      const double rate = PeakRate(limits, form);
      const double t = RunChain(backend, chain, rows, x, out);
      const double bandwidth = 0.5 * (bandwidth_before + limits.ReadBandwidth());
      seconds.push_back(t);
      memory_share.push_back(static_cast<double>(chain.bytes) / bandwidth / t);
      compute_share.push_back(static_cast<double>(chain.weights * rows) / rate / t);
    }
    const double t = Median(seconds);
    fmt::print("{:>5} {:>9.2f} {:>9.1f} {:>8.1f} {:>8.0f} {:>7.2f} {:>7.2f}\n", rows, t * 1e3,
               rows / t, static_cast<double>(chain.bytes) / t * 1e-9,
               static_cast<double>(chain.weights * rows) / t * 1e-9, Median(memory_share),
               Median(compute_share));
  }
}

int Main(int argc, char** argv) {
  Options options;
  const auto exit_code = cli::ParseFlags(
      "Share of the machine's limits that Linear reaches",
      {{.names = "--isa",
        .target = &options.isa,
        .help = "one of those that DRAY_ISA names; empty: the best"},
       {.names = "--format",
        .target = &options.format,
        .help = "f32, f16, bf16, int8, int8_weight_only, int4, int4_asym"},
       {.names = "--threads", .target = &options.threads, .help = "0: one per processor"},
       {.names = "--layers",
        .target = &options.layers,
        .help = "layers of 24; fewer need less memory"},
       {.names = "--repeats", .target = &options.repeats, .help = "passes for each median"},
       {.names = "--rows", .target = cli::CommaList{&options.rows}, .help = "numbers of rows"},
       {.names = "--processor-time",
        .target = Stopwatch::UseProcessorTime,
        .help = "of one thread, for busy machines; use with --threads 1"}},
      argc, argv);
  if (exit_code) return *exit_code;
  auto backend =
      kernels::MakeBackend({.cpu = {.num_threads = options.threads, .isa = options.isa}});
  if (!backend.ok()) {
    fmt::print(stderr, "{}\n", backend.status().ToString());
    return 1;
  }
  for (const auto& [name, form] : kForms) {
    if (options.format == name) Measure(**backend, options, form);
  }
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::GuardedMain(argc, argv, dray::bench::Main); }
