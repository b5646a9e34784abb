// Directories: discovery, shards and their index. The files' formats have tests of their own.
#include "checkpoint/checkpoint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

namespace dray::checkpoint {
namespace {

namespace fs = std::filesystem;

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) /
           (std::string("dray_checkpoint_") +
            testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  void Write(const std::string& name, const std::string& content) {
    std::ofstream(dir_ / name, std::ios::binary) << content;
  }

  // A safetensors file with one-byte U8 tensors of these names, valued 'a', 'b', ...
  static std::string Tensors(const std::vector<std::string>& names) {
    std::string header = "{";
    std::string data;
    for (size_t i = 0; i < names.size(); ++i) {
      header += fmt::format("{}\"{}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{},{}]}}",
                            i == 0 ? "" : ",", names[i], i, i + 1);
      data += static_cast<char>('a' + i);
    }
    header += "}";
    const uint64_t size = header.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + header + data;
  }

  std::string Refusal(const OpenOptions& options = {}) {
    const auto checkpoint = Checkpoint::Open(dir_, options);
    return checkpoint.ok() ? "accepted" : checkpoint.status().message();
  }

  fs::path dir_;
};

TEST_F(CheckpointTest, FindsTensorsOfTheSingleFile) {
  Write("model.safetensors", Tensors({"y", "x"}));
  Write("pytorch_model.bin", "not looked at");
  auto opened = Checkpoint::Open(dir_);
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  const Checkpoint checkpoint = std::move(opened).value();
  EXPECT_EQ(checkpoint.format(), "safetensors");
  ASSERT_EQ(checkpoint.tensors().size(), 2u);
  EXPECT_EQ(checkpoint.tensors()[0].name, "x");
  ASSERT_NE(checkpoint.Find("y"), nullptr);
  EXPECT_EQ(static_cast<char>(*checkpoint.Find("y")->data), 'a');
  EXPECT_EQ(checkpoint.Find("z"), nullptr);
  EXPECT_EQ(checkpoint.Require("z").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(checkpoint.files(), std::vector<fs::path>{dir_ / "model.safetensors"});
  EXPECT_EQ(checkpoint.total_bytes(), fs::file_size(dir_ / "model.safetensors"));
}

TEST_F(CheckpointTest, ReadsShardsThroughTheIndex) {
  Write("model-00001-of-00002.safetensors", Tensors({"a", "extra"}));
  Write("model-00002-of-00002.safetensors", Tensors({"b"}));
  Write("model.safetensors.index.json",
        R"({"metadata":{"total_size":3},"weight_map":{"b":"model-00002-of-00002.safetensors",)"
        R"("a":"model-00001-of-00002.safetensors"}})");
  const auto checkpoint = Checkpoint::Open(dir_);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->files().size(), 2u);
  EXPECT_EQ(checkpoint->Find("b")->file->path(), dir_ / "model-00002-of-00002.safetensors");
  EXPECT_NE(checkpoint->Find("extra"), nullptr);
}

TEST_F(CheckpointTest, RefusesIndexesThatDoNotFit) {
  Write("1.safetensors", Tensors({"a"}));
  Write("2.safetensors", Tensors({"b"}));
  const auto with_map = [&](const std::string& map) {
    Write("model.safetensors.index.json", "{\"weight_map\":" + map + "}");
    return Refusal();
  };
  EXPECT_NE(with_map(R"({"a":"3.safetensors"})").find("shard \"3.safetensors\" is missing"),
            std::string::npos);
  EXPECT_NE(with_map(R"({"a":"../1.safetensors"})").find("not a plain file name"),
            std::string::npos);
  EXPECT_NE(with_map(R"({"a":".."})").find("not a plain file name"), std::string::npos);
  EXPECT_NE(with_map(R"({"a":"1\u0000"})").find("not a plain file name"), std::string::npos);
  EXPECT_NE(with_map(R"({"a":"/etc/passwd"})").find("not a plain file name"), std::string::npos);
  EXPECT_NE(with_map(R"({"a":5})").find("tensor \"a\" is a number"), std::string::npos);
  EXPECT_NE(with_map(R"({"a":"2.safetensors","b":"1.safetensors"})").find("it is in 1.safetensors"),
            std::string::npos);
  EXPECT_NE(with_map(R"({"a":"1.safetensors","a":"1.safetensors"})").find("stands twice"),
            std::string::npos);
  EXPECT_NE(with_map("[]").find("\"weight_map\" is missing or not an object"), std::string::npos);
  Write("2.safetensors", Tensors({"a"}));
  EXPECT_NE(with_map(R"({"a":"1.safetensors","b":"2.safetensors"})").find("is in"),
            std::string::npos);
}

TEST_F(CheckpointTest, TensorsThatOnlyTheIndexHasFailWhenAskedFor) {
  Write("1.safetensors", Tensors({"a"}));
  Write("2.safetensors", Tensors({"b"}));
  Write("model.safetensors.index.json",
        R"({"weight_map":{"a":"1.safetensors","c":"2.safetensors"}})");
  const auto checkpoint = Checkpoint::Open(dir_);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_NE(checkpoint->Find("b"), nullptr);
  EXPECT_EQ(checkpoint->Find("c"), nullptr);
  EXPECT_TRUE(checkpoint->Contains("c"));
  const Status status = checkpoint->Require("c").status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("says that it is in \"2.safetensors\", but no shard has it"),
            std::string::npos)
      << status.message();
}

TEST_F(CheckpointTest, OtherNamesOnlyIfThereIsOne) {
  EXPECT_NE(Refusal().find("no weights"), std::string::npos);
  Write("weights.safetensors", Tensors({"a"}));
  Write("training_args.bin", "not weights");
  EXPECT_EQ(Refusal(), "accepted");
  Write("more.safetensors", Tensors({"b"}));
  EXPECT_NE(Refusal().find("2 weight files"), std::string::npos);
  fs::remove_all(dir_);
  EXPECT_EQ(Checkpoint::Open(dir_).status().code(), StatusCode::kNotFound);
}

TEST_F(CheckpointTest, PickleCanBeForbidden) {
  Write("pytorch_model.bin", "whatever");
  EXPECT_NE(Refusal({.forbid_pickle = true}).find("switched off"), std::string::npos);
}

TEST_F(CheckpointTest, UnreadableTensorsFailWhenAskedFor) {
  const std::string header = R"({"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})";
  const uint64_t size = header.size();
  Write("model.safetensors",
        std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + header + "x");
  const auto checkpoint = Checkpoint::Open(dir_);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->Find("w"), nullptr);
  EXPECT_TRUE(checkpoint->Contains("w"));
  EXPECT_EQ(checkpoint->Require("w").status().code(), StatusCode::kUnsupported);
}

TEST_F(CheckpointTest, NoticesFilesThatChanged) {
  Write("model.safetensors", Tensors({"a"}));
  const auto checkpoint = Checkpoint::Open(dir_);
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_TRUE(checkpoint->CheckUnchanged().ok());
  Write("replacement", Tensors({"a"}));
  fs::rename(dir_ / "replacement", dir_ / "model.safetensors");
  EXPECT_EQ(checkpoint->CheckUnchanged().code(), StatusCode::kCorrupt);
}

TEST_F(CheckpointTest, SaysWhatAGitLfsPointerIs) {
  Write("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
  EXPECT_NE(Refusal().find("git lfs pull"), std::string::npos);
}

}  // namespace
}  // namespace dray::checkpoint
