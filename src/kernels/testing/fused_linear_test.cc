// What Linear does before and after its product: norms before it, gates after it, and heads.
#include <cmath>
#include <numeric>

#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

class FusedLinearTest : public BackendTest {};
DRAY_FOR_EVERY_BACKEND(FusedLinearTest);

// One to several blocks of rows; 200 rows are packed by all threads together.
constexpr int64_t kRowCounts[] = {1, 3, 29, 200};

TEST_P(FusedLinearTest, NormBeforeIsNormThenLinear) {
  constexpr int64_t kOut = 75, kIn = 323;
  const auto scale = Device(RandomFloats(kIn, 1)), shift = Device(RandomFloats(kIn, 2));
  const VectorNorm layer_norm = {NormKind::kLayerNorm, scale.data(), shift.data(), 1e-3f};
  const VectorNorm rms_norm = {NormKind::kRmsNorm, scale.data(), nullptr, 1e-5f};
  for (const WeightForm& form : kAllForms) {
    const TestMatrix matrix = MakeMatrix(*backend_, MatrixSpec::Of(kOut, kIn, form), 3);
    for (const int64_t rows : kRowCounts) {
      const auto x = Device(RandomFloats(rows * kIn, 4, 5.0f));
      for (const VectorNorm& norm : {layer_norm, rms_norm}) {
        const auto normed = Zeros(rows * kIn), expected = Zeros(rows * kOut);
        const auto out = Zeros(rows * kOut);
        LinearArgs linear = {.weight = &matrix.packed, .x = Rows(normed, kIn), .rows = rows};
        linear.out = Rows(expected, kOut);
        ops().Norm({norm, Rows(x, kIn), Rows(normed, kIn), rows, kIn});
        ops().Linear(linear);
        linear.norm = &norm;
        linear.x = Rows(x, kIn);
        linear.out = Rows(out, kOut);
        ops().Linear(linear);
        ASSERT_TRUE(SameBits(out.ToHost(), expected.ToHost()))
            << Name(form) << ", " << rows << " rows";
      }
    }
  }
}

double GeluTanh(double x) {
  return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

TEST_P(FusedLinearTest, GatedIsActivationOfGatesTimesValues) {
  constexpr int64_t kIn = 100;
  // Widths that fill whole panels of gates and values, and others.
  for (const int64_t width : {96, 32, 50, 7}) {
    const auto bias = Device(RandomFloats(2 * width, 5));
    for (const WeightForm& form : kAllForms) {
      const TestMatrix matrix = MakeMatrix(*backend_, MatrixSpec::Of(2 * width, kIn, form), 6);
      for (const int64_t rows : kRowCounts) {
        const auto x = Device(RandomFloats(rows * kIn, 7, 3.0f));
        const auto both = Zeros(rows * 2 * width), out = Zeros(rows * width);
        LinearArgs linear = {.weight = &matrix.packed,
                             .x = Rows(x, kIn),
                             .rows = rows,
                             .bias = bias.data(),
                             .out = Rows(both, 2 * width)};
        ops().Linear(linear);
        linear.activation = Activation::kGeluTanh;
        linear.gated = true;
        linear.out = Rows(out, width);
        ops().Linear(linear);
        const std::vector<float> gates_and_values = both.ToHost(), gated = out.ToHost();
        for (int64_t i = 0; i < rows * width; ++i) {
          const int64_t gate = i / width * 2 * width + i % width;
          const double x_gate = gates_and_values[static_cast<size_t>(gate)];
          const double value = gates_and_values[static_cast<size_t>(gate + width)];
          // 1 + tanh has some roundings of 1, also where the sum itself is near zero.
          ASSERT_NEAR(gated[static_cast<size_t>(i)], GeluTanh(x_gate) * value,
                      16 * kRounding * (1 + std::abs(x_gate * value)))
              << Name(form) << ", width " << width << ", " << rows << " rows";
        }
      }
    }
  }
}

// Queries, keys and values of some tokens, and the cache that they go to.
struct QkvScene {
  static constexpr int64_t kHeads = 6, kKvHeads = 3, kBlockSize = 16;
  int64_t head_dim, tokens;
  std::vector<float> query_scale, key_scale;
  DeviceArray<float> cos_sin, device_query_scale, device_key_scale, qkv, keys, values;
  DeviceArray<int32_t> positions;
  VectorNorm query_norm, key_norm;

  QkvScene(Backend& backend, int64_t head_width, int64_t num_tokens)
      : head_dim(head_width),
        tokens(num_tokens),
        query_scale(RandomFloats(head_width, 9)),
        key_scale(RandomFloats(head_width, 10)),
        cos_sin(backend, RandomFloats(num_tokens * head_width, 8)),
        device_query_scale(backend, query_scale),
        device_key_scale(backend, key_scale),
        qkv(backend, static_cast<size_t>(num_tokens * width())),
        keys(backend, CacheFloats()),
        values(backend, CacheFloats()),
        positions(backend, FirstPositions(num_tokens)),
        query_norm{NormKind::kRmsNorm, device_query_scale.data(), nullptr, 1e-6f},
        key_norm{NormKind::kRmsNorm, device_key_scale.data(), nullptr, 1e-6f} {}

  int64_t width() const { return (kHeads + 2 * kKvHeads) * head_dim; }
  size_t CacheFloats() const {
    return static_cast<size_t>((tokens / kBlockSize + 1) * kKvHeads * kBlockSize * head_dim);
  }
  static std::vector<int32_t> FirstPositions(int64_t count) {
    std::vector<int32_t> positions(static_cast<size_t>(count));
    std::iota(positions.begin(), positions.end(), 0);
    return positions;
  }

  RopeAndCacheArgs Heads(bool with_norms) const {
    return {.qkv = Rows(qkv, width()),
            .num_tokens = tokens,
            .num_heads = kHeads,
            .query_norm = with_norms ? &query_norm : nullptr,
            .key_norm = with_norms ? &key_norm : nullptr,
            .rotary_dim = head_dim / 2 * 2,
            .cos_sin = cos_sin.data(),
            .table_rows = positions.data(),
            .slots = positions.data(),
            .cache = {keys.data(), values.data(), DType::kF32, kKvHeads, head_dim, kBlockSize}};
  }
};

// A product with the identity stands for none: what remains is the part behind it.
TEST_P(FusedLinearTest, QkvIsLinearThenRopeAndCache) {
  constexpr int64_t kIn = 130;
  // A head of several panels, of half a panel, and heads that share panels.
  for (const int64_t head_dim : {64, 128, 16, 80, 20, 33}) {
    const int64_t width = QkvScene(*backend_, head_dim, 1).width();
    const TestMatrix matrix = MakeMatrix(*backend_, {width, kIn, WeightFormat::kBF16}, 11);
    for (const int64_t tokens : kRowCounts) {
      const std::vector<float> x = RandomFloats(tokens * kIn, 12);
      const std::vector<float> projected = RunLinear(*backend_, matrix.packed, x, tokens);
      const auto device_x = Device(x);
      for (const bool with_norms : {false, true}) {
        const QkvScene apart(*backend_, head_dim, tokens), fused(*backend_, head_dim, tokens);
        RopeAndCache(*backend_, projected, apart.Heads(with_norms));
        const RopeAndCacheArgs heads = fused.Heads(with_norms);
        ops().QkvLinear(
            {.weight = &matrix.packed, .x = Rows(device_x, kIn), .rows = tokens, .out = heads.qkv},
            heads);
        ASSERT_TRUE(SameBits(fused.qkv.ToHost(), apart.qkv.ToHost()))
            << head_dim << ", " << tokens << " tokens";
        ASSERT_TRUE(SameBits(fused.keys.ToHost(), apart.keys.ToHost()))
            << head_dim << ", " << tokens << " tokens";
        ASSERT_TRUE(SameBits(fused.values.ToHost(), apart.values.ToHost()))
            << head_dim << ", " << tokens << " tokens";
      }
    }
  }
}

// Queries and keys of each head, in place; values stay as they are.
TEST_P(FusedLinearTest, HeadsAreNormalisedOneByOne) {
  constexpr int64_t kDim = 40, kTokens = 3;
  const QkvScene scene(*backend_, kDim, kTokens);
  const std::vector<float> before = RandomFloats(kTokens * scene.width(), 13, 4.0f);
  RopeAndCacheArgs heads = scene.Heads(true);
  heads.rotary_dim = 0;
  RopeAndCache(*backend_, before, heads);
  const std::vector<float> after = scene.qkv.ToHost();
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t h = 0; h < QkvScene::kHeads + 2 * QkvScene::kKvHeads; ++h) {
      const auto base = static_cast<size_t>(t * scene.width() + h * kDim);
      const bool is_value = h >= QkvScene::kHeads + QkvScene::kKvHeads;
      const std::vector<float>& weight = h < QkvScene::kHeads ? scene.query_scale : scene.key_scale;
      double squares = 0;
      for (size_t d = 0; d < kDim; ++d) squares += double{before[base + d]} * before[base + d];
      const double scale = 1 / std::sqrt(squares / kDim + 1e-6);
      for (size_t d = 0; d < kDim; ++d) {
        const double expected = is_value ? before[base + d] : before[base + d] * scale * weight[d];
        ASSERT_NEAR(after[base + d], expected, 16 * kRounding * (1 + std::abs(expected)));
      }
    }
  }
}

}  // namespace
}  // namespace dray::kernels
