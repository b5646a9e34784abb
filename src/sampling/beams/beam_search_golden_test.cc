// Beam search gives the sequences and scores of transformers, also where most choices are among
// equal scores. The cases are in tests/golden/beams/search.json, written by make_beam_goldens.py, and in
// groups.json, written by make_group_goldens.py.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
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
  if (const Json* groups = json.Find("num_beam_groups")) spec.num_groups = *groups->AsInt64();
  if (!spec.end_tokens.empty()) spec.pad_token = spec.end_tokens.front();
  return spec;
}

BeamRow MakeRow(const BeamSearch& search, const std::vector<float>& scores) {
  const auto vocab = static_cast<int64_t>(scores.size());
  RowFilter filter;
  std::vector<int32_t> kept;
  filter.Filter(scores, static_cast<size_t>(search.ranking().num_candidates(vocab)), kept);
  BeamRow row;
  if (search.ranking().NeedsWholeRows(vocab)) {
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

// The row of `scores` in a group: less likely are the tokens that earlier groups have chosen.
std::vector<float> Penalized(const BeamSearch& search, int64_t group, float penalty,
                             std::vector<float> scores) {
  std::vector<float> counts(scores.size(), 0.0F);
  const auto num_earlier = static_cast<size_t>(group * search.group_size());
  for (const BeamSearch::Move& move : search.moves().first(num_earlier)) {
    ++counts[static_cast<size_t>(move.token_id)];
  }
  for (size_t id = 0; id < scores.size(); ++id) scores[id] -= penalty * counts[id];
  return scores;
}

std::unique_ptr<BeamSearch> Search(const Table& table, const Json& json) {
  std::unique_ptr<BeamSearch> search = MakeBeamSearch(ReadSpec(json));
  const Json* const diversity = json.Find("diversity_penalty");
  const float penalty = diversity == nullptr ? 0.0F : static_cast<float>(*diversity->AsDouble());
  // [beam]: its last token
  std::vector<int32_t> last(static_cast<size_t>(search->num_beams()),
                            Ids(*json.Find("prompt")).back());
  while (!search->done()) {
    const int64_t num_rows = search->num_steps() == 0 ? 1 : search->group_size();
    for (int64_t group = 0; group < search->num_groups(); ++group) {
      std::vector<BeamRow> rows;
      for (int64_t beam = 0; beam < num_rows; ++beam) {
        const auto token = last[static_cast<size_t>(group * search->group_size() + beam)];
        rows.push_back(MakeRow(
            *search, Penalized(*search, group, penalty, table[static_cast<size_t>(token)])));
      }
      EXPECT_TRUE(search->Advance(group, rows, static_cast<int64_t>(table.size())));
    }
    for (size_t beam = 0; beam < last.size(); ++beam) last[beam] = search->moves()[beam].token_id;
  }
  return search;
}

// Compares all searches of a file; returns how many there are.
int CompareWith(const std::string& name) {
  std::ifstream file(SourceDir() / "tests/golden/beams" / name);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const auto golden = Json::Parse(text);
  EXPECT_TRUE(golden.ok());
  int num_cases = 0;
  for (const Json& entry : *golden->AsArray()) {
    const Table table = ReadTable(entry);
    for (const Json& one : *entry.Find("cases")->AsArray()) {
      SCOPED_TRACE(one.Dump());
      const auto search = Search(table, one);
      const Json::Array& sequences = *one.Find("sequences")->AsArray();
      const std::vector<Hypothesis> best = search->Best(static_cast<int64_t>(sequences.size()));
      for (size_t i = 0; i < sequences.size(); ++i) {
        std::vector<int32_t> ids;
        for (const TokenTree::Token& token : best[i].tokens) ids.push_back(token.token.id);
        EXPECT_EQ(ids, Ids(sequences[i]));
        EXPECT_EQ(best[i].score,
                  static_cast<float>(*(*one.Find("scores")->AsArray())[i].AsDouble()));
      }
      ++num_cases;
    }
  }
  return num_cases;
}

TEST(BeamSearchGoldenTest, OneGroupGivesWhatTransformersGives) {
  EXPECT_EQ(CompareWith("search.json"), 480);
}

TEST(BeamSearchGoldenTest, GroupsGiveWhatTransformersGives) {
  EXPECT_EQ(CompareWith("groups.json"), 300);
}

}  // namespace
}  // namespace dray::sampling
