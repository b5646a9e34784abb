#include "serving/load/open_tokenizer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/machine/temporary_folder.h"

namespace dray::serving {
namespace {

class TokenizerLoadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = TemporaryFolder::Make(std::filesystem::temp_directory_path(), "tokenizer-load-");
    ASSERT_TRUE(folder.ok()) << folder.status().message();
    folder_ = std::make_unique<TemporaryFolder>(std::move(*folder));
  }
  void Write(const std::string& text) const {
    std::ofstream(folder_->path() / "tokenizer.json") << text;
  }

  std::unique_ptr<TemporaryFolder> folder_;
  std::atomic<int> num_errors_{0};
};

TEST_F(TokenizerLoadTest, GivesTheTokenizer) {
  Write(R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})");
  TokenizerLoad load(folder_->path(), [this] { ++num_errors_; });
  const auto opened = load.Take();
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ((*opened)->vocab_size(), 2);
  EXPECT_EQ(num_errors_, 0);
}

TEST_F(TokenizerLoadTest, AWrongFileIsAnErrorAndIsTold) {
  Write("{");
  TokenizerLoad load(folder_->path(), [this] { ++num_errors_; });
  const auto opened = load.Take();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().message(), OpenTokenizer(folder_->path()).status().message());
  EXPECT_EQ(num_errors_, 1);
}

TEST_F(TokenizerLoadTest, EndsWithoutBeingAsked) {
  Write("{");
  {
    const TokenizerLoad load(folder_->path(), [this] { ++num_errors_; });
  }
  EXPECT_EQ(num_errors_, 1);
}

}  // namespace
}  // namespace dray::serving
