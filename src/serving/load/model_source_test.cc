#include "serving/load/model_source.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "fetch/testing/pack_archive.h"

namespace dray::serving {
namespace {

namespace fs = std::filesystem;

class ModelSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "model_source_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    fs::create_directories(root_ / "gpt2");
    std::ofstream(root_ / "gpt2" / "config.json") << "{}";
    std::ofstream(root_ / "small.gguf") << "x";
    std::ofstream(root_ / "notes.txt") << "x";
  }
  void TearDown() override { fs::remove_all(root_); }
  Result<ModelSource> Open(const std::string& name) {
    return ModelSource::Open((root_ / name).string(), root_ / "unpacked");
  }

  fs::path root_;
};

TEST_F(ModelSourceTest, FoldersAndFilesStayWhereTheyAre) {
  EXPECT_EQ(Open("gpt2")->path(), root_ / "gpt2");
  EXPECT_EQ(Open("small.gguf")->path(), root_ / "small.gguf");
  const auto url = ModelSource::Open("file://" + (root_ / "gpt2").string(), root_ / "unpacked");
  EXPECT_EQ(url->path(), root_ / "gpt2");
  EXPECT_FALSE(fs::exists(root_ / "unpacked"));
}

TEST_F(ModelSourceTest, AnArchiveIsUnpackedForAsLongAsItIsUsed) {
  fetch::PackArchive(root_ / "nested.tar.gz", {{"gpt2/config.json", "{}"}});
  fetch::PackArchive(root_ / "flat.tgz", {{"config.json", "{}"}});
  fs::path folder;
  for (const char* name : {"nested.tar.gz", "flat.tgz"}) {
    auto source = Open(name);
    ASSERT_TRUE(source.ok()) << source.status().message();
    folder = source->path();
    EXPECT_TRUE(fs::exists(folder / "config.json")) << folder;
    const ModelSource moved = std::move(*source);
    EXPECT_TRUE(fs::exists(folder / "config.json"));
  }
  EXPECT_TRUE(fs::is_empty(root_ / "unpacked"));
}

// Another user could exchange the model between its unpacking and its loading.
TEST_F(ModelSourceTest, AFolderThatOthersMayChangeIsRefused) {
  fetch::PackArchive(root_ / "flat.tgz", {{"config.json", "{}"}});
  const fs::path folder = root_ / "unpacked";
  ASSERT_TRUE(Open("flat.tgz").ok());
  EXPECT_EQ(fs::status(folder).permissions(), fs::perms::owner_all);
  struct Case {
    unsigned mode;
    bool accepted;
  };
  for (const Case& one :
       {Case{0777, false}, Case{0770, false}, Case{0755, true}, Case{01777, true}}) {
    ASSERT_EQ(::chmod(folder.c_str(), one.mode), 0);
    const Status status = Open("flat.tgz").status();
    EXPECT_EQ(status.ok(), one.accepted) << fmt::format("{:o}", one.mode);
    if (!one.accepted) {
      EXPECT_NE(status.message().find("set download_dir"), std::string::npos) << status.message();
    }
  }
  if (::geteuid() != 0) return;
  constexpr uid_t kOtherUser = 12345;
  ASSERT_EQ(::chown(folder.c_str(), kOtherUser, kOtherUser), 0);
  ASSERT_EQ(::chmod(folder.c_str(), 0755), 0);
  EXPECT_EQ(Open("flat.tgz").status().code(), StatusCode::kIo);
}

TEST_F(ModelSourceTest, WhatIsNoModelIsNotFound) {
  for (const char* name : {"absent", "notes.txt", "absent.zip"}) {
    const Status status = Open(name).status();
    EXPECT_EQ(status.code(), StatusCode::kNotFound) << name;
    EXPECT_NE(status.message().find(name), std::string::npos) << status.message();
  }
  for (const char* url : {"s3://bucket/model", "https://host/m.tar.gz", "djl://zoo", ""}) {
    EXPECT_EQ(ModelSource::Open(url, root_).status().code(), StatusCode::kNotFound) << url;
  }
  EXPECT_EQ(ModelSource::Open(std::string("/tmp\0x", 6), root_).status().code(),
            StatusCode::kNotFound);
}

TEST(ModelNameTest, IsInferredAsDjlServingDoes) {
  EXPECT_EQ(ModelNameOfUrl("/models/gpt2"), "gpt2");
  EXPECT_EQ(ModelNameOfUrl("file:///models/res-net.18.zip"), "res_net_18");
  EXPECT_EQ(ModelNameOfUrl("/models/opt.tar.gz"), "opt");
  EXPECT_EQ(ModelNameOfUrl("/models/opt 13b/"), "opt_13b");
  EXPECT_EQ(ModelNameOfUrl("/models/llama-3.1/"), "llama_3_1");
  EXPECT_EQ(ModelNameOfUrl("/models/opt.tar.gz/"), "opt_tar_gz");
  EXPECT_EQ(ModelNameOfUrl("/models/.tar.gz"), "_tar");
  EXPECT_EQ(ModelNameOfUrl("/models/caf\xC3\xA9.zip"), "caf_");
  EXPECT_EQ(ModelNameOfUrl("/"), "model");
}

TEST(ModelNameTest, ClientsMayNotChooseAnyName) {
  for (const char* name : {"m", "a-b_c.d", "0"}) EXPECT_TRUE(IsModelName(name)) << name;
  for (const char* name : {"", ".", "..", ".m", "a/b", "a b", "a%2e", "a\n"}) {
    EXPECT_FALSE(IsModelName(name)) << name;
  }
  EXPECT_TRUE(IsModelName(std::string(128, 'a')));
  EXPECT_FALSE(IsModelName(std::string(129, 'a')));
}

}  // namespace
}  // namespace dray::serving
