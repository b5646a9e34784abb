// Each golden model's configuration is written in the spelling of transformers 4 and in that of
// transformers 5. Both must resolve to the same model, without a warning.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/testing/source_dir.h"
#include "model/testing/config_testing.h"

namespace dray::model {
namespace {

Json ReadJson(const std::filesystem::path& path) {
  const auto text = ReadFile(path, 1 << 20);
  EXPECT_TRUE(text.ok()) << text.status().ToString();
  return MustParse(text.ok() ? *text : "{}");
}

TEST(ConfigGoldenTest, BothSpellingsAreOneModel) {
  const auto models = SourceDir() / "tests" / "golden" / "models";
  int count = 0;
  testing::internal::CaptureStderr();
  for (const auto& entry : std::filesystem::directory_iterator(models)) {
    SCOPED_TRACE(entry.path().string());
    const ModelConfig renewed = MustRead(ReadJson(entry.path() / "config.json"));
    ModelConfig old = MustRead(ReadJson(entry.path() / "config.v4.json"));
    EXPECT_GT(renewed.stack.num_layers, 0);
    if (!old.dtype) old.dtype = renewed.dtype;  // the oldest files do not have it
    EXPECT_EQ(renewed, old);
    ++count;
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_GE(count, 30);
}

}  // namespace
}  // namespace dray::model
