// Which settings of a model's folder go into the folder of its artifact.
#include "cli/partition/copied_settings.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/parse/properties.h"

namespace dray::cli {
namespace {

namespace fs = std::filesystem;

class CopiedSettingsTest : public ::testing::Test {
 protected:
  CopiedSettingsTest() {
    std::string pattern = ::testing::TempDir() + "copied_settings_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  ~CopiedSettingsTest() override { fs::remove_all(dir_); }

  Result<std::string> Copied(const std::string& text) const {
    std::ofstream(dir_ / "serving.properties") << text;
    return CopiedSettings(dir_);
  }

  fs::path dir_;
};

TEST_F(CopiedSettingsTest, WhatTheArtifactHasSettledIsLeftOut) {
  const auto copied = Copied(
      "engine=MPI\noption.model_id=/models/x\noption.data_type=fp16\noption.quantize=int4\n"
      "option.save_mp_checkpoint_path=/out\noption.tensor_parallel_degree=2\nunknown=kept\n");
  ASSERT_TRUE(copied.ok());
  EXPECT_EQ(*copied, "engine=MPI\noption.tensor_parallel_degree=2\nunknown=kept\n");
}

TEST_F(CopiedSettingsTest, TextIsReadAsItWas) {
  const std::string text =
      "a\\ key\\:=  two words = #no comment \\\\ \\n a line\nplain: \\u00e9 \\t!\n";
  const auto copied = Copied(text);
  ASSERT_TRUE(copied.ok());
  EXPECT_EQ(*ParseProperties(*copied), *ParseProperties(text));
}

TEST_F(CopiedSettingsTest, AFolderWithoutSettingsHasNone) {
  EXPECT_EQ(*CopiedSettings(dir_), "");
  EXPECT_EQ(*Copied("option.dtype=bf16\n"), "");
}

TEST_F(CopiedSettingsTest, TheErrorNamesTheFile) {
  EXPECT_NE(Copied("a=\\u12").status().message().find("serving.properties"), std::string::npos);
}

}  // namespace
}  // namespace dray::cli
