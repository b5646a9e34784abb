// Packing and reading back: every source format and stride, parts of panels, the tied embedding.
#include <cmath>

#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

class PackTest : public BackendTest {
 protected:
  WeightMatrix Allocate(const MatrixSpec& spec) {
    return std::move(packer().AllocateMatrix(spec)).value();
  }
  std::vector<float> Unpack(const WeightMatrix& matrix) { return ReadMatrix(*backend_, matrix); }
};
DRAY_FOR_EVERY_BACKEND(PackTest);

// Values as a tensor of `dtype`, and what they are after the rounding to it.
std::vector<std::byte> Encode(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * SizeOf(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    std::byte* p = bytes.data() + i * SizeOf(dtype);
    const double wide = values[i];
    const uint16_t half = dtype == DType::kF16 ? F32ToF16(values[i]) : F32ToBF16(values[i]);
    if (dtype == DType::kF32) {
      std::memcpy(p, &values[i], 4);
    } else if (dtype == DType::kF64) {
      std::memcpy(p, &wide, 8);
    } else {
      std::memcpy(p, &half, 2);
    }
  }
  return bytes;
}

TEST_P(PackTest, EverySourceAndStrideComesBackExactly) {
  for (const auto& [rows, cols] :
       {std::pair<int64_t, int64_t>{1, 1}, {70, 97}, {64, 128}, {200, 300}}) {
    const std::vector<float> values = RandomFloats(rows * cols, 1);
    std::vector<float> transposed(values.size());
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        transposed[static_cast<size_t>(c * rows + r)] = values[static_cast<size_t>(r * cols + c)];
      }
    }
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
      for (const WeightFormat format : kAllFormats) {
        std::vector<float> expected = values;
        for (float& v : expected) v = RoundTo(dtype, v);
        expected = Stored({rows, cols, format}, std::move(expected));
        for (const bool is_transposed : {false, true}) {
          const auto bytes = Encode(dtype, is_transposed ? transposed : values);
          WeightMatrix matrix = Allocate({rows, cols, format});
          ExpectOk(packer().PackRows(matrix, 0,
                                     {bytes.data(), dtype, rows, cols, is_transposed ? 1 : cols,
                                      is_transposed ? rows : 1}));
          EXPECT_EQ(Unpack(matrix), expected)
              << Name(dtype) << " to " << Name(format) << (is_transposed ? ", transposed" : "");
        }
      }
    }
  }
}

// Files put tensors anywhere. Under the sanitizers this also shows that no load assumes more.
TEST_P(PackTest, SourcesNeedNoAlignment) {
  constexpr int64_t kRows = 70, kCols = 97;
  const auto pack = [&](const std::byte* data, DType dtype, WeightFormat format,
                        bool is_transposed) {
    const int64_t row_stride = is_transposed ? 1 : kCols;
    const int64_t col_stride = is_transposed ? kRows : 1;
    WeightMatrix matrix = Allocate({kRows, kCols, format});
    ExpectOk(packer().PackRows(matrix, 0, {data, dtype, kRows, kCols, row_stride, col_stride}));
    return Unpack(matrix);
  };
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
    const auto bytes = Encode(dtype, RandomFloats(kRows * kCols, 6));
    for (const WeightFormat format : kAllFormats) {
      for (const bool is_transposed : {false, true}) {
        const auto expected = pack(bytes.data(), dtype, format, is_transposed);
        for (const size_t shift : {1, 2, 3, 7}) {
          std::vector<std::byte> shifted(bytes.size() + shift);
          std::memcpy(shifted.data() + shift, bytes.data(), bytes.size());
          EXPECT_EQ(pack(shifted.data() + shift, dtype, format, is_transposed), expected)
              << Name(dtype) << " to " << Name(format) << " at byte " << shift;
        }
      }
    }
  }
}

// A source of 70 x 97 weights of any format, by rows or by columns.
struct RandomSource {
  static constexpr int64_t kRows = 70, kCols = 97;

  RandomSource(DType dtype, bool is_transposed) {
    values = RandomFloats(kRows * kCols, 8);
    for (float& v : values) v = RoundTo(dtype, v);
    std::vector<float> stored = values;
    for (int64_t r = 0; r < kRows && is_transposed; ++r) {
      for (int64_t c = 0; c < kCols; ++c) {
        stored[static_cast<size_t>(c * kRows + r)] = values[static_cast<size_t>(r * kCols + c)];
      }
    }
    bytes = Encode(dtype, stored);
    rows = {
        bytes.data(), dtype, kRows, kCols, is_transposed ? 1 : kCols, is_transposed ? kRows : 1};
  }

  std::vector<float> values;  // row-major
  std::vector<std::byte> bytes;
  SourceRows rows;
};

TEST_P(PackTest, FactorsMultiplyRowsAndColumns) {
  constexpr int64_t kRows = RandomSource::kRows, kCols = RandomSource::kCols;
  std::vector<float> row_factors, column_factors;
  for (int i = 0; i < kRows; ++i) row_factors.push_back(std::exp2(static_cast<float>(i % 5 - 2)));
  for (int i = 0; i < kCols; ++i)
    column_factors.push_back(std::exp2(static_cast<float>(i % 7 - 3)));
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
    for (const bool is_transposed : {false, true}) {
      const RandomSource source(dtype, is_transposed);
      for (int which = 1; which < 4; ++which) {
        SourceRows rows = source.rows;
        std::vector<float> products = source.values;
        if (which & 1) rows.row_factors = row_factors.data();
        if (which & 2) rows.column_factors = column_factors.data();
        for (size_t i = 0; i < products.size(); ++i) {
          if (which & 1) products[i] *= row_factors[i / kCols];
          if (which & 2) products[i] *= column_factors[i % kCols];
        }
        for (const WeightForm& form : kAllForms) {
          const MatrixSpec spec = MatrixSpec::Of(kRows, kCols, form);
          WeightMatrix matrix = Allocate(spec);
          ExpectOk(packer().PackRows(matrix, 0, rows));
          EXPECT_EQ(Unpack(matrix), Unpack(PackFloats(*backend_, spec, products)))
              << Name(dtype) << " to " << Name(form) << (is_transposed ? ", transposed" : "");
        }
      }
    }
  }
}

TEST_P(PackTest, SquaresAreAddedUpByRowsAndColumns) {
  constexpr int64_t kRows = RandomSource::kRows, kCols = RandomSource::kCols;
  const std::vector<float> sizes = RandomFloats(kCols, 9);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
    for (const bool is_transposed : {false, true}) {
      const RandomSource source(dtype, is_transposed);
      std::vector<double> rows(kRows), columns(kCols, 5.0), row_sums(kRows),
          column_sums(kCols, 5.0);
      packer().AddSquares(source.rows, {columns, rows, sizes});
      for (size_t i = 0; i < source.values.size(); ++i) {
        const double value = source.values[i],
                     sized = value * static_cast<double>(sizes[i % kCols]);
        row_sums[i / kCols] += sized * sized;
        column_sums[i % kCols] += value * value;
      }
      for (size_t r = 0; r < kRows; ++r) EXPECT_NEAR(rows[r], row_sums[r], 1e-12 * row_sums[r]);
      for (size_t c = 0; c < kCols; ++c) {
        EXPECT_NEAR(columns[c], column_sums[c], 1e-12 * column_sums[c]) << Name(dtype);
      }
    }
  }
}

TEST_P(PackTest, EachKindOfSquaresAloneIsAsBesideTheOther) {
  // More columns than are read at a time.
  constexpr int64_t kRows = 70, kCols = 2500;
  const std::vector<float> values = RandomFloats(kRows * kCols, 11),
                           sizes = RandomFloats(kCols, 12), factors = RandomFloats(kRows, 13);
  for (const bool is_transposed : {false, true}) {
    SourceRows source = {values.data(), DType::kF32, kRows, kCols, kCols, 1};
    if (is_transposed) {
      source.row_stride = 1;
      source.col_stride = kRows;
    }
    source.row_factors = factors.data();
    std::vector<double> rows(kRows), columns(kCols), rows_alone(kRows), columns_alone(kCols);
    packer().AddSquares(source, {columns, rows, sizes});
    packer().AddSquares(source, {.columns = {}, .rows = rows_alone, .column_sizes = sizes});
    packer().AddSquares(source, {.columns = columns_alone, .rows = {}, .column_sizes = {}});
    EXPECT_EQ(rows_alone, rows);
    EXPECT_EQ(columns_alone, columns);
  }
}

TEST_P(PackTest, SquaresOverTheRowsAreThoseOfTwoCalls) {
  // More rows than a block has and more columns than are read at a time, and not a multiple of any.
  constexpr int64_t kRows = 70, kCols = 2500;
  std::vector<float> values = RandomFloats(kRows * kCols, 11);
  const std::vector<float> sizes = RandomFloats(kCols, 12);
  for (const bool is_transposed : {false, true}) {
    SourceRows source = {values.data(), DType::kF32, kRows, kCols, kCols, 1};
    if (is_transposed) {
      source.row_stride = 1;
      source.col_stride = kRows;
    }
    for (int64_t c = 0; c < kCols; ++c) {  // a row of zeros
      values[static_cast<size_t>(33 * source.row_stride + c * source.col_stride)] = 0;
    }
    std::vector<double> rows(kRows), columns(kCols, 5.0), both_rows(kRows),
        both_columns(kCols, 5.0);
    packer().AddSquares(source, {.columns = {}, .rows = rows, .column_sizes = sizes});
    std::vector<float> factors;
    for (const double sum : rows) {
      factors.push_back(static_cast<float>(sum > 0 ? 1 / std::sqrt(sum) : 0));
    }
    EXPECT_EQ(factors[33], 0.0f);
    SourceRows scaled = source;
    scaled.row_factors = factors.data();
    packer().AddSquares(scaled, {.columns = columns, .rows = {}, .column_sizes = {}});
    packer().AddSquares(source, {both_columns, both_rows, sizes, true});
    EXPECT_EQ(both_rows, rows);
    EXPECT_EQ(both_columns, columns);
  }
}

// Enough rows that threads share them.
TEST_P(PackTest, SumsOfSquaresDoNotDependOnThreads) {
  constexpr int64_t kRows = 300, kCols = 200;
  const std::vector<float> values = RandomFloats(kRows * kCols, 10), ones(kCols, 1.0f);
  std::vector<double> rows(kRows), columns(kCols), other_rows(kRows), other_columns(kCols);
  const SourceRows source = {values.data(), DType::kF32, kRows, kCols, kCols, 1};
  packer().AddSquares(source, {columns, rows, ones});
  MakeTestBackend(GetParam(), 1)->packer().AddSquares(source, {other_columns, other_rows, ones});
  EXPECT_EQ(rows, other_rows);
  EXPECT_EQ(columns, other_columns);
}

TEST_P(PackTest, PanelsFillFromManyParts) {
  constexpr int64_t kRows = 180, kCols = 77;
  const std::vector<float> values = RandomFloats(kRows * kCols, 2);
  for (const WeightForm& form : kAllForms) {
    const MatrixSpec spec = MatrixSpec::Of(kRows, kCols, form);
    WeightMatrix matrix = Allocate(spec);
    for (int64_t part = 8; part >= 0; --part) {  // heads of 20 rows, in any order
      ExpectOk(
          packer().PackRows(matrix, part * 20,
                            {values.data() + part * 20 * kCols, DType::kF32, 20, kCols, kCols, 1}));
    }
    EXPECT_EQ(Unpack(matrix), Stored(spec, values)) << Name(form);
  }
}

TEST_P(PackTest, AllocatedMatrixIsZero) {
  const WeightMatrix matrix = Allocate({40, 50, WeightFormat::kBF16});
  EXPECT_EQ(Unpack(matrix), std::vector<float>(40 * 50, 0.0f));
}

TEST_P(PackTest, ImpossibleMatricesAreErrors) {
  const auto matrix = packer().AllocateMatrix({int64_t{1} << 39, int64_t{1} << 39});
  ASSERT_FALSE(matrix.ok());
  EXPECT_EQ(matrix.status().code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(packer().AllocateMatrix({-1, 4}).ok());
  const auto wide = packer().AllocateMatrix({8, 65537, WeightFormat::kI8});
  ASSERT_FALSE(wide.ok());
  EXPECT_EQ(wide.status().code(), StatusCode::kUnsupported);
}

TEST_P(PackTest, EmbedAddsWhenAsked) {
  const TestMatrix table = MakeMatrix(*backend_, {419, 52, WeightFormat::kF16}, 3);
  const std::vector<int32_t> ids = {418, 0, 17, 17};
  const std::vector<float> before = RandomFloats(4 * 52, 4);
  const auto device_ids = Device(ids);
  const auto device_out = Device(before);
  ops().Embed({.table = &table.packed,
               .ids = device_ids.data(),
               .num_tokens = 4,
               .out = Rows(device_out, 52),
               .mode = WriteMode::kAdd});
  const std::vector<float> out = device_out.ToHost();
  for (size_t t = 0; t < 4; ++t) {
    for (size_t c = 0; c < 52; ++c) {
      EXPECT_EQ(out[t * 52 + c],
                before[t * 52 + c] + table.values[static_cast<size_t>(ids[t]) * 52 + c]);
    }
  }
}

TEST_P(PackTest, EmbedWritesZerosForRowsThatAreElsewhere) {
  const TestMatrix table = MakeMatrix(*backend_, {40, 300, WeightFormat::kBF16}, 3);
  const std::vector<float> before = RandomFloats(3 * 300, 4);
  for (const WriteMode mode : {WriteMode::kOverwrite, WriteMode::kAdd}) {
    const auto device_ids = Device(std::vector<int32_t>{-1, 7, -1});
    const auto device_out = Device(before);
    ops().Embed({.table = &table.packed,
                 .ids = device_ids.data(),
                 .num_tokens = 3,
                 .out = Rows(device_out, 300),
                 .mode = mode});
    const std::vector<float> out = device_out.ToHost();
    for (size_t i = 0; i < out.size(); ++i) {
      const float old = mode == WriteMode::kAdd ? before[i] : 0.0f;
      EXPECT_EQ(out[i], i / 300 == 1 ? old + table.values[7 * 300 + i % 300] : old);
    }
  }
}

TEST_P(PackTest, OneMatrixServesEmbeddingAndHead) {
  const TestMatrix table = MakeMatrix(*backend_, {45, 64, WeightFormat::kBF16}, 5);
  std::vector<float> one_hot(64, 0.0f);
  one_hot[37] = 1.0f;
  const std::vector<float> column = RunLinear(*backend_, table.packed, one_hot, 1);
  const std::vector<float> rows = Unpack(table.packed);
  for (size_t r = 0; r < 45; ++r) {
    EXPECT_EQ(column[r], table.values[r * 64 + 37]);
    EXPECT_EQ(rows[r * 64 + 37], table.values[r * 64 + 37]);
  }
}

}  // namespace
}  // namespace dray::kernels
