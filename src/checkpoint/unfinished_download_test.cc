// Folders into which a download is not finished are refused with that reason, but only if something is
// missing.
#include "checkpoint/unfinished_download.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/testing/source_dir.h"
#include "checkpoint/checkpoint.h"

namespace dray::checkpoint {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = SourceDir() / "tests" / "golden" / "models";

class UnfinishedDownloadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(::testing::TempDir()) / "dray_unfinished_download";
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  void Touch(const std::string& name) const {
    fs::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name) << "x";
  }
  void ExpectExplained(const fs::path& mark) const {
    const Status status = Checkpoint::Open(dir_).status();
    EXPECT_FALSE(status.ok());
    EXPECT_NE(status.message().find("a download into this folder is not finished, as " +
                                    (dir_ / mark).string() + " shows"),
              std::string::npos)
        << status.message();
  }

  fs::path dir_;
};

TEST_F(UnfinishedDownloadTest, KnowsTheMarks) {
  for (const char* mark :
       {"model.safetensors.incomplete",
        ".cache/huggingface/download/model.safetensors.ab12.incomplete",
        "model.safetensors.6bB4E5Dd", "pytorch_model.bin.part", "model.gguf.aria2",
        ".model.safetensors.AbC12x", "model.safetensors.crdownload"}) {
    Touch(mark);
    EXPECT_EQ(FindUnfinishedDownload(dir_), dir_ / mark);
    ExpectExplained(mark);  // no weights
    fs::remove(dir_ / mark);
  }
  // What finished downloads leave, and names that only look alike.
  for (const char* other :
       {".cache/huggingface/download/model.safetensors.lock",
        ".cache/huggingface/download/model.safetensors.metadata", "model.safetensors.index.json",
        "notes.deadbeef", ".gitattributes", "tokenizer.json.bak"}) {
    Touch(other);
    EXPECT_EQ(FindUnfinishedDownload(dir_), fs::path()) << other;
  }
}

TEST_F(UnfinishedDownloadTest, ExplainsAMissingShardAndAShortFile) {
  const fs::path sharded = kGolden / "gpt_neox";
  for (const char* name : {"model.safetensors.index.json", "model-00001-of-00003.safetensors",
                           "model-00002-of-00003.safetensors"}) {
    fs::copy_file(sharded / name, dir_ / name);
  }
  const std::string mark = "model-00003-of-00003.safetensors.1234AbCd";
  Touch(mark);
  ExpectExplained(mark);
  fs::copy_file(sharded / "model-00003-of-00003.safetensors",
                dir_ / "model-00003-of-00003.safetensors");
  EXPECT_TRUE(Checkpoint::Open(dir_).ok());  // an old mark beside a whole model
  fs::resize_file(dir_ / "model-00003-of-00003.safetensors", 50'000);
  ExpectExplained(mark);
}

TEST_F(UnfinishedDownloadTest, OneShardIsNotTakenForTheModel) {
  fs::copy_file(kGolden / "gpt_neox" / "model-00001-of-00003.safetensors",
                dir_ / "model-00001-of-00003.safetensors");
  EXPECT_TRUE(Checkpoint::Open(dir_).ok());
  Touch("model.safetensors.index.json.incomplete");
  ExpectExplained("model.safetensors.index.json.incomplete");
}

}  // namespace
}  // namespace dray::checkpoint
