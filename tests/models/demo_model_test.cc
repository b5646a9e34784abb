// The demo model against transformers: the same ids for a text, and the same greedy tokens as long
// as the best token is clear.
#include <gtest/gtest.h>

#include <memory>

#include "base/file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "engine/engine_core.h"
#include "testing/engine_support.h"
#include "tokenizer/tokenizer.h"

namespace dray::engine {
namespace {

const std::filesystem::path kDemo = SourceDir() / "models/demo";

// If two logits are nearer than this, another order of summation may swap them: the models' float32
// noise is below 2e-4.
constexpr double kClearGap = 1e-3;

std::vector<int32_t> Ints(const Json& json) {
  std::vector<int32_t> values;
  for (const Json& value : *json.AsArray())
    values.push_back(static_cast<int32_t>(*value.AsInt64()));
  return values;
}

TEST(DemoModelTest, IdsAndGreedyTokensAreThoseOfTransformers) {
  const Json golden = Json::Parse(ReadFile(kDemo / "golden.json", 1 << 20).value()).value();
  const auto tokenizer = tokenizer::Tokenizer::Load(kDemo);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  auto model = LoadModel({.model_dir = kDemo,
                          .format = kernels::WeightFormat::kF32,
                          .backend_options = {.cpu = {.num_threads = 1}}});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  auto core = EngineCore::Make(**model, {.max_sequences = 4});
  ASSERT_TRUE(core.ok()) << core.status().ToString();
  size_t compared = 0;
  uint64_t id = 0;
  for (const Json& prompt : *golden.Find("prompts")->AsArray()) {
    const std::string& text = *prompt.Find("text")->AsString();
    const auto ids = Ints(*prompt.Find("ids"));
    EXPECT_EQ((*tokenizer)->Encode(text, {}).value(), ids) << text;
    const auto sink = std::make_shared<RecordingSink>();
    (*core)->Add(RequestId(++id), MakeRequest(ids, 64), sink);
    while ((*core)->Step()) {
    }
    const auto greedy = Ints(*prompt.Find("greedy_float32"));
    const auto& gaps = *prompt.Find("gaps_float32")->AsArray();
    ASSERT_EQ(sink->Ids().size(), greedy.size());
    for (size_t i = 0; i < greedy.size(); ++i) {
      const bool same = sink->Ids()[i] == greedy[i];
      if (!same) {
        EXPECT_LT(*gaps[i].AsDouble(), kClearGap) << text << ", step " << i;
        break;
      }
      ++compared;
    }
  }
  EXPECT_GT(compared, 100u);
}

}  // namespace
}  // namespace dray::engine
