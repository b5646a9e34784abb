// Whoever looks behind the table is caught, and calls run later than they return.
#include "kernels/testing/unreadable_backend.h"

#include <cmath>

#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

class UnreadableBackendTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  std::unique_ptr<Backend> backend_ = MakeTestBackend(kUnreadable, 1);
};

using UnreadableBackendDeathTest = UnreadableBackendTest;

TEST_F(UnreadableBackendDeathTest, TheHostCannotReadItsMemory) {
  const DeviceArray<float> array(*backend_, std::vector<float>{1.0f, 2.0f});
  EXPECT_EQ(array.ToHost(), (std::vector<float>{1.0f, 2.0f}));
  EXPECT_DEATH({ [[maybe_unused]] volatile float read = *array.data(); }, "");
}

TEST_F(UnreadableBackendDeathTest, TheHostCannotWriteItsMemory) {
  const DeviceArray<float> array(*backend_, 1);
  EXPECT_DEATH(*const_cast<volatile float*>(array.data()) = 1.0f, "");
}

TEST_F(UnreadableBackendDeathTest, HostMemoryIsNoArgument) {
  const DeviceArray<float> out(*backend_, 2);
  std::vector<float> x = {1.0f, 2.0f};
  const NormArgs args = {
      .x = {x.data(), DType::kF32, 2}, .out = Rows(out, 2), .rows = 1, .cols = 2};
  EXPECT_DEATH(backend_->ops().Norm(args), "");
}

TEST_F(UnreadableBackendTest, ArgumentsMayChangeOnceACallHasReturned) {
  const DeviceArray<float> x(*backend_, std::vector<float>{3.0f, 4.0f}), out(*backend_, 2);
  const WeightMatrix identity = Identity(*backend_, 2);
  VectorNorm norm = {NormKind::kRmsNorm, nullptr, nullptr, 0.0f};
  LinearArgs args = {
      .weight = &identity, .norm = &norm, .x = Rows(x, 2), .rows = 1, .out = Rows(out, 2)};
  backend_->ops().Linear(args);
  norm.eps = 1e9f;
  args = {};
  const float scale = 1 / std::sqrt(12.5f);
  EXPECT_FLOAT_EQ(out.ToHost()[0], 3.0f * scale);
  EXPECT_FLOAT_EQ(out.ToHost()[1], 4.0f * scale);
}

// A copy to the device takes its turn behind the operations before it.
TEST_F(UnreadableBackendTest, CopiesAndOperationsKeepTheirOrder) {
  DeviceArray<float> x(*backend_, std::vector<float>{3.0f, 4.0f});
  const DeviceArray<float> out(*backend_, 2), later(*backend_, 2);
  const WeightMatrix identity = Identity(*backend_, 2);
  LinearArgs args = {.weight = &identity, .x = Rows(x, 2), .rows = 1, .out = Rows(out, 2)};
  backend_->ops().Linear(args);
  {
    const std::vector<float> next = {5.0f, 6.0f};
    x.Set(next);
  }
  args.out = Rows(later, 2);
  backend_->ops().Linear(args);
  EXPECT_EQ(out.ToHost(), (std::vector<float>{3.0f, 4.0f}));
  EXPECT_EQ(later.ToHost(), (std::vector<float>{5.0f, 6.0f}));
}

TEST_F(UnreadableBackendTest, ErrorsOfOperationsReachTheEndOfTheStep) {
  const DeviceArray<float> x(*backend_, 2);
  backend_->BeginStep(1);
  backend_->ops().Norm({.x = {x.data(), DType::kF16, 2}, .out = Rows(x, 2), .rows = 1, .cols = 2});
  EXPECT_EQ(backend_->EndStep().code(), StatusCode::kUnsupported);
  backend_->BeginStep(1);
  ExpectOk(backend_->EndStep());
}

TEST_F(UnreadableBackendTest, MemoryIsZeroAgainOnceItWasFreed) {
  for (int i = 0; i < 3; ++i) {
    DeviceArray<float> array(*backend_, 5000);
    EXPECT_EQ(array.ToHost(), std::vector<float>(5000));
    array.Set(std::vector<float>(5000, 1.0f));
  }
}

}  // namespace
}  // namespace dray::kernels
