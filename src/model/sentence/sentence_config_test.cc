// The files of sentence-transformers: what they resolve to, and which are refused.
#include "model/sentence/sentence_config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "model/sentence/text_vectors.h"

namespace dray::model {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModules = R"([
  {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
  {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
  {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
  {"idx": 3, "name": "3", "path": "3_Normalize",
   "type": "sentence_transformers.models.Normalize"}])";

// A folder with files, which are gone with it.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("dray_sentence_" + std::to_string(::getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void Write(const std::string& name, std::string_view text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  // All files of a model with pooling, a dense layer and normalisation.
  void WriteAll() const {
    Write("modules.json", kModules);
    Write("1_Pooling/config.json",
          R"({"word_embedding_dimension": 6, "pooling_mode_cls_token": true,
      "pooling_mode_mean_tokens": false, "pooling_mode_max_tokens": true})");
    Write("2_Dense/config.json", R"({"in_features": 12, "out_features": 5, "bias": false,
      "activation_function": "torch.nn.modules.linear.Identity"})");
    Write("sentence_bert_config.json", R"({"max_seq_length": 256, "do_lower_case": true})");
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

Json Parsed(std::string_view text) {
  auto json = Json::Parse(text);
  EXPECT_TRUE(json.ok()) << text;
  return json.ok() ? *json : Json();
}

TEST(SentenceConfigTest, AllFilesTogether) {
  const Folder folder;
  folder.WriteAll();
  const auto config = ReadSentenceConfig(folder.path());
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->transformer_dir, folder.path() / "");
  EXPECT_EQ(config->pooling, (std::vector{PoolingMode::kCls, PoolingMode::kMax}));
  EXPECT_EQ(config->max_tokens, 256);
  EXPECT_TRUE(config->lower_case);
  ASSERT_EQ(config->steps.size(), 2u);
  const auto& dense = std::get<DenseStep>(config->steps[0]);
  EXPECT_EQ(dense.in_features, 12);
  EXPECT_EQ(dense.activation, kernels::Activation::kNone);
  EXPECT_FALSE(dense.has_bias);
  EXPECT_TRUE(std::holds_alternative<NormalizeStep>(config->steps[1]));
  EXPECT_EQ(config->vector_size(6), 5);
  EXPECT_TRUE(CheckSizes(*config, 6).ok());
  EXPECT_NE(CheckSizes(*config, 7).message().find("states of 6 numbers"), std::string::npos);
}

TEST(SentenceConfigTest, AFolderWithoutModulesIsAMean) {
  const Folder folder;
  auto config = ReadSentenceConfig(folder.path());
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->pooling, std::vector{PoolingMode::kMean});
  EXPECT_TRUE(config->steps.empty());
  EXPECT_FALSE(config->max_tokens.has_value());
  folder.Write("tokenizer_config.json", R"({"model_max_length": 77})");
  config = ReadSentenceConfig(folder.path());
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->max_tokens, 77);
}

TEST(SentenceConfigTest, TheTransformerMayHaveAFolderOfItsOwn) {
  const Folder folder;
  folder.Write("modules.json", R"([
    {"path": "0_BERT", "type": "sentence_transformers.models.Transformer"},
    {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])");
  folder.Write("1_Pooling/config.json", "{}");
  const auto found = FindTransformerDir(folder.path());
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(*found, folder.path() / "0_BERT");
  folder.Write("config.json", "{}");
  EXPECT_EQ(FindTransformerDir(folder.path()).value(), folder.path());
}

TEST(SentenceConfigTest, ThePromptOfTheModelIsRead) {
  const Folder folder;
  folder.WriteAll();
  folder.Write("config_sentence_transformers.json",
               R"({"prompts": {"query": "query: "}, "default_prompt_name": "query"})");
  const auto config = ReadSentenceConfig(folder.path());
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->prompt, "query: ");
}

TEST(SentenceConfigTest, WrongFilesAreRefusedByName) {
  struct Wrong {
    std::string file, text, expected;
  };
  const std::string transformer =
      R"({"path": "", "type": "sentence_transformers.models.Transformer"})";
  const std::vector<Wrong> wrongs = {
      {"modules.json", "{}", "modules.json: it must be a list"},
      {"modules.json", "[]", "modules.json: it must be a list"},
      {"modules.json", "[1]", "module 0: it must be a JSON object"},
      {"modules.json", "[", "modules.json"},
      {"modules.json", "[" + transformer + "]", "no module Pooling"},
      {"modules.json", R"([{"path": "", "type": "sentence_transformers.models.Pooling"}])",
       "first module is Pooling"},
      {"modules.json", R"([{"path": "", "type": "sentence_transformers.models.CNN"}])",
       "models.CNN"},
      {"modules.json", R"([{"path": "", "type": "other.Transformer"}])", "other.Transformer"},
      {"modules.json",
       "[" + transformer + R"(, {"path": "../x", "type": "sentence_transformers.models.Pooling"}])",
       "inside the model's"},
      {"modules.json",
       "[" + transformer + R"(, {"path": "/x", "type": "sentence_transformers.models.Pooling"}])",
       "inside the model's"},
      {"1_Pooling/config.json", "[]", "1_Pooling/config.json: it must be a JSON object"},
      {"1_Pooling/config.json", R"({"pooling_mode": ["cls", 1]})", "pooling_mode is [\"cls\",1]"},
      {"1_Pooling/config.json", R"({"pooling_mode": []})", "pooling_mode is []"},
      {"1_Pooling/config.json", R"({"pooling_mode_mean_tokens": 1})", "pooling_mode_mean_tokens"},
      {"1_Pooling/config.json", R"({"pooling_mode": "median"})", "pooling_mode is \"median\""},
      {"1_Pooling/config.json", R"({"word_embedding_dimension": 0})", "word_embedding_dimension"},
      {"2_Dense/config.json", R"({"in_features": 12})", "out_features"},
      {"2_Dense/config.json",
       R"({"in_features": 12, "out_features": 5, "activation_function": "torch.nn.Mish"})",
       "torch.nn.Mish"},
      {"2_Dense/config.json", R"({"in_features": 12, "out_features": 5, "use_residual": true})",
       "use_residual"},
      {"2_Dense/config.json",
       R"({"in_features": 12, "out_features": 5, "module_input_name": "token_embeddings"})",
       "module_input_name"},
      {"sentence_bert_config.json", R"({"max_seq_length": 0})", "max_seq_length is 0"},
      {"sentence_bert_config.json", "[]", "sentence_bert_config.json"},
      {"config_sentence_transformers.json", R"({"default_prompt_name": "query"})",
       "default_prompt_name is \"query\""},
  };
  for (const Wrong& wrong : wrongs) {
    const Folder folder;
    folder.WriteAll();
    folder.Write(wrong.file, wrong.text);
    const auto config = ReadSentenceConfig(folder.path());
    ASSERT_FALSE(config.ok()) << wrong.file << ": " << wrong.text;
    EXPECT_NE(config.status().message().find(wrong.expected), std::string::npos)
        << config.status().message();
  }
}

TEST(SentenceConfigTest, PoolingModesByNameKeepTheirOrder) {
  const auto pooling = ParsePooling("config.json", Parsed(R"({"pooling_mode": ["mean", "cls"]})"));
  ASSERT_TRUE(pooling.ok());
  EXPECT_EQ(pooling->modes, (std::vector{PoolingMode::kMean, PoolingMode::kCls}));
  EXPECT_EQ(ParsePooling("config.json", Parsed("{}")).value().modes,
            std::vector{PoolingMode::kMean});
}

TEST(PoolingTest, EveryModeOfThreeTokens) {
  const std::vector<float> states = {1, -2, 4, 10, 7, 1};  // three tokens of two numbers
  const auto pooled = [&](PoolingMode mode) {
    std::vector<float> out = {99};
    AppendPooled(mode, states, 2, out);
    EXPECT_EQ(out.front(), 99);
    return std::vector<float>(out.begin() + 1, out.end());
  };
  using V = std::vector<float>;
  EXPECT_EQ(pooled(PoolingMode::kCls), (V{1, -2}));
  EXPECT_EQ(pooled(PoolingMode::kLastToken), (V{7, 1}));
  EXPECT_EQ(pooled(PoolingMode::kMax), (V{7, 10}));
  EXPECT_EQ(pooled(PoolingMode::kMean), (V{4, 3}));
  EXPECT_EQ(pooled(PoolingMode::kWeightedMean), (V{5, 3.5f}));
  const V sqrt = pooled(PoolingMode::kMeanSqrtLen);
  EXPECT_FLOAT_EQ(sqrt[0], 12 / std::sqrt(3.0f));
  EXPECT_FLOAT_EQ(sqrt[1], 9 / std::sqrt(3.0f));
}

}  // namespace
}  // namespace dray::model
