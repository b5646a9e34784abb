// Parts of packed matrices: whether they share the memory of the whole or are copies, they have its
// numbers, and products with them are the same.
#include <cmath>

#include "base/checked_math.h"
#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

constexpr int64_t kRows = 200, kCols = 384;

const WeightForm kForms[] = {WeightFormat::kF32,
                             WeightFormat::kF16,
                             WeightFormat::kBF16,
                             WeightFormat::kI8,
                             {WeightFormat::kI8, 0, ZeroPoint::kNone, Inputs::kFloat},
                             {WeightFormat::kI8, 32},
                             {WeightFormat::kI8, 128, ZeroPoint::kPerGroup},
                             WeightFormat::kI4,
                             {WeightFormat::kI4, 32, ZeroPoint::kPerGroup},
                             {WeightFormat::kI4, 128}};

class MatrixPartTest : public BackendTest {
 protected:
  WeightMatrix Pack(const MatrixSpec& spec) {
    WeightMatrix matrix = packer().AllocateMatrix(spec).value();
    const std::vector<float> values = RandomFloats(spec.rows * spec.cols, 3);
    ExpectOk(packer().PackRows(matrix, 0,
                               {.data = values.data(),
                                .dtype = DType::kF32,
                                .rows = spec.rows,
                                .cols = spec.cols,
                                .row_stride = spec.cols}));
    return matrix;
  }

  // The same matrix in memory that it does not own, if the backend can read the host's.
  WeightMatrix Share(const WeightMatrix& matrix) {
    const auto bytes = std::make_shared<std::vector<std::byte>>(matrix.size_bytes() + 64);
    auto* const aligned = reinterpret_cast<std::byte*>(
        RoundUp<uintptr_t>(reinterpret_cast<uintptr_t>(bytes->data()), 64));
    ExpectOk(backend_->memory().CopyToHost(aligned, matrix.bytes(), matrix.size_bytes()));
    return packer().Adopt(matrix.spec(), {{aligned, matrix.size_bytes()}, bytes}).value();
  }

  std::vector<float> Numbers(const WeightMatrix& matrix) { return ReadMatrix(*backend_, matrix); }

  // Products of so many rows of inputs.
  std::vector<float> Products(const WeightMatrix& matrix, int64_t rows) {
    const DeviceArray<float> x = Device(RandomFloats(rows * matrix.cols(), 5));
    const DeviceArray<float> out = Zeros(rows * matrix.rows());
    ops().Linear({.weight = &matrix,
                  .x = {x.data(), DType::kF32, matrix.cols()},
                  .rows = rows,
                  .out = {out.data(), DType::kF32, matrix.rows()}});
    return out.ToHost();
  }

  bool reads_host_memory() const { return GetParam() != kUnreadable; }
};
DRAY_FOR_EVERY_BACKEND(MatrixPartTest);

std::vector<float> Pick(const std::vector<float>& whole, const MatrixPart& part) {
  std::vector<float> picked(static_cast<size_t>(part.rows * part.cols));
  for (const PartRows& piece : part.pieces) {
    for (int64_t r = 0; r < piece.count; ++r) {
      for (int64_t c = 0; c < part.cols; ++c) {
        picked[static_cast<size_t>((piece.row + r) * part.cols + c)] =
            whole[static_cast<size_t>((piece.whole_row + r) * kCols + part.first_col + c)];
      }
    }
  }
  return picked;
}

struct Case {
  const char* name;
  MatrixPart part;
  bool shares;  // in every form
};

const Case kCases[] = {
    {"everything", {kRows, {{0, 0, kRows}}, 0, kCols}, true},
    {"some panels", {64, {{0, 96, 64}}, 0, kCols}, true},
    {"the end", {72, {{0, 128, 72}}, 0, kCols}, true},
    {"a panel's beginning", {40, {{0, 64, 40}}, 0, kCols}, true},
    {"columns", {kRows, {{0, 0, kRows}}, 128, 128}, true},
    {"last columns", {kRows, {{0, 0, kRows}}, 256, 128}, true},
    {"pieces and padding", {128, {{0, 32, 32}, {32, 160, 32}}, 128, 256}, true},
    {"padding only", {64, {}, 0, kCols}, true},
    {"inside a panel", {64, {{0, 7, 64}}, 0, kCols}, false},
    {"padding inside a panel", {64, {{0, 32, 40}}, 0, kCols}, false},
};

TEST_P(MatrixPartTest, HasTheNumbersOfTheWhole) {
  for (const WeightForm& form : kForms) {
    const WeightMatrix own = Pack(MatrixSpec::Of(kRows, kCols, form));
    const WeightMatrix whole = Share(own);
    EXPECT_EQ(whole.is_shared(), reads_host_memory());
    const std::vector<float> numbers = Numbers(own);
    EXPECT_EQ(Numbers(whole), numbers);
    for (const Case& c : kCases) {
      SCOPED_TRACE(Name(form) + ", " + c.name);
      const WeightMatrix shared = packer().TakePart(whole, c.part).value();
      const WeightMatrix copy = packer().TakePart(own, c.part).value();
      EXPECT_EQ(shared.is_shared(), c.shares && reads_host_memory());
      EXPECT_FALSE(copy.is_shared());
      EXPECT_TRUE(WeightForm(copy.format(), copy.spec().group, copy.spec().zero,
                             copy.spec().inputs) == form);
      EXPECT_EQ(Numbers(shared), Pick(numbers, c.part));
      EXPECT_EQ(Numbers(copy), Pick(numbers, c.part));
      for (const int64_t rows : {1, 7, 40, 90}) {
        EXPECT_EQ(Products(shared, rows), Products(copy, rows)) << rows;
      }
    }
  }
}

TEST_P(MatrixPartTest, APartOfAPartIsAPart) {
  const MatrixPart outer = {128, {{0, 32, 128}}, 128, 256}, inner = {32, {{0, 64, 32}}, 128, 128};
  const MatrixPart both = {32, {{0, 96, 32}}, 256, 128};
  for (const WeightForm& form : kForms) {
    const WeightMatrix whole = Share(Pack(MatrixSpec::Of(kRows, kCols, form)));
    const WeightMatrix part = packer().TakePart(whole, outer).value();
    EXPECT_EQ(Numbers(packer().TakePart(part, inner).value()),
              Numbers(packer().TakePart(whole, both).value()))
        << Name(form);
  }
}

// Columns that begin inside a group make smaller groups with the same numbers.
TEST_P(MatrixPartTest, GroupsAreDivided) {
  for (const int64_t group : {64, 128}) {
    for (const ZeroPoint zero : {ZeroPoint::kNone, ZeroPoint::kPerGroup}) {
      const WeightMatrix whole =
          Share(Pack(MatrixSpec::Of(kRows, kCols, {WeightFormat::kI4, group, zero})));
      const MatrixPart part = {kRows, {{0, 0, kRows}}, 32, 200};
      const WeightMatrix taken = packer().TakePart(whole, part).value();
      EXPECT_EQ(taken.spec().group, 32);
      EXPECT_EQ(Numbers(taken), Pick(Numbers(whole), part));
    }
  }
}

// No group begins at such a column, so the integers are rounded again.
TEST_P(MatrixPartTest, ColumnsWithoutAGroupBecomeInt8Rows) {
  const WeightMatrix whole = Share(Pack(MatrixSpec::Of(kRows, kCols, WeightFormat::kI4)));
  const MatrixPart part = {kRows, {{0, 0, kRows}}, 40, 100};
  const WeightMatrix taken = packer().TakePart(whole, part).value();
  EXPECT_EQ(taken.format(), WeightFormat::kI8);
  EXPECT_EQ(taken.spec().group, 0);
  const std::vector<float> expected = Pick(Numbers(whole), part), got = Numbers(taken);
  for (int64_t r = 0; r < kRows; ++r) {
    const auto begin = static_cast<size_t>(r * part.cols);
    float peak = 0;
    for (size_t i = begin; i < begin + 100; ++i) peak = std::max(peak, std::abs(expected[i]));
    for (size_t i = begin; i < begin + 100; ++i) {
      EXPECT_NEAR(got[i], expected[i], peak / 127 * 0.51f);
    }
  }
}

TEST_P(MatrixPartTest, BytesOfAnotherSizeAreRefused) {
  const MatrixSpec spec = MatrixSpec::Of(kRows, kCols, WeightFormat::kI8);
  const auto bytes = std::make_shared<std::vector<std::byte>>(1000);
  const auto adopted = packer().Adopt(spec, {*bytes, bytes});
  ASSERT_FALSE(adopted.ok());
  EXPECT_EQ(adopted.status().code(), StatusCode::kCorrupt);
  EXPECT_NE(adopted.status().message().find("1000"), std::string::npos);
  EXPECT_EQ(packer().PackedBytes(spec).value(),
            static_cast<int64_t>(packer().AllocateMatrix(spec)->size_bytes()));
}

}  // namespace
}  // namespace dray::kernels
