// Beam search gives the sequences and scores of transformers, also where most choices are among
// equal scores. The cases are in tests/golden/beams/search.json, written by make_beam_goldens.py.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "sampling/beams/beam_search.h"

namespace dray::sampling {
namespace {

std::vector<int32_t> Ids(const Json& json) {
  std::vector<int32_t> ids;
  for (const Json& id : *json.AsArray()) ids.push_back(static_cast<int32_t>(*id.AsInt64()));
  return ids;
}

// The scores of each token after each token.
using Table = std::vector<std::vector<float>>;

Table ReadTable(const Json& json) {
  std::vector<float> values;
  for (const Json& value : *json.Find("values")->AsArray()) {
    values.push_back(static_cast<float>(*value.AsDouble()));
  }
  Table table;
  for (const Json& row : *json.Find("rows")->AsArray()) {
    std::vector<float>& scores = table.emplace_back();
    for (const int32_t index : Ids(row)) scores.push_back(values[static_cast<size_t>(index)]);
  }
  return table;
}

BeamSearchSpec ReadSpec(const Json& json) {
  BeamSearchSpec spec = {.num_beams = *json.Find("num_beams")->AsInt64(),
                         .length_penalty = *json.Find("length_penalty")->AsDouble(),
                         .max_new_tokens = *json.Find("max_new_tokens")->AsInt64(),
                         .end_tokens = Ids(*json.Find("ends"))};
  const Json& early_stopping = *json.Find("early_stopping");
  if (early_stopping.AsString() != nullptr) {
    spec.early_stopping = EarlyStopping::kNever;
  } else if (*early_stopping.AsBool()) {
    spec.early_stopping = EarlyStopping::kYes;
  }
  return spec;
}

BeamRow MakeRow(const BeamSearch& search, const std::vector<float>& scores) {
  const auto vocab = static_cast<int64_t>(scores.size());
  RowFilter filter;
  std::vector<int32_t> kept;
  filter.Filter(scores, static_cast<size_t>(search.num_candidates(vocab)), kept);
  BeamRow row;
  if (search.NeedsWholeRows(vocab)) {
    for (int32_t id = 0; id < vocab; ++id) {
      row.continuations.push_back({.token_id = id, .score = scores[static_cast<size_t>(id)]});
    }
    return row;
  }
  for (const int32_t id : kept) {
    row.continuations.push_back({.token_id = id, .score = scores[static_cast<size_t>(id)]});
  }
  return row;
}

BeamSearch Search(const Table& table, const Json& json) {
  BeamSearch search(ReadSpec(json));
  std::vector<int32_t> last = {Ids(*json.Find("prompt")).back()};
  while (!search.done()) {
    std::vector<BeamRow> rows;
    for (const int32_t id : last) rows.push_back(MakeRow(search, table[static_cast<size_t>(id)]));
    EXPECT_TRUE(search.Advance(rows, static_cast<int64_t>(table.size())));
    last.clear();
    for (const BeamSearch::Move& move : search.moves()) last.push_back(move.token_id);
  }
  return search;
}

TEST(BeamSearchGoldenTest, SequencesAndScoresAreThoseOfTransformers) {
  std::ifstream file(SourceDir() / "tests/golden/beams/search.json");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const auto golden = Json::Parse(text);
  ASSERT_TRUE(golden.ok());
  int num_cases = 0;
  for (const Json& entry : *golden->AsArray()) {
    const Table table = ReadTable(entry);
    for (const Json& one : *entry.Find("cases")->AsArray()) {
      SCOPED_TRACE(one.Dump());
      const BeamSearch search = Search(table, one);
      const Json::Array& sequences = *one.Find("sequences")->AsArray();
      const std::vector<Hypothesis> best = search.Best(static_cast<int64_t>(sequences.size()));
      for (size_t i = 0; i < sequences.size(); ++i) {
        std::vector<int32_t> ids;
        for (const Hypothesis::Token& token : best[i].tokens) ids.push_back(token.token.id);
        EXPECT_EQ(ids, Ids(sequences[i]));
        EXPECT_EQ(best[i].score,
                  static_cast<float>(*(*one.Find("scores")->AsArray())[i].AsDouble()));
      }
      ++num_cases;
    }
  }
  EXPECT_EQ(num_cases, 480);
}

}  // namespace
}  // namespace dray::sampling
