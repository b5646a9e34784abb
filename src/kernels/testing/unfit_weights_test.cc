// Weights and scales that matrices of integers cannot hold are errors, wherever they stand.
#include <cmath>
#include <limits>

#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kRows = 70, kCols = 97;

class UnfitWeightsTest : public BackendTest {
 protected:
  // Packs `values`, row-major, stored as `dtype` by rows or by columns.
  Status Pack(const WeightForm& form, DType dtype, const std::vector<float>& values,
              bool is_transposed) {
    const MatrixSpec spec = MatrixSpec::Of(kRows, kCols, form);
    matrix_ = std::move(packer().AllocateMatrix(spec)).value();
    std::vector<std::byte> bytes(values.size() * SizeOf(dtype));
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t c = 0; c < kCols; ++c) {
        const auto at = static_cast<size_t>(is_transposed ? c * kRows + r : r * kCols + c);
        Encode(dtype, values[static_cast<size_t>(r * kCols + c)],
               bytes.data() + at * SizeOf(dtype));
      }
    }
    return packer().PackRows(
        matrix_, 0,
        {bytes.data(), dtype, kRows, kCols, is_transposed ? 1 : kCols, is_transposed ? kRows : 1});
  }

  static void Encode(DType dtype, float value, std::byte* out) {
    const double wide = value;
    const uint16_t half = dtype == DType::kF16 ? F32ToF16(value) : F32ToBF16(value);
    if (dtype == DType::kF64) {
      std::memcpy(out, &wide, sizeof(wide));
    } else if (dtype == DType::kF32) {
      std::memcpy(out, &value, sizeof(value));
    } else {
      std::memcpy(out, &half, sizeof(half));
    }
  }

  WeightMatrix matrix_;
};
DRAY_FOR_EVERY_BACKEND(UnfitWeightsTest);

std::vector<WeightForm> IntegerForms() {
  return {WeightFormat::kI8,
          kInt8BesideFloats,
          WeightFormat::kI4,
          {WeightFormat::kI8, 32},
          {WeightFormat::kI8, 128, ZeroPoint::kPerGroup},
          {WeightFormat::kI4, 32, ZeroPoint::kPerGroup}};
}

std::string WhatHolds(const Status& status) { return status.message().substr(0, 16); }

// The first and the last element, the last of a vector, the first of the second panel and of the
// columns behind the last whole group.
TEST_P(UnfitWeightsTest, OneNumberThatIsNotFiniteIsAnErrorAnywhere) {
  const std::vector<float> values = RandomFloats(kRows * kCols, 1);
  for (const auto& [row, col] :
       {std::pair<int64_t, int64_t>{0, 0}, {69, 96}, {5, 15}, {32, 64}, {15, 31}, {33, 95}}) {
    for (const float bad : {kNaN, kInfinity, -kInfinity}) {
      std::vector<float> spoilt = values;
      spoilt[static_cast<size_t>(row * kCols + col)] = bad;
      for (const WeightForm& form : IntegerForms()) {
        const Status status = Pack(form, DType::kF32, spoilt, (row + col) % 2 == 1);
        EXPECT_EQ(status.code(), StatusCode::kCorrupt) << Name(form) << " " << row << ", " << col;
        EXPECT_EQ(WhatHolds(status), std::isnan(bad) ? "a weight is nan,"
                                     : bad > 0       ? "a weight is inf,"
                                                     : "a weight is -inf");
      }
      EXPECT_TRUE(Pack(WeightFormat::kBF16, DType::kF32, spoilt, false).ok());
    }
  }
}

TEST_P(UnfitWeightsTest, EverySourceIsChecked) {
  std::vector<float> values = RandomFloats(kRows * kCols, 2);
  values[40 * kCols + 70] = kNaN;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
    for (const WeightForm& form : IntegerForms()) {
      for (const bool is_transposed : {false, true}) {
        EXPECT_EQ(Pack(form, dtype, values, is_transposed).code(), StatusCode::kCorrupt)
            << Name(dtype) << " to " << Name(form);
      }
    }
  }
  // A number that its own format holds, but f32 does not.
  const std::vector<double> wide(4, -1e300);
  WeightMatrix matrix = std::move(packer().AllocateMatrix({2, 2, WeightFormat::kI8})).value();
  const Status status = packer().PackRows(matrix, 0, {wide.data(), DType::kF64, 2, 2, 2, 1});
  EXPECT_EQ(WhatHolds(status), "a weight is -inf");
}

TEST_P(UnfitWeightsTest, TheMessageSaysWhatToDo) {
  std::vector<float> values(kRows * kCols, 0.5f);
  values[3 * kCols] = kInfinity;
  values[2 * kCols + 96] = kNaN;  // of the lowest row, so it is the one that is named
  EXPECT_EQ(Pack(WeightFormat::kI8, DType::kBF16, values, false).message(),
            "a weight is nan, which int8 cannot hold; the file is damaged, or its numbers "
            "overflowed when they were computed: get it or convert it again");
}

TEST_P(UnfitWeightsTest, WeightsTooLargeForTheScaleOfAGroupAreRefused) {
  std::vector<float> values(kRows * kCols, 0.5f);
  values[10 * kCols + 80] = 1e6f;
  for (const WeightForm& form : IntegerForms()) {
    const Status status = Pack(form, DType::kF32, values, false);
    const bool fits = form.format == WeightFormat::kI8;  // 65504 * 127 is larger
    EXPECT_EQ(status.ok(), fits) << Name(form) << " " << status.message();
    EXPECT_EQ(status.code(), fits ? StatusCode::kOk : StatusCode::kUnsupported);
  }
  EXPECT_EQ(Pack(WeightFormat::kI4, DType::kF32, values, false).message(),
            "a weight is 1e+06, too large for int4, whose scales are f16 and end at 65504; use "
            "dtype bf16, or int8 without groups");
  values[10 * kCols + 80] = -3e38f;
  values[10 * kCols + 81] = 3e38f;  // the range between them is not finite
  EXPECT_EQ(Pack({WeightFormat::kI4, 32, ZeroPoint::kPerGroup}, DType::kF32, values, true).code(),
            StatusCode::kUnsupported);
  EXPECT_TRUE(Pack(WeightFormat::kI8, DType::kF32, values, false).ok());
}

// Their scale has no finite reciprocal.
TEST_P(UnfitWeightsTest, RowsOfTheSmallestNumbersBecomeZero) {
  const std::vector<float> values(kRows * kCols, 1e-38f);
  ASSERT_TRUE(Pack(WeightFormat::kI8, DType::kF32, values, false).ok());
  EXPECT_EQ(ReadMatrix(*backend_, matrix_), std::vector<float>(kRows * kCols, 0.0f));
}

// One row of integers with two groups of 64 columns.
class OneRow final : public QuantizedSource {
 public:
  OneRow(int bits, std::vector<float> scales, std::vector<float> minimums)
      : scales_(std::move(scales)), minimums_(std::move(minimums)) {
    rows_ = {.values = values_.data(),
             .rows = 1,
             .cols = 128,
             .row_stride = 128,
             .bits = bits,
             .group = scales_.size() == 1 ? 128 : 64,
             .scales = scales_.data(),
             .minimums = minimums_.empty() ? nullptr : minimums_.data()};
  }
  QuantizedRows Unpack(std::span<const int64_t>, QuantizedBuffer&) const override { return rows_; }

 private:
  std::vector<uint8_t> values_ = std::vector<uint8_t>(128, 3);
  std::vector<float> scales_, minimums_;
  QuantizedRows rows_;
};

TEST_P(UnfitWeightsTest, ScalesOfStoredIntegersAreChecked) {
  const auto pack = [&](const WeightForm& form, const OneRow& source) {
    WeightMatrix matrix = std::move(packer().AllocateMatrix(MatrixSpec::Of(1, 128, form))).value();
    const std::vector<int64_t> rows = {0};
    return packer().PackQuantizedRows(matrix, 0, source, rows);
  };
  const WeightForm symmetric = {WeightFormat::kI4, 64};
  const WeightForm with_zeros = {WeightFormat::kI4, 64, ZeroPoint::kPerGroup};
  EXPECT_TRUE(pack(symmetric, {4, {1.0f, 2.0f}, {}}).ok());
  EXPECT_EQ(WhatHolds(pack(symmetric, {4, {1.0f, kNaN}, {}})), "a scale is nan, ");
  EXPECT_EQ(WhatHolds(pack(symmetric, {4, {kInfinity, 1.0f}, {}})), "a scale is inf, ");
  EXPECT_EQ(
      pack(symmetric, {4, {1.0f, 1e5f}, {}}).message(),
      "a scale is 100000, too large for int4 in groups of 64, whose scales are f16 and end at "
      "65504; use dtype bf16, or int8 without groups");
  EXPECT_TRUE(pack(with_zeros, {4, {1.0f, 2.0f}, {3.0f, 4.0f}}).ok());
  EXPECT_EQ(WhatHolds(pack(with_zeros, {4, {1.0f, 2.0f}, {3.0f, kNaN}})), "a scale is nan, ");
  EXPECT_EQ(WhatHolds(pack(with_zeros, {4, {1.0f, 2.0f}, {-kInfinity, 1.0f}})), "a scale is inf, ");
  // The scale of a whole row is f32.
  EXPECT_TRUE(pack(WeightFormat::kI8, {8, {1e5f}, {}}).ok());
  EXPECT_EQ(WhatHolds(pack(WeightFormat::kI8, {8, {kNaN}, {}})), "a scale is nan, ");
  // Integers that become floats, and then integers of another form.
  EXPECT_EQ(pack(WeightFormat::kI8, {4, {1.0f, kNaN}, {}}).code(), StatusCode::kCorrupt);
  EXPECT_EQ(pack(WeightFormat::kI4, {8, {1.0f, kInfinity}, {}}).code(), StatusCode::kCorrupt);
  // Floats take them, as they take weights in floats that are not finite.
  EXPECT_TRUE(pack(WeightFormat::kF32, {4, {1.0f, kNaN}, {}}).ok());
}

}  // namespace
}  // namespace dray::kernels
