// What Linear does before and after its product, bit for bit what the single operations do.
#include "kernels/testing/kernel_test_util.h"

namespace dray::kernels {
namespace {

class FusedLinearTest : public IsaTest {
 protected:
  const IsaKernels& Kernels() const { return **SelectIsa(GetParam()); }
};
DRAY_FOR_EVERY_ISA(FusedLinearTest);

// One to several blocks of rows; 200 rows are packed by all threads together.
constexpr int64_t kRowCounts[] = {1, 3, 29, 200};

LinearArgs Dense(const WeightMatrix& weight, const std::vector<float>& x, int64_t rows,
                 std::vector<float>& out, int64_t out_cols) {
  out.assign(static_cast<size_t>(rows * out_cols), -7.0f);
  LinearArgs args;
  args.weight = &weight;
  args.x = {x.data(), DType::kF32, weight.cols()};
  args.rows = rows;
  args.out = {out.data(), DType::kF32, out_cols};
  return args;
}

TEST_P(FusedLinearTest, NormBeforeIsNormThenLinear) {
  constexpr int64_t kOut = 75, kIn = 323;
  const std::vector<float> scale = RandomFloats(kIn, 1), shift = RandomFloats(kIn, 2);
  const VectorNorm layer_norm = {NormKind::kLayerNorm, scale.data(), shift.data(), 1e-3f};
  const VectorNorm rms_norm = {NormKind::kRmsNorm, scale.data(), nullptr, 1e-5f};
  for (const WeightForm& form : kAllForms) {
    const TestMatrix matrix = MakeMatrix(*backend_, MatrixSpec::Of(kOut, kIn, form), 3);
    for (const int64_t rows : kRowCounts) {
      const std::vector<float> x = RandomFloats(rows * kIn, 4, 5.0f);
      for (const VectorNorm& norm : {layer_norm, rms_norm}) {
        std::vector<float> normed(x.size()), expected, out;
        backend_->ops().Norm(
            {norm, {x.data(), DType::kF32, kIn}, {normed.data(), DType::kF32, kIn}, rows, kIn});
        backend_->ops().Linear(Dense(matrix.packed, normed, rows, expected, kOut));
        LinearArgs fused = Dense(matrix.packed, x, rows, out, kOut);
        fused.norm = &norm;
        backend_->ops().Linear(fused);
        ASSERT_TRUE(SameBits(out, expected)) << Name(form) << ", " << rows << " rows";
      }
    }
  }
}

TEST_P(FusedLinearTest, GatedIsLinearThenGate) {
  constexpr int64_t kIn = 100;
  // Whole panels of gates and values, and not.
  for (const int64_t width : {96, 32, 50, 7}) {
    const std::vector<float> bias = RandomFloats(2 * width, 5);
    for (const WeightForm& form : kAllForms) {
      const TestMatrix matrix = MakeMatrix(*backend_, MatrixSpec::Of(2 * width, kIn, form), 6);
      for (const int64_t rows : kRowCounts) {
        const std::vector<float> x = RandomFloats(rows * kIn, 7, 3.0f);
        std::vector<float> both, out;
        LinearArgs plain = Dense(matrix.packed, x, rows, both, 2 * width);
        plain.bias = bias.data();
        backend_->ops().Linear(plain);
        LinearArgs gated = Dense(matrix.packed, x, rows, out, width);
        gated.bias = bias.data();
        gated.activation = Activation::kGeluTanh;
        gated.gated = true;
        backend_->ops().Linear(gated);
        std::vector<float> expected(out.size());
        for (int64_t r = 0; r < rows; ++r) {
          Kernels().gate(Activation::kGeluTanh, both.data() + r * 2 * width, width,
                         expected.data() + r * width);
        }
        ASSERT_TRUE(SameBits(out, expected))
            << Name(form) << ", width " << width << ", " << rows << " rows";
      }
    }
  }
}

// Queries, keys and values of some tokens, and the cache that they go to.
struct QkvScene {
  static constexpr int64_t kHeads = 6, kKvHeads = 3, kBlockSize = 16;
  int64_t head_dim, tokens;
  std::vector<float> cos_sin, query_scale, key_scale, qkv, keys, values;
  std::vector<int32_t> positions;
  VectorNorm query_norm, key_norm;

  QkvScene(int64_t head_width, int64_t num_tokens)
      : head_dim(head_width),
        tokens(num_tokens),
        cos_sin(RandomFloats(num_tokens * head_width, 8)),
        query_scale(RandomFloats(head_width, 9)),
        key_scale(RandomFloats(head_width, 10)),
        keys(static_cast<size_t>((num_tokens / kBlockSize + 1) * kKvHeads * kBlockSize *
                                 head_width)),
        values(keys.size()),
        query_norm{NormKind::kRmsNorm, query_scale.data(), nullptr, 1e-6f},
        key_norm{NormKind::kRmsNorm, key_scale.data(), nullptr, 1e-6f} {
    for (int64_t t = 0; t < tokens; ++t) positions.push_back(static_cast<int32_t>(t));
  }

  int64_t width() const { return (kHeads + 2 * kKvHeads) * head_dim; }

  RopeAndCacheArgs Heads(bool with_norms) {
    RopeAndCacheArgs heads;
    heads.qkv = {qkv.data(), DType::kF32, width()};
    heads.num_tokens = tokens;
    heads.num_heads = kHeads;
    heads.query_norm = with_norms ? &query_norm : nullptr;
    heads.key_norm = with_norms ? &key_norm : nullptr;
    heads.rotary_dim = head_dim / 2 * 2;
    heads.cos_sin = cos_sin.data();
    heads.table_rows = positions.data();
    heads.slots = positions.data();
    heads.cache = {keys.data(), values.data(), DType::kF32, kKvHeads, head_dim, kBlockSize};
    return heads;
  }
};

TEST_P(FusedLinearTest, QkvIsLinearThenRopeAndCache) {
  constexpr int64_t kIn = 130;
  // A head of several panels, of half a panel, and heads that share panels.
  for (const int64_t head_dim : {64, 128, 16, 80, 20, 33}) {
    const TestMatrix matrix =
        MakeMatrix(*backend_, {QkvScene(head_dim, 1).width(), kIn, WeightFormat::kBF16}, 11);
    for (const int64_t tokens : kRowCounts) {
      for (const bool with_norms : {false, true}) {
        const std::vector<float> x = RandomFloats(tokens * kIn, 12);
        QkvScene apart(head_dim, tokens), fused(head_dim, tokens);
        backend_->ops().Linear(Dense(matrix.packed, x, tokens, apart.qkv, apart.width()));
        RopeAndCache(*backend_, apart.Heads(with_norms));
        const LinearArgs linear = Dense(matrix.packed, x, tokens, fused.qkv, fused.width());
        backend_->ops().QkvLinear(linear, fused.Heads(with_norms));
        ASSERT_TRUE(SameBits(fused.qkv, apart.qkv)) << head_dim << ", " << tokens << " tokens";
        ASSERT_TRUE(SameBits(fused.keys, apart.keys)) << head_dim << ", " << tokens << " tokens";
        ASSERT_TRUE(SameBits(fused.values, apart.values)) << head_dim << ", " << tokens;
      }
    }
  }
}

// The norms of heads against double precision; their rotation is elementwise_test's.
TEST_P(FusedLinearTest, HeadsAreNormalisedOneByOne) {
  constexpr int64_t kDim = 40, kTokens = 3;
  QkvScene scene(kDim, kTokens);
  scene.qkv = RandomFloats(kTokens * scene.width(), 13, 4.0f);
  const std::vector<float> before = scene.qkv;
  RopeAndCacheArgs heads = scene.Heads(true);
  heads.rotary_dim = 0;
  RopeAndCache(*backend_, heads);
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
        ASSERT_NEAR(scene.qkv[base + d], expected, 16 * kRounding * (1 + std::abs(expected)));
      }
    }
  }
}

}  // namespace
}  // namespace dray::kernels
