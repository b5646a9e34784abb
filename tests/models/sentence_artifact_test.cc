// Encoders from artifacts: with all of their modules, the same numbers to the last bit, also where the weights are
// larger than the memory for them; and what is damaged is found.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "artifact/manifest.h"
#include "engine/partition.h"
#include "serving/load/open_encoder.h"
#include "settings/engine_settings.h"
#include "testing/sentence_golden.h"

namespace dray::serving {
namespace {

namespace fs = std::filesystem;
using engine::EncodeOutput;
using testing::Encode;
using testing::SentenceDir;

class SentenceArtifactTest : public ::testing::Test {
 protected:
  SentenceArtifactTest() {
    std::string pattern = ::testing::TempDir() + "sentence_artifact_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  ~SentenceArtifactTest() override { fs::remove_all(dir_); }

  // As `dray partition` writes it.
  fs::path Partitioned(const fs::path& model, const settings::ModelSettings& settings = {}) const {
    const fs::path output = dir_ / ("artifact-" + model.filename().string());
    const auto files = FilesOfTransformer({.model = model, .tokenizer = model, .draft = {}});
    EXPECT_TRUE(files.ok()) << files.status().message();
    const auto load = settings::MakeLoadModelOptions(settings, files->model);
    EXPECT_TRUE(load.ok()) << load.status().message();
    const auto report = engine::Partition({.load = *load,
                                           .tokenizer = files->tokenizer,
                                           .modules = FolderOfModules(model),
                                           .output = output});
    EXPECT_TRUE(report.ok()) << report.status().message();
    return output;
  }

  static Result<std::shared_ptr<ServedModel>> Open(const fs::path& model,
                                                   const settings::ModelSettings& settings = {}) {
    return OpenModel(settings, {.model = model, .tokenizer = model, .draft = {}}, {});
  }

  // A model like "mean", of six layers and random weights.
  fs::path MakeLargeModel() const {
    const fs::path model = dir_ / "large";
    fs::copy(SentenceDir("mean"), model, fs::copy_options::recursive);
    fs::remove(model / "model.safetensors");
    Json config = Json::Parse(ReadFile(model / "config.json", 1 << 20).value()).value();
    config.Set("num_hidden_layers", 6);
    config.Set("intermediate_size", 4096);
    std::ofstream(model / "config.json") << config.Dump();
    return model;
  }

  fs::path dir_;
};

TEST_F(SentenceArtifactTest, NumbersAreThoseOfTheCheckpoint) {
  for (const std::string name : {"mean", "dense", "ranker", "classes"}) {
    SCOPED_TRACE(name);
    const auto output =
        name == "ranker" || name == "classes" ? EncodeOutput::kClasses : EncodeOutput::kVector;
    const auto from = testing::OpenSentenceModel(name);
    const auto mapped = Open(Partitioned(SentenceDir(name)));
    ASSERT_TRUE(mapped.ok()) << mapped.status().message();
    const EncodeCall call = {.inputs = testing::ReadSentenceGolden(name).inputs, .output = output};
    const EncodeAnswer expected = Encode(*from, call), got = Encode(**mapped, call);
    EXPECT_EQ(got.numbers, expected.numbers);
    EXPECT_EQ(got.num_tokens, expected.num_tokens);
  }
}

TEST_F(SentenceArtifactTest, ModulesAreCheckedLikeAllFiles) {
  const fs::path artifact = Partitioned(SentenceDir("dense"));
  for (const char* name : {"modules.json", "1_Pooling/config.json", "2_Dense/config.json",
                           "2_Dense/model.safetensors"}) {
    SCOPED_TRACE(name);
    const fs::path file = artifact / name;
    ASSERT_TRUE(fs::exists(file));
    const fs::path kept = dir_ / "kept";
    fs::rename(file, kept);
    const Status missing = Open(artifact).status();
    EXPECT_NE(missing.message().find(file.string()), std::string::npos) << missing.message();
    fs::copy_file(kept, file);
    std::ofstream(file, std::ios::app) << " ";
    const Status changed = Open(artifact).status();
    EXPECT_NE(changed.message().find(file.string()), std::string::npos) << changed.message();
    fs::remove(file);
    fs::rename(kept, file);
  }
  EXPECT_TRUE(Open(artifact).ok());
}

TEST_F(SentenceArtifactTest, AModelThatDoesNotFitIsReadFromTheDisk) {
  settings::ModelSettings settings;
  settings.load_format = engine::LoadFormat::kDummy;
  const fs::path artifact = Partitioned(MakeLargeModel(), settings);
  const auto size = static_cast<int64_t>(fs::file_size(artifact / artifact::kDataName));
  const auto whole = Open(artifact);
  settings = {};
  settings.max_memory_bytes = size * 7 / 10;
  const auto part = Open(artifact, settings);
  ASSERT_TRUE(whole.ok() && part.ok()) << whole.status().message() << part.status().message();
  EXPECT_FALSE((*whole)->options().offload.has_value());
  ASSERT_TRUE((*part)->options().offload.has_value());
  EXPECT_GT((*part)->options().offload->streamed_bytes, 0);
  const EncodeCall call = {.inputs = testing::ReadSentenceGolden("mean").inputs};
  const EncodeAnswer expected = Encode(**whole, call);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Encode(**part, call).numbers, expected.numbers) << round;
  }
}

TEST_F(SentenceArtifactTest, AShorterFileIsAnErrorOfTheRequest) {
  const fs::path artifact = Partitioned(SentenceDir("mean"));
  const auto model = Open(artifact);
  ASSERT_TRUE(model.ok()) << model.status().message();
  fs::resize_file(artifact / artifact::kDataName, 0);
  const auto wait = std::make_shared<testing::AnswerWait>();
  const auto encoding = (*model)->Encode({.inputs = {InputText{"cat"}}}, wait);
  ASSERT_TRUE(encoding.ok()) << encoding.status().message();
  const auto answer = wait->Wait();
  ASSERT_FALSE(answer.ok());
  EXPECT_NE(answer.status().message().find(artifact::kDataName), std::string::npos)
      << answer.status().message();
  EXPECT_FALSE((*model)->healthy());
}

}  // namespace
}  // namespace dray::serving
