// Is a library's matrix product as good as ours? Runs all linear layers of a LLaMA-shaped 1.3 B
// model (a few layers and the head, each with its own weights in memory) through dray, oneDNN and
// BLIS in turn, for each number of rows. Prints tokens a second, and our figure divided by the best
// library's.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "bench/statistics.h"
#include "kernels/backend.h"
#include "kernels/make_backend.h"
#include "library_gemm_peers.h"

namespace dray::lab {
namespace {

struct Options {
  std::string format = "bf16";
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  int layers = 4, repeats = 5;
  std::vector<int64_t> rows = {1, 4, 8, 16, 32, 128, 512};
};

std::vector<Shape> ChainShapes(int layers) {
  constexpr int64_t kHidden = 2048, kFfn = 5504, kVocab = 32000;
  std::vector<Shape> shapes;
  for (int i = 0; i < layers; ++i) {
    shapes.insert(
        shapes.end(),
        {{3 * kHidden, kHidden}, {kHidden, kHidden}, {2 * kFfn, kHidden}, {kHidden, kFfn}});
  }
  shapes.push_back({kVocab, kHidden});
  return shapes;
}

kernels::WeightFormat Format(const std::string& name) {
  if (name == "bf16") return kernels::WeightFormat::kBF16;
  return name == "int8" ? kernels::WeightFormat::kI8 : kernels::WeightFormat::kF32;
}

// Our layers with the interface of the libraries' layers. On the processors' backend host memory is device memory, so the
// libraries' arrays serve it too.
class DrayLinear : public LibraryLinear {
 public:
  DrayLinear(kernels::Backend& backend, const Shape& shape, kernels::WeightFormat format)
      : backend_(backend),
        matrix_(std::move(backend.packer()
                              .AllocateMatrix({shape.out_features, shape.in_features, format})
                              .value())) {
    std::vector<float> row(static_cast<size_t>(shape.in_features));
    for (int64_t r = 0; r < shape.out_features; ++r) {
      for (size_t c = 0; c < row.size(); ++c) {
        row[c] = static_cast<float>((static_cast<size_t>(r) * 31 + c * 17) % 251) / 251.0f - 0.5f;
      }
      const kernels::SourceRows source = {.data = row.data(),
                                          .rows = 1,
                                          .cols = shape.in_features,
                                          .row_stride = shape.in_features};
      DRAY_CHECK(backend.packer().PackRows(matrix_, r, source).ok());
    }
  }

  void Run(const float* x, int64_t rows, float* out) override {
    backend_.ops().Linear({.weight = &matrix_,
                           .x = {x, DType::kF32, matrix_.cols()},
                           .rows = rows,
                           .out = {out, DType::kF32, matrix_.rows()}});
  }

 private:
  kernels::Backend& backend_;
  kernels::WeightMatrix matrix_;
};

using Chain = std::vector<std::unique_ptr<LibraryLinear>>;
using MakeLinear = std::function<std::unique_ptr<LibraryLinear>(const Shape&)>;

Chain MakeChain(const std::vector<Shape>& shapes, const MakeLinear& make) {
  Chain chain;
  for (const Shape& shape : shapes) {
    auto linear = make(shape);
    if (linear == nullptr) return {};
    chain.push_back(std::move(linear));
  }
  return chain;
}

// After its last work each library's threads spin for some milliseconds. They must be asleep before
// the next library is timed.
constexpr std::chrono::milliseconds kRest{50};

double Seconds(const Chain& chain, int64_t rows, const std::vector<float>& x,
               std::vector<float>& out) {
  std::this_thread::sleep_for(kRest);
  const auto start = std::chrono::steady_clock::now();
  for (const auto& linear : chain) linear->Run(x.data(), rows, out.data());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Measure(const Options& options, const std::vector<Chain>& chains) {
  const int64_t most = *std::max_element(options.rows.begin(), options.rows.end());
  const std::vector<float> x(static_cast<size_t>(most) * 8192, 0.01f);
  std::vector<float> out(static_cast<size_t>(most) * 32000);
  fmt::print("{:>6} {:>10} {:>10} {:>10} {:>8}   tok/s through {} layers and the head, {}\n",
             "rows", "dray", "oneDNN", "BLIS", "ratio", options.layers, options.format);
  for (const int64_t rows : options.rows) {
    std::vector<std::vector<double>> seconds(chains.size());
    for (int i = 0; i <= options.repeats; ++i) {  // the first pass warms up
      for (size_t c = 0; c < chains.size(); ++c) {
        if (chains[c].empty()) continue;
        const double t = Seconds(chains[c], rows, x, out);
        if (i > 0) seconds[c].push_back(t);
      }
    }
    std::vector<double> rates;
    for (const auto& times : seconds) {
      rates.push_back(times.empty() ? 0 : static_cast<double>(rows) / bench::Median(times));
    }
    fmt::print("{:>6} {:>10.1f} {:>10.1f} {:>10.1f} {:>8.2f}\n", rows, rates[0], rates[1], rates[2],
               rates[0] / std::max(rates[1], rates[2]));
  }
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Our linear layers beside those of oneDNN and BLIS");
  app.add_option("--format", options.format, "f32, bf16 or int8")
      ->check(CLI::IsMember({"f32", "bf16", "int8"}));
  app.add_option("--threads", options.threads, "of each");
  app.add_option("--layers", options.layers, "layers in the chain");
  app.add_option("--repeats", options.repeats, "passes for each median");
  app.add_option("--rows", options.rows, "numbers of rows")->delimiter(',');
  CLI11_PARSE(app, argc, argv);
  SetLibraryThreads(options.threads);
  auto backend = kernels::MakeBackend({.cpu = {.num_threads = options.threads}});
  if (!backend.ok()) {
    fmt::print(stderr, "{}\n", backend.status().ToString());
    return 1;
  }
  const auto shapes = ChainShapes(options.layers);
  std::vector<Chain> chains;
  chains.push_back(MakeChain(shapes, [&](const Shape& shape) {
    return std::make_unique<DrayLinear>(**backend, shape, Format(options.format));
  }));
  chains.push_back(
      MakeChain(shapes, [&](const Shape& shape) { return MakeOneDnn(shape, options.format); }));
  chains.push_back(
      MakeChain(shapes, [&](const Shape& shape) { return MakeBlis(shape, options.format); }));
  Measure(options, chains);
  return 0;
}

}  // namespace
}  // namespace dray::lab

int main(int argc, char** argv) { return dray::lab::Main(argc, argv); }
