// A folder with the demo model's tokenizer and a configuration of any size, to be served with random
// weights (load_format dummy): for tests that need a model which takes time and memory to load.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"

namespace dray::testing {

class LargeModelFolder {
 public:
  // Some 16 million weights for each layer.
  explicit LargeModelFolder(int64_t num_layers) {
    const std::filesystem::path demo = SourceDir() / "models" / "demo";
    std::string pattern = ::testing::TempDir() + "large_model_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
      std::filesystem::copy_file(demo / name, dir_ / name);
    }
    Json config = *Json::Parse(*ReadFile(demo / "config.json", 1 << 20));
    config.Set("num_hidden_layers", num_layers);
    config.Set("hidden_size", 1024);
    config.Set("intermediate_size", 4096);
    config.Set("num_attention_heads", 32);
    config.Set("num_key_value_heads", 32);
    std::ofstream(dir_ / "config.json") << config.Dump();
  }
  LargeModelFolder(const LargeModelFolder&) = delete;
  LargeModelFolder& operator=(const LargeModelFolder&) = delete;
  ~LargeModelFolder() { std::filesystem::remove_all(dir_); }

  const std::filesystem::path& dir() const { return dir_; }
  // What the server calls the model.
  std::string name() const { return dir_.filename().string(); }

 private:
  std::filesystem::path dir_;
};

}  // namespace dray::testing
