#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <utility>
#include <vector>

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

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * 4096;
}

// Buffers a little larger than whole huge pages cost that little more, not another huge page each.
TEST(TensorTest, LargeBuffersTakeTheMemoryThatTheyHold) {
  constexpr int64_t kBytes = (int64_t{2} << 20) + 5000;
  constexpr size_t kCount = 16;
  const int64_t before = ResidentBytes();
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < kCount; ++i) {
    tensors.push_back(std::move(Tensor::Make(HostAllocator(), DType::kU8, {kBytes})).value());
    std::fill_n(tensors.back().as<uint8_t>(), kBytes, uint8_t{1});
  }
  // Two pages at the end of each, and some for the page tables and the heap.
  const auto most = static_cast<int64_t>(kCount) * ((int64_t{2} << 20) + 8192) + (4 << 20);
  EXPECT_LE(ResidentBytes() - before, most);
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
