// Frequencies and rows against transformers (tests/golden/rope.json), through the reading of the
// configuration, so that a misread parameter shows as well.
#include "model/forward/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/testing/source_dir.h"
#include "model/testing/config_testing.h"

namespace dray::model {
namespace {

const Json& Goldens() {
  static const Json goldens = [] {
    const auto text = ReadFile(SourceDir() / "tests/golden/rope.json", 16 << 20);
    EXPECT_TRUE(text.ok()) << text.status().ToString();
    return MustParse(text.ok() ? *text : "[]");
  }();
  return goldens;
}

std::vector<float> Floats(const Json& list) {
  std::vector<float> values;
  for (const Json& value : *list.AsArray()) {
    values.push_back(static_cast<float>(*value.AsDouble()));
  }
  return values;
}

// Two units in the last place: the powers of two libraries may differ by one, and a frequency is
// rounded again after that. Most are equal.
constexpr float kFrequencyTolerance = 2.5f * std::numeric_limits<float>::epsilon();

void ExpectFrequencies(const RopeConfig& rope, const Json& golden) {
  const int64_t seq_len = *golden.Find("seq_len")->AsInt64();
  const auto expected = Floats(*golden.Find("values"));
  const auto actual = InverseFrequencies(rope, seq_len);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], kFrequencyTolerance * expected[i])
        << "pair " << i << " of " << seq_len << " tokens";
  }
}

// A frequency that is off by its tolerance turns `position` angles off by as much times position.
void ExpectRow(const RopeConfig& rope, const Json& golden) {
  const int64_t position = *golden.Find("position")->AsInt64();
  const auto cosines = Floats(*golden.Find("cos"));
  const auto sines = Floats(*golden.Find("sin"));
  const auto frequencies = InverseFrequencies(rope, position + 1);
  std::vector<float> row(static_cast<size_t>(rope.dim));
  WriteCosSin(rope, frequencies, position, row);
  const size_t half = row.size() / 2;
  ASSERT_EQ(cosines.size(), half);
  for (size_t i = 0; i < half; ++i) {
    const float angle = static_cast<float>(position) * frequencies[i];
    const float tolerance = 3e-7f + kFrequencyTolerance * angle;
    EXPECT_NEAR(row[i], cosines[i], tolerance) << "cosine " << i << " at " << position;
    EXPECT_NEAR(row[half + i], sines[i], tolerance) << "sine " << i << " at " << position;
  }
}

TEST(RopeTest, MatchesTransformers) {
  const Json::Array& cases = *Goldens().AsArray();
  ASSERT_EQ(cases.size(), 30u);
  for (const Json& golden : cases) {
    SCOPED_TRACE(*golden.Find("name")->AsString());
    const RopeConfig rope = MustRead(*golden.Find("config")).stack.rope;
    EXPECT_DOUBLE_EQ(rope.attention_factor, *golden.Find("attention_factor")->AsDouble());
    for (const Json& entry : *golden.Find("frequencies")->AsArray()) ExpectFrequencies(rope, entry);
    for (const Json& entry : *golden.Find("rows")->AsArray()) ExpectRow(rope, entry);
  }
}

TEST(RopeTest, OnlyDynamicDependsOnLength) {
  for (const Json& golden : *Goldens().AsArray()) {
    const RopeConfig rope = MustRead(*golden.Find("config")).stack.rope;
    const bool same = InverseFrequencies(rope, 1) == InverseFrequencies(rope, 7000);
    EXPECT_EQ(same, rope.scaling != RopeScaling::kDynamic) << *golden.Find("name")->AsString();
  }
}

TEST(RopeTest, RowsOfSmallAnglesByHand) {
  RopeConfig rope;
  rope.dim = 4;
  rope.exponent_dim = 4;
  rope.base = 100.0;
  rope.attention_factor = 2.0;
  const auto frequencies = InverseFrequencies(rope, 1);
  EXPECT_EQ(frequencies, (std::vector<float>{1.0f, 0.1f}));
  std::vector<float> row(4);
  WriteCosSin(rope, frequencies, 3, row);
  EXPECT_FLOAT_EQ(row[0], static_cast<float>(2.0 * std::cos(3.0)));
  EXPECT_FLOAT_EQ(row[1], static_cast<float>(2.0 * std::cos(0.3)));
  EXPECT_FLOAT_EQ(row[2], static_cast<float>(2.0 * std::sin(3.0)));
  EXPECT_FLOAT_EQ(row[3], static_cast<float>(2.0 * std::sin(0.3)));
}

}  // namespace
}  // namespace dray::model
