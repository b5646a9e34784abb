// A warm backend allocates nothing: a step that repeats finds all of its scratch in place.
#include "kernels/cpu/cpu_backend.h"

#include <malloc.h>

#include "kernels/testing/kernel_test_util.h"

namespace dray::kernels {
namespace {

class CpuBackendTest : public IsaTest {};
DRAY_FOR_EVERY_ISA(CpuBackendTest);

TEST_P(CpuBackendTest, AWarmStepAllocatesNothing) {
  constexpr int64_t kRows = 70, kWidth = 96;
  const TestMatrix bf16 = MakeMatrix(*backend_, {kWidth, kWidth, WeightFormat::kBF16}, 1);
  const TestMatrix int4 = MakeMatrix(*backend_, {kWidth, kWidth, WeightFormat::kI4}, 2);
  const std::vector<float> x = RandomFloats(kRows * kWidth, 3);
  std::vector<float> out(x.size()), keys(5 * 16 * kWidth), values(keys.size());
  const std::vector<int32_t> table = {0, 1, 2, 3, 4};
  const AttentionSequence sequence{0, kRows, kRows, 0};
  AttentionArgs attention;
  attention.q = {x.data(), DType::kF32, kWidth};
  attention.out = {out.data(), DType::kF32, kWidth};
  attention.num_heads = 4;
  attention.cache = {keys.data(), values.data(), DType::kF32, 4, kWidth / 4, 16};
  attention.sequences = &sequence;
  attention.num_sequences = 1;
  attention.block_tables = table.data();
  const VectorNorm norm;
  const auto step = [&] {
    for (const WeightMatrix* weight : {&bf16.packed, &int4.packed}) {
      LinearArgs linear;
      linear.weight = weight;
      linear.x = {x.data(), DType::kF32, kWidth};
      linear.rows = kRows;
      linear.out = {out.data(), DType::kF32, kWidth};
      linear.norm = &norm;
      backend_->ops().Linear(linear);
      linear.gated = true;  // half a width of 96 is no whole panels
      backend_->ops().Linear(linear);
    }
    backend_->ops().Attention(attention);
  };
  // The memory in use, and (as a freed piece does not show there) the number of pieces of it.
  [[maybe_unused]] const size_t cold = ::mallinfo2().uordblks;
  step();
  const struct mallinfo2 warm = ::mallinfo2();
  for (int i = 0; i < 3; ++i) step();
  const struct mallinfo2 after = ::mallinfo2();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_GT(warm.uordblks, cold) << "the measurement sees scratch";
#endif
  EXPECT_EQ(after.uordblks, warm.uordblks);
  EXPECT_EQ(after.ordblks, warm.ordblks);
  EXPECT_EQ(after.hblks, warm.hblks);
}

}  // namespace
}  // namespace dray::kernels
