// How close is attention to the machine's limits? Decoding is compared with the time to read the
// keys and values, prompts and texts with the time of their multiply-and-adds (causal: half of the
// square).
#include <fmt/format.h>

#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "bench/machine_limits.h"
#include "cli/flags/flags.h"
#include "kernels/backend.h"
#include "kernels/make_backend.h"
#include "kernels/testing/device_array.h"

namespace dray::bench {
namespace {

using kernels::AttentionMask;
using kernels::DeviceArray;

struct Options {
  std::string isa;
  int threads = 0;
  int64_t block_size = 32;
  std::string only;
};

struct Case {
  const char* name;
  DType dtype;
  int64_t heads, kv_heads, head_dim, context, rows, sequences;
  AttentionMask mask = AttentionMask::kCausal;
};

void Measure(kernels::Backend& backend, MachineLimits& limits, const Options& options,
             const Case& c) {
  const std::string name = fmt::format("{} {}", c.name, Name(c.dtype));
  if (name.find(options.only) == std::string::npos) return;
  const int64_t blocks_each = (c.context + options.block_size - 1) / options.block_size;
  const int64_t blocks = blocks_each * c.sequences;
  // There are so many layers that a pass finds no cache lines of the pass before.
  const auto block_bytes =
      static_cast<int64_t>(SizeOf(c.dtype)) * c.kv_heads * c.head_dim * options.block_size;
  const int64_t layers =
      c.rows > 1 ? 2
                 : std::clamp<int64_t>((int64_t{256} << 20) / (2 * blocks * block_bytes), 1, 64);
  const auto half = static_cast<size_t>(layers * blocks * block_bytes);
  const std::vector<uint8_t> bytes_3c(half, uint8_t{0x3C});
  const DeviceArray<uint8_t> keys(backend, bytes_3c), values(backend, bytes_3c);
  std::vector<int32_t> table(static_cast<size_t>(blocks));
  // Blocks are scattered, as in a server after some time.
  std::iota(table.begin(), table.end(), 0);
  std::shuffle(table.begin(), table.end(), std::mt19937(1));
  std::vector<kernels::AttentionSequence> sequences;
  for (int64_t s = 0; s < c.sequences; ++s) {
    sequences.push_back({static_cast<int32_t>(s * c.rows), static_cast<int32_t>(c.rows),
                         static_cast<int32_t>(c.context), static_cast<int32_t>(s * blocks_each)});
  }
  const DeviceArray<kernels::AttentionSequence> device_sequences(backend, sequences);
  const DeviceArray<int32_t> device_table(backend, table);
  const auto num_slots = static_cast<size_t>(blocks * c.kv_heads * options.block_size);
  const DeviceArray<float> scales(backend, std::vector<float>(num_slots, 0.01f));
  const int64_t width = c.heads * c.head_dim;
  const auto num_activations = static_cast<size_t>(c.sequences * c.rows * width);
  const DeviceArray<float> q(backend, std::vector<float>(num_activations, 0.1f));
  const DeviceArray<float> out(backend, num_activations);
  kernels::AttentionArgs args;
  args.q = {q.data(), DType::kF32, width};
  args.out = {out.data(), DType::kF32, width};
  args.num_heads = c.heads;
  args.sequences = device_sequences.data();
  args.num_sequences = c.sequences;
  args.block_tables = device_table.data();
  args.mask = c.mask;
  args.scale = 0.1f;
  const auto pass = [&] {
    const Stopwatch watch;
    for (int64_t l = 0; l < layers; ++l) {
      args.cache = {keys.data() + l * blocks * block_bytes,
                    values.data() + l * blocks * block_bytes,
                    c.dtype,
                    c.kv_heads,
                    c.head_dim,
                    options.block_size,
                    scales.data(),
                    scales.data()};
      backend.ops().Attention(args);
    }
    return watch.Seconds() / static_cast<double>(layers);
  };
  pass();
  const double bytes = static_cast<double>(c.sequences * c.context * c.kv_heads * c.head_dim * 2) *
                       static_cast<double>(SizeOf(c.dtype));
  const double unseen =
      c.mask == AttentionMask::kFull ? 0.0 : 0.5 * static_cast<double>(c.rows - 1);
  const double seen = static_cast<double>(c.rows) * (static_cast<double>(c.context) - unseen);
  const double macs = 2.0 * static_cast<double>(c.sequences * width) * seen;
  std::vector<double> seconds, memory, compute;
  for (int i = 0; i < 5; ++i) {
    const double bandwidth = limits.ReadBandwidth();
    const double rate = limits.F32Rate();
    const double t = pass();
    seconds.push_back(t);
    memory.push_back(bytes / bandwidth / t);
    compute.push_back(macs / rate / t);
  }
  fmt::print("{:<36} {:>9.1f} us  {:>6.1f} GB/s ({:.2f})  {:>6.1f} GMAC/s ({:.2f})\n", name,
             Median(seconds) * 1e6, bytes / Median(seconds) * 1e-9, Median(memory),
             macs / Median(seconds) * 1e-9, Median(compute));
}

int Main(int argc, char** argv) {
  Options options;
  const auto exit_code = cli::ParseFlags(
      "Share of the machine's limits that Attention reaches",
      {{.names = "--isa",
        .target = &options.isa,
        .help = "one of those that DRAY_ISA names; empty: the best"},
       {.names = "--threads", .target = &options.threads, .help = "0: one per processor"},
       {.names = "--block-size", .target = &options.block_size, .help = "tokens in a cache block"},
       {.names = "--only",
        .target = &options.only,
        .help = "cases whose name has this, as \"decode\" or \"bf16\""},
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
  fmt::print("{}; shares of read bandwidth and of the f32 FMA rate\n", (*backend)->Describe());
  MachineLimits limits(options.threads);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    for (const Case& c : {
             Case{"decode 8 x (16 x 128), 150", dtype, 16, 16, 128, 150, 1, 8},
             Case{"decode 32 x (16 x 128), 150", dtype, 16, 16, 128, 150, 1, 32},
             Case{"decode 16 x 128, 2048", dtype, 16, 16, 128, 2048, 1, 1},
             Case{"decode 8 x (32/8 x 128), 1024", dtype, 32, 8, 128, 1024, 1, 8},
             Case{"decode 64/8 x 128, 8192", dtype, 64, 8, 128, 8192, 1, 1},
             Case{"decode 2/1 x 128, 16384", dtype, 2, 1, 128, 16384, 1, 1},
             Case{"prompt 16 x 128, 512", dtype, 16, 16, 128, 512, 512, 1},
             Case{"prompt 32/8 x 128, 1024", dtype, 32, 8, 128, 1024, 1024, 1},
             Case{"prompt 32 x 64, 2048", dtype, 32, 32, 64, 2048, 2048, 1},
             Case{"texts 8 x (12 x 64), 128", dtype, 12, 12, 64, 128, 128, 8, AttentionMask::kFull},
             Case{"texts 1 x (12 x 64), 512", dtype, 12, 12, 64, 512, 512, 1, AttentionMask::kFull},
         }) {
      Measure(**backend, limits, options, c);
    }
  }
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::GuardedMain(argc, argv, dray::bench::Main); }
