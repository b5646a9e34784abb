// A draft model for a golden model: the model itself, but with its first layer alone.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/parse/json.h"
#include "engine/runner/loaded_model.h"
#include "testing/golden_model.h"

namespace dray::engine {

// On the first of `backends`, or, without any, on one thread of its own.
inline std::unique_ptr<LoadedModel> LoadShortDraft(const testing::GoldenModel& golden,
                                                   Backends backends = {}) {
  namespace fs = std::filesystem;
  std::string folder = ::testing::TempDir() + "draft_XXXXXX";
  EXPECT_NE(::mkdtemp(folder.data()), nullptr);
  fs::copy(golden.dir, folder, fs::copy_options::recursive);
  Json config = *Json::Parse(*ReadFile(golden.dir / "config.json", 1 << 20));
  config.Set("num_hidden_layers", 1);
  std::ofstream(fs::path(folder) / "config.json") << config.Dump();
  LoadModelOptions options;
  options.model_dir = folder;
  options.format = kernels::WeightFormat::kF32;
  options.backends = std::move(backends);
  options.backend_options.cpu.num_threads = 1;
  auto draft = LoadModel(options);
  fs::remove_all(folder);
  EXPECT_TRUE(draft.ok()) << draft.status().ToString();
  return draft.ok() ? std::move(*draft) : nullptr;
}

}  // namespace dray::engine
