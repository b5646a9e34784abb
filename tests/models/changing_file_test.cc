// Weight files that somebody else cuts short, rewrites or replaces while they are loaded: the load is an
// error that says so, and the process goes on.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/testing/source_dir.h"
#include "engine/runner/loaded_model.h"
#include "testing/process.h"

namespace dray::engine {
namespace {

namespace fs = std::filesystem;

const fs::path kDemo = SourceDir() / "models" / "demo";

// A copy of the demo model, whose weights are large enough to be mapped.
class ChangingFileTest : public ::testing::Test {
 protected:
  ChangingFileTest() : dir_(fs::path(::testing::TempDir()) / "changing-file") { Restore(); }

  void Restore() const {
    fs::remove_all(dir_);
    fs::create_directory(dir_);
    for (const char* name : {"config.json", "generation_config.json", "model.safetensors",
                             "tokenizer.json", "tokenizer_config.json"}) {
      fs::copy_file(kDemo / name, dir_ / name);
    }
  }
  fs::path weights() const { return dir_ / "model.safetensors"; }

  // Loads, and calls `change` once `share` of the weights are loaded.
  Status LoadAndChange(double share, const std::function<void()>& change) const {
    LoadModelOptions options;
    options.model_dir = dir_;
    options.backend_options = {.cpu = {.num_threads = 2}};
    bool is_changed = false;
    options.progress = [&](uint64_t done, uint64_t total) {
      if (is_changed || static_cast<double>(done) < share * static_cast<double>(total)) return;
      is_changed = true;
      change();
    };
    return LoadModel(options).status();
  }

  const fs::path dir_;
};

TEST_F(ChangingFileTest, EveryChangeAtEveryStageIsAnError) {
  const uint64_t size = fs::file_size(kDemo / "model.safetensors");
  const std::pair<const char*, std::function<void()>> changes[] = {
      {"cut to nothing", [&] { fs::resize_file(weights(), 0); }},
      {"cut to its header", [&] { fs::resize_file(weights(), 4096); }},
      {"cut in half", [&] { fs::resize_file(weights(), size / 2); }},
      {"cut by one byte", [&] { fs::resize_file(weights(), size - 1); }},
      {"written over by a shorter one",
       [&] { std::ofstream(weights(), std::ios::trunc) << std::string(10'000, 'x'); }},
      {"written over by one of its size",
       [&] { std::ofstream(weights(), std::ios::trunc) << std::string(size, 'x'); }},
      {"appended to", [&] { std::ofstream(weights(), std::ios::app) << "x"; }},
      {"replaced",
       [&] {
         fs::copy_file(kDemo / "model.safetensors", dir_ / "new");
         fs::rename(dir_ / "new", weights());
       }},
  };
  for (const auto& [what, change] : changes) {
    for (const double share : {0.0, 0.3, 0.7, 1.0}) {
      Restore();
      // The kernel's file times advance in steps of up to 10 ms.
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      const Status status = LoadAndChange(share, change);
      EXPECT_EQ(status.code(), StatusCode::kCorrupt) << what << " at " << share;
      EXPECT_NE(status.message().find("the file changed"), std::string::npos) << status.message();
      EXPECT_NE(status.message().find(weights().string()), std::string::npos) << status.message();
    }
  }
  Restore();
  EXPECT_TRUE(LoadAndChange(0.5, [] {}).ok());
}

TEST_F(ChangingFileTest, TheProgramEndsInOrderAsWell) {
  using dray::testing::Process;
  for (const bool serve : {false, true}) {
    for (int delay_ms = 0; delay_ms < 40; delay_ms += 10) {
      Restore();
      const std::vector<std::string> argv =
          serve ? std::vector<std::string>{DRAY_PROGRAM, "serve", dir_, "--port", "0"}
                : std::vector<std::string>{DRAY_PROGRAM, "generate", dir_, "-p", "One", "-n", "1"};
      Process process(argv);
      std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
      fs::resize_file(weights(), 8192);
      // The change may come before the load or after it; then there is another error, or none.
      if (serve && process.ReadUntil("serving ", 5000)) process.Signal(SIGTERM);
      const int exit_code = process.Wait();
      EXPECT_TRUE(exit_code == 0 || exit_code == 1) << exit_code << ": " << process.output();
    }
  }
}

}  // namespace
}  // namespace dray::engine
