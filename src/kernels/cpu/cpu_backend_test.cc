// What only the processors' backend promises: a warm step allocates nothing, and activations that
// are not f32 are an error of the step.
#include "kernels/cpu/cpu_backend.h"

#include <malloc.h>

#include <functional>

#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

class CpuBackendTest : public IsaTest {};
DRAY_FOR_EVERY_ISA(CpuBackendTest);

TEST_P(CpuBackendTest, AWarmStepAllocatesNothing) {
  constexpr int64_t kRows = 70, kWidth = 96;
  const TestMatrix bf16 = MakeMatrix(*backend_, {kWidth, kWidth, WeightFormat::kBF16}, 1);
  const TestMatrix int4 = MakeMatrix(*backend_, {kWidth, kWidth, WeightFormat::kI4}, 2);
  const auto x = Device(RandomFloats(kRows * kWidth, 3));
  const auto out = Zeros(kRows * kWidth), keys = Zeros(5 * 16 * kWidth);
  const auto values = Zeros(5 * 16 * kWidth);
  const auto table = Device(std::vector<int32_t>{0, 1, 2, 3, 4});
  const DeviceArray<AttentionSequence> sequence(
      *backend_, std::vector<AttentionSequence>{{0, kRows, kRows, 0}});
  const VectorNorm norm;
  const auto step = [&] {
    backend_->BeginStep(kRows);
    for (const WeightMatrix* weight : {&bf16.packed, &int4.packed}) {
      LinearArgs linear = {.weight = weight,
                           .norm = &norm,
                           .x = Rows(x, kWidth),
                           .rows = kRows,
                           .out = Rows(out, kWidth)};
      ops().Linear(linear);
      linear.gated = true;  // half of 96 channels do not fill whole panels
      ops().Linear(linear);
    }
    ops().Attention({.q = Rows(x, kWidth),
                     .out = Rows(out, kWidth),
                     .num_heads = 4,
                     .cache = {keys.data(), values.data(), DType::kF32, 4, kWidth / 4, 16},
                     .sequences = sequence.data(),
                     .num_sequences = 1,
                     .block_tables = table.data()});
    ExpectOk(backend_->EndStep());
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

TEST_P(CpuBackendTest, MatricesCanBeReadBehindTheirEnd) {
  const auto matrix = packer().AllocateMatrix({40, 50, WeightFormat::kBF16});
  ASSERT_TRUE(matrix.ok());
  EXPECT_EQ(matrix->size_bytes(), size_t{64 * 64 * 2 + (16 << 10)});
}

// Every operation with activations, its inputs in bf16.
std::vector<std::function<void(Ops&)>> OpsOfOtherFormats(const WeightMatrix& weight,
                                                         const Activations& bf16,
                                                         const Activations& f32) {
  const LinearArgs linear = {.weight = &weight, .x = bf16, .rows = 1, .out = f32};
  return {
      [=](Ops& ops) { ops.Linear(linear); },
      [=](Ops& ops) { ops.QkvLinear(linear, {.qkv = f32, .num_tokens = 1}); },
      [=](Ops& ops) { ops.Norm({.x = bf16, .out = f32, .rows = 1, .cols = 8}); },
      [=](Ops& ops) { ops.Attention({.q = bf16, .out = f32}); },
      [=](Ops& ops) { ops.GatherRows({.x = bf16, .num_rows = 1, .cols = 8, .out = f32}); },
      [=, &weight](Ops& ops) { ops.Embed({.table = &weight, .num_tokens = 1, .out = bf16}); },
  };
}

TEST_P(CpuBackendTest, ActivationsInOtherFormatsFailTheStep) {
  const TestMatrix matrix = MakeMatrix(*backend_, {8, 8, WeightFormat::kF32}, 1);
  const auto x = Zeros(8), out = Device(std::vector<float>(8, 7.0f));
  const Activations bf16 = {x.data(), DType::kBF16, 8};
  for (const auto& run : OpsOfOtherFormats(matrix.packed, bf16, Rows(out, 8))) {
    backend_->BeginStep(1);
    run(ops());
    float copied = 1.0f;
    EXPECT_EQ(backend_->memory().CopyToHost(&copied, out.data(), sizeof(copied)).code(),
              StatusCode::kUnsupported);
    EXPECT_EQ(copied, 1.0f);
    const Status status = backend_->EndStep();
    EXPECT_EQ(status.code(), StatusCode::kUnsupported);
    EXPECT_NE(status.message().find("bf16"), std::string::npos) << status.ToString();
    backend_->BeginStep(1);
    ExpectOk(backend_->EndStep());
  }
  EXPECT_EQ(out.ToHost(), std::vector<float>(8, 7.0f));
}

}  // namespace
}  // namespace dray::kernels
