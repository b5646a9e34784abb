// Numbers as text and in base64, and the scores of classes.
#include "api/encoder/numbers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace dray::api {
namespace {

using engine::ClassScores;
using V = std::vector<float>;

TEST(NumbersTest, TheShortestTextThatReadsAsTheSameFloat) {
  std::string out = "x";
  AppendNumbers(V{0.1f, -1.0f, 1e-9f, 0.0f}, out);
  EXPECT_EQ(out, "x[0.1,-1,1e-09,0]");
  out.clear();
  AppendNumbers(V{std::numeric_limits<float>::infinity(), NAN}, out);
  EXPECT_EQ(out, "[null,null]");
  out.clear();
  AppendRows(V{1, 2, 3, 4}, 2, out);
  EXPECT_EQ(out, "[[1,2],[3,4]]");
  out.clear();
  AppendNumbers(V{}, out);
  EXPECT_EQ(out, "[]");
}

TEST(NumbersTest, Base64IsLittleEndianFloats) {
  EXPECT_EQ(ToBase64(V{}), "");
  EXPECT_EQ(ToBase64(V{1.0f}), "AACAPw==");
  EXPECT_EQ(ToBase64(V{1.0f, 2.0f}), "AACAPwAAAEA=");
  EXPECT_EQ(ToBase64(V{1.0f, 2.0f, -0.5f}), "AACAPwAAAEAAAAC/");
}

TEST(NumbersTest, Scores) {
  const V softmax = ToScores(V{1, 3, 1}, ClassScores::kSoftmax);
  EXPECT_NEAR(softmax[1], std::exp(2.0) / (2 + std::exp(2.0)), 1e-6);
  EXPECT_NEAR(softmax[0] + softmax[1] + softmax[2], 1, 1e-6);
  EXPECT_NEAR(ToScores(V{1000, 999}, ClassScores::kSoftmax)[0], 1 / (1 + std::exp(-1.0)), 1e-6);
  EXPECT_NEAR(ToScores(V{0, 2}, ClassScores::kSigmoid)[1], 1 / (1 + std::exp(-2.0)), 1e-6);
  EXPECT_EQ(ToScores(V{4, -5}, ClassScores::kNone), (V{4, -5}));
}

TEST(NumbersTest, SortedByScoreTheFirstOfEqualsFirst) {
  const auto sorted = SortedByScore(V{0.2f, 0.5f, 0.2f});
  ASSERT_EQ(sorted.size(), 3u);
  EXPECT_EQ(sorted[0].label_idx, 1u);
  EXPECT_EQ(sorted[1].label_idx, 0u);
  EXPECT_EQ(sorted[2].label_idx, 2u);
}

}  // namespace
}  // namespace dray::api
