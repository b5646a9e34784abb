// A model is loaded once, however many workers serve it, only as long as it may take, and anew if its
// files change.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "base/testing/source_dir.h"
#include "serving/load/open_model.h"
#include "serving/manager/model_watch.h"

namespace dray::serving {
namespace {

ModelFiles DemoFiles() {
  const auto demo = SourceDir() / "models" / "demo";
  return {.model = demo, .tokenizer = demo, .draft = {}};
}

TEST(LoadOnceTest, WorkersShareTheWeights) {
  settings::ModelSettings settings;
  settings.workers.min_workers = 3;
  settings.workers.max_workers = 3;
  uint64_t loaded_bytes = 0, total_bytes = 0;
  int ends = 0;
  const auto model =
      OpenModel(settings, DemoFiles(), {.progress = [&](uint64_t done, uint64_t total) {
                  EXPECT_GT(done, loaded_bytes);  // never from the beginning again
                  loaded_bytes = done;
                  total_bytes = total;
                  if (done == total) ++ends;
                }});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  EXPECT_EQ((*model)->workers().workers.size(), 3u);
  EXPECT_EQ(loaded_bytes, total_bytes);
  EXPECT_EQ(ends, 1);
}

TEST(LoadOnceTest, ALoadThatTakesTooLongIsAnError) {
  settings::ModelSettings settings;
  settings.model_loading_timeout_s = 1;
  int calls = 0;
  const auto model = OpenModel(settings, DemoFiles(), {.progress = [&](uint64_t, uint64_t) {
                                 if (++calls == 1)
                                   std::this_thread::sleep_for(std::chrono::milliseconds(1100));
                               }});
  EXPECT_EQ(model.status().code(), StatusCode::kDeadlineExceeded) << model.status().ToString();
  EXPECT_NE(model.status().message().find("model_loading_timeout = 1 s"), std::string::npos)
      << model.status().message();
  EXPECT_EQ(calls, 1);  // the next weight was not loaded
}

// Layouts that have their weights in a folder of their own.
TEST(FileStatesTest, WeightsBelowTheFolderCount) {
  const auto layouts = SourceDir() / "tests" / "golden" / "layouts";
  const FileStates split = ReadFileStates(layouts / "neuronx-opt");
  EXPECT_TRUE(split.contains("pytorch_model.bin/p0.model.decoder.embed_tokens.weight"));
  EXPECT_FALSE(split.contains("pytorch_model.bin"));
  EXPECT_TRUE(ReadFileStates(layouts / "faster_transformer-gpt2").contains("3-gpu/model.wte.bin"));
  const FileStates plain = ReadFileStates(SourceDir() / "models" / "demo");
  EXPECT_TRUE(plain.contains("model.safetensors"));
}

}  // namespace
}  // namespace dray::serving
