// Tied heads as real files have them: stored twice, stored once under either name, or tied only in
// config.json.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/file.h"
#include "base/parse/json.h"
#include "engine/engine_core.h"
#include "testing/engine_support.h"

namespace dray::engine {
namespace {

namespace fs = std::filesystem;

// A copy of a golden model's directory that a test may change.
fs::path CopyOf(const testing::GoldenModel& golden, const std::string& name) {
  const fs::path dir = fs::path(::testing::TempDir()) / ("tied-" + name);
  fs::remove_all(dir);
  fs::copy(golden.dir, dir);
  return dir;
}

void Write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

void ExpectGreedy(LoadedModel& model, const testing::GoldenPrompt& prompt) {
  auto core = EngineCore::Make(model, {.max_sequences = 1, .max_context_tokens = 320});
  ASSERT_TRUE(core.ok()) << core.status().ToString();
  const auto sink = std::make_shared<RecordingSink>();
  const auto new_tokens = static_cast<int64_t>(prompt.greedy.size());
  (*core)->Add(RequestId(1), MakeRequest(prompt.ids, new_tokens), sink);
  while ((*core)->Step()) {
  }
  EXPECT_EQ(sink->Ids(), prompt.greedy);
}

TEST(TiedHeadTest, EqualHeadStaysTied) {
  const auto model = LoadGolden(testing::ReadGoldenModel("qwen3"));
  ASSERT_NE(model, nullptr);
  EXPECT_TRUE(model->description.config.tied_head);
  EXPECT_EQ(model->ranks[0].weights.Matrix(model::Slot::kHead), nullptr);
}

TEST(TiedHeadTest, HeadAloneServesAsTable) {
  testing::GoldenModel golden = testing::ReadGoldenModel("qwen3");
  golden.dir = CopyOf(golden, "head-alone");
  const fs::path path = golden.dir / "model.safetensors";
  std::string bytes = ReadFile(path, 1 << 24).value();
  const size_t place = bytes.find("model.embed_tokens.weight");
  ASSERT_NE(place, std::string::npos);
  bytes.replace(place, 25, "model.other_tokens.weight");
  Write(path, bytes);
  const auto model = LoadGolden(golden);
  ASSERT_NE(model, nullptr);
  EXPECT_TRUE(model->description.config.tied_head);
  ExpectGreedy(*model, golden.prompts.front());
}

TEST(TiedHeadTest, DifferentHeadIsUsed) {
  testing::GoldenModel golden = testing::ReadGoldenModel("gpt_neox");
  golden.dir = CopyOf(golden, "different");
  const fs::path path = golden.dir / "config.json";
  Json config = Json::Parse(ReadFile(path, 1 << 20).value()).value();
  config.Set("tie_word_embeddings", true);
  Write(path, config.Dump());
  const auto model = LoadGolden(golden);
  ASSERT_NE(model, nullptr);
  EXPECT_FALSE(model->description.config.tied_head);
  ExpectGreedy(*model, golden.prompts.front());
}

}  // namespace
}  // namespace dray::engine
