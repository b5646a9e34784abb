// Our code and Hugging Face transformers give the same results for the same rows of logits. The
// latter's are in tests/golden/sampling.json, written by make_sampling_goldens.py beside it.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "sampling/candidates.h"
#include "sampling/processors.h"

namespace dray::sampling {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

std::vector<int32_t> Ids(const Json& json) {
  std::vector<int32_t> ids;
  for (const Json& id : *json.AsArray()) ids.push_back(static_cast<int32_t>(*id.AsInt64()));
  return ids;
}

std::vector<float> Row(const Json& json) {
  std::vector<float> row;
  for (const Json& value : *json.AsArray()) {
    row.push_back(value.is_null() ? kMasked : static_cast<float>(*value.AsDouble()));
  }
  return row;
}

SamplingParams ReadParams(const Json& json) {
  SamplingParams params;
  for (const auto& [name, value] : *json.AsObject()) {
    if (name == "temperature") params.temperature = *value.AsDouble();
    if (name == "top_k") params.top_k = *value.AsInt64();
    if (name == "top_p") params.top_p = *value.AsDouble();
    if (name == "min_p") params.min_p = *value.AsDouble();
    if (name == "typical_p") params.typical_p = *value.AsDouble();
    if (name == "repetition_penalty") params.repetition_penalty = *value.AsDouble();
    if (name == "min_new_tokens") params.min_new_tokens = *value.AsInt64();
    if (name == "bad_words") {
      for (const Json& word : *value.AsArray()) params.bad_words.push_back(Ids(word));
    }
    if (name != "logit_bias") continue;
    for (const Json& entry : *value.AsArray()) {
      const Json::Array& pair = *entry.AsArray();
      params.logit_bias.push_back({static_cast<int32_t>(*pair[0].AsInt64()), *pair[1].AsDouble()});
    }
  }
  return params;
}

class GoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ifstream file(SourceDir() / "tests/golden/sampling.json");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    auto golden = Json::Parse(text);
    ASSERT_TRUE(golden.ok()) << golden.status().ToString();
    golden_ = std::move(golden).value();
  }

  // The case's row of logits after ProcessLogits.
  std::vector<float> Processed(const Json& golden_case, const SamplingParams& params) const {
    TokenHistory history(params, Ids(*golden_.Find("prompt")));
    for (const int32_t id : Ids(*golden_.Find("generated"))) history.Append(id);
    const auto row = static_cast<size_t>(*golden_case.Find("row")->AsInt64());
    std::vector<float> logits = Row((*golden_.Find("rows")->AsArray())[row]);
    ProcessLogits(params, history, Ids(*golden_.Find("eos_token_ids")), logits);
    return logits;
  }

  Json golden_;
};

TEST_F(GoldenTest, ProcessedLogitsAgree) {
  int num_checked = 0;
  for (const Json& golden_case : *golden_.Find("cases")->AsArray()) {
    const Json& json = *golden_case.Find("params");
    bool samples = false;
    for (const char* name : {"temperature", "top_k", "top_p", "min_p", "typical_p"}) {
      samples |= json.Find(name) != nullptr;
    }
    if (samples) continue;
    SCOPED_TRACE(json.Dump());
    const std::vector<float> logits = Processed(golden_case, ReadParams(json));
    const std::vector<float> expected = Row(*golden_case.Find("expected"));
    ASSERT_EQ(logits.size(), expected.size());
    for (size_t i = 0; i < logits.size(); ++i) {
      if (expected[i] == kMasked) {
        EXPECT_EQ(logits[i], kMasked) << i;
      } else {
        EXPECT_NEAR(logits[i], expected[i], 1e-6 * std::max(1.0f, std::abs(expected[i]))) << i;
      }
    }
    ++num_checked;
  }
  EXPECT_EQ(num_checked, 27);
}

// The softmax of a row.
std::vector<double> Softmax(const std::vector<float>& row) {
  const float max = MaxLogit(row);
  std::vector<double> probabilities;
  double sum = 0;
  for (const float logit : row) {
    probabilities.push_back(std::exp(static_cast<double>(logit) - max));
    sum += probabilities.back();
  }
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

TEST_F(GoldenTest, ProbabilitiesAgree) {
  SamplingWorkspace workspace;
  for (const Json& golden_case : *golden_.Find("cases")->AsArray()) {
    SCOPED_TRACE(golden_case.Find("params")->Dump() + " row " + golden_case.Find("row")->Dump());
    const SamplingParams params = ReadParams(*golden_case.Find("params"));
    std::vector<float> logits = Processed(golden_case, params);
    SelectCandidates(params, MaxLogit(logits), logits, workspace);
    const std::vector<float> expected = Row(*golden_case.Find("expected"));
    const std::vector<double> probabilities = Softmax(expected);
    double total = 0;
    for (const Candidate& candidate : workspace.candidates()) total += candidate.weight;
    // A float logit has an error of up to 6e-8 times its size. The probability made from it has
    // about that relative error.
    float size = 1;
    for (const float logit : expected)
      size = logit == kMasked ? size : std::max(size, std::abs(logit));
    const double tolerance = 2e-7 * size;
    std::vector<bool> kept(expected.size(), false);
    for (const Candidate& candidate : workspace.candidates()) {
      kept[candidate.token_id] = true;
      // A low temperature makes logits of size 1000, whose absolute error in float is 6e-5.
      EXPECT_NEAR(candidate.weight / total, probabilities[candidate.token_id], tolerance)
          << candidate.token_id;
    }
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(kept[i], expected[i] != kMasked) << "token " << i;
    }
  }
}

}  // namespace
}  // namespace dray::sampling
