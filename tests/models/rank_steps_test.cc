// The halves of a layer, computed by each rank of a tensor-parallel group with its own weights: the
// sum over the ranks is what one rank computes with all of them. Heads that are padding, heads that
// several ranks hold and features that fall into one block of a file add nothing and lack nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "base/testing/source_dir.h"
#include "kernels/backend.h"
#include "kernels/make_backend.h"
#include "kernels/testing/device_array.h"
#include "model/config/local_stack.h"
#include "model/describe/model_files.h"
#include "model/forward/kv_cache.h"
#include "model/forward/rope.h"
#include "model/weights/loader.h"

namespace dray::model {
namespace {

namespace fs = std::filesystem;
using parallel::Rank;

constexpr int32_t kTokens = 7;
constexpr int64_t kLayer = 1;
constexpr int32_t kBlockSize = 16;
// Sums of f32 numbers in another order.
constexpr double kTolerance = 1e-5;

kernels::Backend& TestBackend() {
  static const auto backend = [] {
    kernels::BackendOptions options;
    options.cpu.num_threads = 2;
    return kernels::MakeBackend(options).value();
  }();
  return *backend;
}

// A model in f32, of which any rank's part of a layer can be computed.
class Layer {
 public:
  Layer(const ModelFiles& files, Rank rank)
      : stack_(LocalStack(files.description.config.stack, rank)),
        weights_(LoadWeights(files.description,
                             PlanTensors(files.description, files.checkpoint).value(),
                             files.checkpoint, TestBackend(),
                             {.format = kernels::WeightFormat::kF32, .rank = rank})
                     .value()) {}

  // Of kTokens rows of the residual stream, without the norm before it.
  std::vector<float> FeedForward(const std::vector<float>& x) const {
    const Floats stream(TestBackend(), x);
    const Floats features = Rows(stack_.ffn);
    kernels::LinearArgs in = Projection(Slot::kFfnIn, Slot::kFfnInBias, stream, stack_.hidden);
    in.activation = stack_.activation;
    in.gated = stack_.gated;
    in.out = Out(features, stack_.ffn);
    TestBackend().ops().Linear(in);
    return AddedToStream(Slot::kFfnOut, Slot::kFfnOutBias, features, stack_.ffn);
  }

  // The same for one sequence of kTokens tokens.
  std::vector<float> Attention(const std::vector<float>& x) const {
    const KvCache cache =
        KvCache::Make(TestBackend(), stack_, {.num_blocks = 1, .block_size = kBlockSize}).value();
    const Floats qkv = ProjectedHeads(x, cache);
    const Floats heads = Rows(stack_.query_width());
    const kernels::DeviceArray<kernels::AttentionSequence> sequence(
        TestBackend(),
        std::vector<kernels::AttentionSequence>{
            {.first_row = 0, .num_rows = kTokens, .context_tokens = kTokens, .table_offset = 0}});
    const kernels::DeviceArray<int32_t> block(TestBackend(), std::vector<int32_t>{0});
    const Floats slopes(TestBackend(), stack_.alibi_slopes);
    TestBackend().ops().Attention({.q = Out(qkv, stack_.qkv_width()),
                                   .out = Out(heads, stack_.query_width()),
                                   .num_heads = stack_.num_heads,
                                   .cache = cache.Layer(kLayer),
                                   .sequences = sequence.data(),
                                   .num_sequences = 1,
                                   .block_tables = block.data(),
                                   .scale = stack_.attention_scale[kLayer],
                                   .alibi_slopes = slopes.data(),
                                   .window = stack_.window[kLayer]});
    return AddedToStream(Slot::kAttentionOut, Slot::kAttentionOutBias, heads, stack_.query_width());
  }

 private:
  using Floats = kernels::DeviceArray<float>;

  static Floats Rows(int64_t width) {
    return {TestBackend(), static_cast<size_t>(kTokens * width)};
  }

  static kernels::Activations Out(const Floats& rows, int64_t width) {
    return {.data = rows.data(), .dtype = DType::kF32, .stride = width};
  }

  kernels::LinearArgs Projection(Slot weight, Slot bias, const Floats& x, int64_t width) const {
    return {.weight = weights_.Matrix(weight, kLayer),
            .x = Out(x, width),
            .rows = kTokens,
            .bias = weights_.Vector(bias, kLayer)};
  }

  std::vector<float> AddedToStream(Slot weight, Slot bias, const Floats& in, int64_t width) const {
    const Floats out = Rows(stack_.hidden);
    kernels::LinearArgs args = Projection(weight, bias, in, width);
    args.out = Out(out, stack_.hidden);
    TestBackend().ops().Linear(args);
    return out.ToHost();
  }

  // Cosines and sines of the first kTokens positions; none without rotation.
  Floats CosSin() const {
    if (stack_.position != PositionKind::kRotary) return {TestBackend(), 0};
    const auto dim = static_cast<size_t>(stack_.rope.dim);
    std::vector<float> values(kTokens * dim);
    const auto frequencies = InverseFrequencies(stack_.rope, kTokens);
    for (int64_t t = 0; t < kTokens; ++t) {
      WriteCosSin(stack_.rope, frequencies, t,
                  std::span(values).subspan(static_cast<size_t>(t) * dim, dim));
    }
    return {TestBackend(), values};
  }

  Floats ProjectedHeads(const std::vector<float>& x, const KvCache& cache) const {
    std::vector<int32_t> numbers(kTokens);
    std::iota(numbers.begin(), numbers.end(), 0);
    const kernels::DeviceArray<int32_t> places(TestBackend(), numbers);
    const Floats cos_sin = CosSin();
    const auto head_norm = [&](Slot slot) {
      return kernels::VectorNorm{.kind = NormKind::kRmsNorm,
                                 .weight = weights_.Vector(slot, kLayer),
                                 .eps = stack_.norm_eps};
    };
    const auto query_norm = head_norm(Slot::kQueryNorm), key_norm = head_norm(Slot::kKeyNorm);
    const Floats stream(TestBackend(), x);
    Floats qkv = Rows(stack_.qkv_width());
    kernels::LinearArgs args = Projection(Slot::kQkv, Slot::kQkvBias, stream, stack_.hidden);
    args.out = Out(qkv, stack_.qkv_width());
    TestBackend().ops().QkvLinear(args, {.qkv = args.out,
                                         .num_tokens = kTokens,
                                         .num_heads = stack_.num_heads,
                                         .query_norm = stack_.qk_norm ? &query_norm : nullptr,
                                         .key_norm = stack_.qk_norm ? &key_norm : nullptr,
                                         .style = stack_.rope.style,
                                         .rotary_dim = cos_sin.size() > 0 ? stack_.rope.dim : 0,
                                         .cos_sin = cos_sin.data(),
                                         .table_rows = places.data(),
                                         .slots = places.data(),
                                         .cache = cache.Layer(kLayer)});
    return qkv;
  }

  StackConfig stack_;
  Weights weights_;
};

// Rows of the residual stream: numbers of different signs and sizes.
std::vector<float> Stream(int64_t hidden) {
  std::vector<float> x(static_cast<size_t>(kTokens * hidden));
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(std::sin(1.7 * static_cast<double>(i)) *
                              (1.0 + static_cast<double>(i % 11)));
  }
  return x;
}

void ExpectNear(const std::vector<float>& sum, const std::vector<float>& whole) {
  float largest = 0, worst = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    largest = std::max(largest, std::abs(whole[i]));
    worst = std::max(worst, std::abs(sum[i] - whole[i]));
    ASSERT_TRUE(std::isfinite(sum[i])) << "element " << i;
  }
  ASSERT_GT(largest, 0.0f);
  EXPECT_LE(worst, kTolerance * largest);
}

void Add(const std::vector<float>& part, std::vector<float>& sum) {
  std::transform(sum.begin(), sum.end(), part.begin(), sum.begin(), std::plus<>());
}

class RankStepsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(RankStepsTest, PartsOfTheRanksAddUpToTheWhole) {
  const ModelFiles files = OpenModelFiles(SourceDir() / "tests/golden" / GetParam()).value();
  const std::vector<float> x = Stream(files.description.config.stack.hidden);
  const Layer whole(files, {});
  const std::vector<float> feed_forward = whole.FeedForward(x);
  const std::vector<float> attention = whole.Attention(x);
  for (const int64_t world : {2, 3, 4, 8}) {
    SCOPED_TRACE(world);
    std::vector<float> feed_forward_sum(feed_forward.size()), attention_sum(attention.size());
    for (int64_t index = 0; index < world; ++index) {
      const Layer layer(files, {index, world});
      Add(layer.FeedForward(x), feed_forward_sum);
      Add(layer.Attention(x), attention_sum);
    }
    ExpectNear(feed_forward_sum, feed_forward);
    ExpectNear(attention_sum, attention);
  }
}

// Heads by threes and sixes, grouped or not, every kind of position, gated or not, biases or none,
// norms of heads; blocks of 256 weights that are cut in the middle, and groups in act order.
INSTANTIATE_TEST_SUITE_P(
    Models, RankStepsTest,
    ::testing::Values("models/llama-gqa", "models/llama-bias", "models/bloom-6-heads",
                      "models/gptj", "models/gpt_neox", "models/gpt2", "models/opt", "models/qwen3",
                      "models/mistral", "gguf/quantised-llama-q4_k_m/model.gguf",
                      "quantized/gptq-desc-act", "quantized/awq-g32"),
    [](const auto& test) {
      std::string name = test.param;
      std::replace_if(
          name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
      return name;
    });

}  // namespace
}  // namespace dray::model
