// dray calibrate on the built-in model: its file, its output, and its errors.
#include "cli/calibrate_command.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "base/file.h"
#include "base/parse/json.h"

namespace dray::cli {
namespace {

class CalibrateCommandTest : public ::testing::Test {
 protected:
  CalibrateCommandTest()
      : dir_(std::filesystem::path(::testing::TempDir()) /
             ("calibrate" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(dir_);
    options_.model.model = "demo";
    options_.text_file = dir_ / "text";
    options_.out_file = dir_ / "out.json";
  }
  ~CalibrateCommandTest() override { std::filesystem::remove_all(dir_); }

  void WriteText(const std::string& text) { std::ofstream(dir_ / "text") << text; }
  int Run() {
    out_.str("");
    err_.str("");
    return RunCalibrate(options_, out_, err_);
  }

  std::filesystem::path dir_;
  CalibrateOptions options_;
  std::ostringstream out_, err_;
};

TEST_F(CalibrateCommandTest, WritesWhatSmoothquantReads) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "One day a little girl called Anna found a red ball.\n";
  WriteText(text);
  options_.num_tokens = 700;
  ASSERT_EQ(Run(), 0) << err_.str();
  EXPECT_NE(out_.str().find("5 layers, 700 tokens"), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find("--quantize smoothquant"), std::string::npos) << out_.str();
  const auto file = ReadFile(options_.out_file, 1 << 24);
  ASSERT_TRUE(file.ok());
  const auto json = Json::Parse(*file);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->Find("tokens")->AsInt64(), 700);
  EXPECT_EQ(json->Find("layers")->AsArray()->size(), 5U);
}

TEST_F(CalibrateCommandTest, SaysWhenTheTextIsShort) {
  WriteText("Once upon a time");
  ASSERT_EQ(Run(), 0) << err_.str();
  EXPECT_NE(out_.str().find("which is all of it"), std::string::npos) << out_.str();
}

TEST_F(CalibrateCommandTest, ErrorsNameTheFile) {
  EXPECT_EQ(Run(), 1);
  EXPECT_NE(err_.str().find(options_.text_file), std::string::npos) << err_.str();
  WriteText("");
  EXPECT_EQ(Run(), 1);
  EXPECT_NE(err_.str().find("holds no text"), std::string::npos) << err_.str();
  WriteText("Once upon a time");
  options_.out_file = dir_ / "missing" / "out.json";
  EXPECT_EQ(Run(), 1);
  EXPECT_NE(err_.str().find("cannot write"), std::string::npos) << err_.str();
}

}  // namespace
}  // namespace dray::cli
