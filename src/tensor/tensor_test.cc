#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace dray {
namespace {

TEST(ShapeTest, CountsElementsOrRefuses) {
  EXPECT_EQ((Shape{2, 3, 4}).elements(), 24);
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_FALSE((Shape{int64_t{1} << 40, int64_t{1} << 40}).CheckedElements().has_value());
  EXPECT_FALSE((Shape{-1, 2}).CheckedElements().has_value());
  EXPECT_EQ((Shape{2, 3}).ToString(), "[2, 3]");
  EXPECT_FALSE((Shape{2, 3}) == (Shape{2, 3, 1}));
}

TEST(TensorTest, MemoryIsAlignedAndZero) {
  for (const int64_t elements : {3, 100'000, 3'000'000}) {
    auto tensor = Tensor::Make(HostAllocator(), DType::kF32, {elements});
    ASSERT_TRUE(tensor.ok());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor->as<float>()) % 64, 0u);
    EXPECT_EQ(tensor->as<float>()[elements - 1], 0.0f);
    tensor->as<float>()[elements - 1] = 1.0f;
  }
}

TEST(TensorTest, RefusesWhatCannotFit) {
  EXPECT_EQ(Tensor::Make(HostAllocator(), DType::kF32, {int64_t{1} << 62}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Tensor::Make(HostAllocator(), DType::kF32, {int64_t{1} << 55}).status().code(),
            StatusCode::kResourceExhausted);
}

TEST(TensorTest, MovesLeaveNothingBehind) {
  auto made = Tensor::Make(HostAllocator(), DType::kI32, {4});
  ASSERT_TRUE(made.ok());
  Tensor tensor = std::move(*made);
  Tensor other;
  other = std::move(tensor);
  EXPECT_EQ(other.size_bytes(), 16u);
}

}  // namespace
}  // namespace dray
