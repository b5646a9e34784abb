// Beam search that samples gives each sequence as often as transformers does. The counts are in
// tests/golden/beams/draws.json, written by make_beam_goldens.py: of searches over a table in which the
// next token's scores depend on the last token alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "sampling/beams/beam_sampler.h"

namespace dray::sampling {
namespace {

using Table = std::vector<std::vector<float>>;  // [last token][next token]
using Counts = std::map<std::string, double>;

std::vector<int32_t> Ids(const Json& json) {
  std::vector<int32_t> ids;
  for (const Json& id : *json.AsArray()) ids.push_back(static_cast<int32_t>(*id.AsInt64()));
  return ids;
}

Table ReadTable(const Json& json) {
  const Json::Array& values = *json.Find("values")->AsArray();
  Table table;
  for (const Json& row : *json.Find("rows")->AsArray()) {
    std::vector<float>& scores = table.emplace_back();
    for (const int32_t index : Ids(row)) {
      scores.push_back(static_cast<float>(*values[static_cast<size_t>(index)].AsDouble()));
    }
  }
  return table;
}

SamplingParams ReadParams(const Json& json) {
  SamplingParams params;
  params.do_sample = true;
  params.ignore_eos = true;
  params.stop_token_ids = Ids(*json.Find("ends"));
  params.num_beams = *json.Find("num_beams")->AsInt64();
  params.max_new_tokens = *json.Find("max_new_tokens")->AsInt64();
  params.temperature = *json.Find("temperature")->AsDouble();
  params.top_k = *json.Find("top_k")->AsInt64();
  params.top_p = *json.Find("top_p")->AsDouble();
  params.length_penalty = *json.Find("length_penalty")->AsDouble();
  return params;
}

// The best sequence, as the golden file writes it.
std::string Search(const Table& table, const SamplingParams& params,
                   const std::vector<int32_t>& prompt) {
  BeamSampler sampler({.params = params, .prompt = prompt});
  SamplingWorkspace workspace;
  std::vector<int32_t> last = {prompt.back()};
  while (!sampler.search().done()) {
    for (size_t beam = 0; beam < last.size(); ++beam) {
      std::vector<float> logits = table[static_cast<size_t>(last[beam])];
      EXPECT_TRUE(sampler.Take(static_cast<int64_t>(beam), logits, workspace).ok());
    }
    EXPECT_TRUE(sampler.Advance().ok());
    last.clear();
    for (const BeamSearch::Move& move : sampler.search().moves()) last.push_back(move.token_id);
  }
  const std::vector<Hypothesis> best = sampler.search().Best(1);
  std::string text;
  for (const TokenTree::Token& token : best.front().tokens) {
    text += (text.empty() ? "" : " ") + std::to_string(token.token.id);
  }
  return text;
}

// Half the sum of the differences of two distributions, given as counts of as many draws.
double Distance(Counts counts, const Counts& others, double num_draws) {
  for (const auto& [sequence, count] : others) counts[sequence] -= count;
  double sum = 0;
  for (const auto& [sequence, difference] : counts) sum += std::abs(difference);
  return sum / (2 * num_draws);
}

TEST(BeamDrawsGoldenTest, SequencesAreAsFrequentAsThoseOfTransformers) {
  std::ifstream file(SourceDir() / "tests/golden/beams/draws.json");
  const auto golden = Json::Parse(std::string(std::istreambuf_iterator<char>(file), {}));
  ASSERT_TRUE(golden.ok());
  const Json& entry = golden->AsArray()->front();
  const Table table = ReadTable(entry);
  for (const Json& one : *entry.Find("cases")->AsArray()) {
    SCOPED_TRACE(one.Dump());
    Counts expected, counts;
    double num_draws = 0;
    for (const auto& [sequence, count] : *one.Find("counts")->AsObject()) {
      expected[sequence] = *count.AsDouble();
      num_draws += expected[sequence];
    }
    SamplingParams params = ReadParams(one);
    for (uint64_t seed = 0; seed < static_cast<uint64_t>(num_draws); ++seed) {
      params.seed = seed;
      ++counts[Search(table, params, Ids(*one.Find("prompt")))];
    }
    // Two samples of n draws from one distribution over k sequences differ by at most
    // sqrt(k / (pi * n)) in the mean.
    const auto num_sequences = static_cast<double>(std::max(expected.size(), counts.size()));
    EXPECT_LT(Distance(counts, expected, num_draws), std::sqrt(num_sequences / (M_PI * num_draws)));
  }
}

}  // namespace
}  // namespace dray::sampling
