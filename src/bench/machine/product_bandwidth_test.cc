#include "bench/machine/product_bandwidth.h"

#include <gtest/gtest.h>

namespace dray::bench {
namespace {

using kernels::WeightForm;
using kernels::WeightFormat;
using kernels::ZeroPoint;

TEST(ProductBandwidthTest, EveryFormIsRead) {
  for (const WeightForm& form : {WeightForm(WeightFormat::kF32), WeightForm(WeightFormat::kF16),
                                 WeightForm(WeightFormat::kBF16), WeightForm(WeightFormat::kI8),
                                 WeightForm(WeightFormat::kI8, 64), WeightForm(WeightFormat::kI4),
                                 WeightForm(WeightFormat::kI4, 32, ZeroPoint::kPerGroup)}) {
    auto made = ProductBandwidth::Make(1, form, 1);
    ASSERT_TRUE(made.ok()) << kernels::Name(form) << made.status().message();
    const auto rate = made->MeasureBest();
    ASSERT_TRUE(rate.ok()) << kernels::Name(form) << rate.status().message();
    EXPECT_GT(*rate, 0) << kernels::Name(form);
  }
}

TEST(ProductBandwidthTest, AFormThatIsNoneIsRefused) {
  EXPECT_FALSE(ProductBandwidth::Make(1, WeightForm(WeightFormat::kI8, 7), 1).ok());
}

TEST(ProductBandwidthTest, ANumberOfThreadsThatIsNoneIsRefused) {
  EXPECT_FALSE(ProductBandwidth::Make(-1, WeightFormat::kI8, 1).ok());
}

}  // namespace
}  // namespace dray::bench
