#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace dray {
namespace {

TEST(DTypeTest, ReadsEverySpelling) {
  EXPECT_EQ(ParseDType("torch.bfloat16"), DType::kBF16);
  EXPECT_EQ(ParseDType("FP16"), DType::kF16);
  EXPECT_EQ(ParseDType("F32"), DType::kF32);
  EXPECT_FALSE(ParseDType("float8").has_value());
}

TEST(DTypeTest, BF16RoundsToNearestEven) {
  EXPECT_EQ(F32ToBF16(1.0f), 0x3F80);
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x3F808000u)),
            0x3F80);  // a tie goes to the even neighbour
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x3F818000u)), 0x3F82);
  EXPECT_TRUE(std::isnan(BF16ToF32(F32ToBF16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(DTypeTest, EveryF16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const float value = F16ToF32(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    ASSERT_EQ(F32ToF16(value), bits) << value;
  }
}

TEST(DTypeTest, F16RoundsAndOverflows) {
  EXPECT_EQ(F16ToF32(F32ToF16(65519.0f)), 65504.0f);
  EXPECT_TRUE(std::isinf(F16ToF32(F32ToF16(65520.0f))));
  EXPECT_EQ(F32ToF16(std::ldexp(1.0f, -25)), 0);  // a tie with zero: even
  EXPECT_EQ(F32ToF16(std::ldexp(1.5f, -25)), 1);
  EXPECT_EQ(F32ToF16(1.0f + std::ldexp(1.0f, -11)), 0x3C00);  // a tie: even
}

}  // namespace
}  // namespace dray
