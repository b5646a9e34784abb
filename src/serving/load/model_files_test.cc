#include "serving/load/model_files.h"

#include <gtest/gtest.h>

#include <fstream>

namespace dray::serving {
namespace {

namespace fs = std::filesystem;

// A folder with the models "gpt2" and "small.gguf", and the work folder within gpt2.
class ModelFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "model_files_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    fs::create_directories(root_ / "gpt2" / "sub");
    std::ofstream(root_ / "small.gguf") << "x";
    before_ = fs::current_path();
    fs::current_path(root_ / "gpt2");
  }
  void TearDown() override {
    fs::current_path(before_);
    fs::remove_all(root_);
  }
  static settings::ModelSettings With(const std::string& model_id) {
    settings::ModelSettings settings;
    settings.model_id = model_id;
    return settings;
  }

  fs::path root_;
  fs::path before_;
};

TEST_F(ModelFilesTest, TheNameIsTheLastPartOfThePath) {
  const std::string folder = (root_ / "gpt2").string();
  for (const std::string& path :
       {folder, folder + "/", folder + "//", folder + "/.", folder + "/./", folder + "/sub/..",
        std::string("."), std::string("./"), std::string("./."), std::string("../gpt2/"),
        std::string("sub/../")}) {
    EXPECT_EQ(ModelNameOf(path), "gpt2") << path;
  }
  EXPECT_EQ(ModelNameOf(root_ / "small.gguf"), "small");
  EXPECT_EQ(ModelNameOf("sub/"), "sub");
  EXPECT_EQ(ModelNameOf("/"), "model");
}

TEST_F(ModelFilesTest, PathsMayBeRelativeToTheModelsFolder) {
  const auto files = LocateModelFiles(With("sub"), root_ / "gpt2");
  ASSERT_TRUE(files.ok()) << files.status().message();
  EXPECT_EQ(files->model, root_ / "gpt2" / "sub");
  EXPECT_EQ(files->tokenizer, files->model);
  EXPECT_EQ(files->draft, "");
  EXPECT_EQ(LocateModelFiles(With(""), root_ / "small.gguf")->model, root_ / "small.gguf");
}

TEST_F(ModelFilesTest, WhatIsMissingIsNamed) {
  EXPECT_EQ(LocateModelFiles(With(""), "").status().code(), StatusCode::kInvalidArgument);
  const Status missing = LocateModelFiles(With("/no/such/folder"), "").status();
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_NE(missing.message().find("/no/such/folder"), std::string::npos);
  settings::ModelSettings settings;
  settings.speculation.draft_model = "/no/draft";
  EXPECT_NE(LocateModelFiles(settings, root_ / "gpt2")
                .status()
                .message()
                .find("speculative_draft_model: there is no folder /no/draft"),
            std::string::npos);
}

TEST_F(ModelFilesTest, AHandlerInTheFolderIsRefusedByName) {
  const fs::path folder = root_ / "gpt2";
  const fs::path handler = folder / "model.py";
  std::ofstream(handler) << "import torch\n\ndef handle(inputs):\n  return None\n";
  const auto files = LocateModelFiles({}, folder);
  ASSERT_FALSE(files.ok());
  EXPECT_EQ(files.status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(files.status().message(),
            handler.string() +
                ": handlers in Python are not in this build; remove the file, or set "
                "option.entryPoint=djl_python.huggingface to serve the model without it");
  settings::ModelSettings built_in;
  built_in.has_built_in_handler = true;
  EXPECT_TRUE(LocateModelFiles(built_in, folder).ok());
  EXPECT_TRUE(LocateModelFiles(With(folder.string()), "").ok());
  std::ofstream(handler) << "class Model:\n  pass\n";  // no handler: part of a model's own code
  EXPECT_TRUE(LocateModelFiles({}, folder).ok());
}

}  // namespace
}  // namespace dray::serving
