// What a GGUF file's keys say about ends of an answer, absent tokens and stretched contexts, in the
// spellings that llama.cpp writes and reads.
#include "model/describe/gguf_config.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "model/describe/gguf_end_tokens.h"

namespace dray::model {
namespace {

namespace fs = std::filesystem;

// Keys of a file in the file's form, one after another.
class Keys {
 public:
  Keys& Text(const std::string& key, const std::string& value) {
    return Add(key, 8, Bytes(uint64_t{value.size()}) + value);
  }
  Keys& U32(const std::string& key, uint32_t value) { return Add(key, 4, Bytes(value)); }
  Keys& I32(const std::string& key, int32_t value) { return Add(key, 5, Bytes(value)); }
  Keys& F32(const std::string& key, float value) { return Add(key, 6, Bytes(value)); }
  Keys& U64(const std::string& key, uint64_t value) { return Add(key, 10, Bytes(value)); }
  Keys& Texts(const std::string& key, const std::vector<std::string>& values) {
    std::string bytes = Bytes(uint32_t{8}) + Bytes(uint64_t{values.size()});
    for (const std::string& value : values) bytes += Bytes(uint64_t{value.size()}) + value;
    return Add(key, 9, bytes);
  }
  // A file of these keys, without tensors.
  std::string File() const {
    return "GGUF" + Bytes(uint32_t{3}) + Bytes(uint64_t{0}) + Bytes(count_) + bytes_;
  }

 private:
  template <typename T>
  static std::string Bytes(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }
  Keys& Add(const std::string& key, uint32_t type, const std::string& value) {
    bytes_ += Bytes(uint64_t{key.size()}) + key + Bytes(type) + value;
    ++count_;
    return *this;
  }

  std::string bytes_;
  uint64_t count_ = 0;
};

// The keys of a small Llama whose vocabulary has four tokens.
Keys Llama() {
  Keys keys;
  keys.Text("general.architecture", "llama")
      .U32("llama.context_length", 64)
      .U32("llama.block_count", 1)
      .U32("llama.embedding_length", 32)
      .U32("llama.feed_forward_length", 64)
      .U32("llama.attention.head_count", 2)
      .F32("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .Texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</end>", "a"});
  return keys;
}

Result<ModelDescription> Describe(const Keys& keys) {
  const fs::path path =
      fs::path(testing::TempDir()) /
      (std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ".gguf");
  std::ofstream(path, std::ios::binary) << keys.File();
  auto checkpoint = checkpoint::Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.status();
  return DescribeGguf(*checkpoint, Json());
}

ModelConfig Config(const Keys& keys) {
  auto model = Describe(keys);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? std::move(model->config) : ModelConfig();
}

Json Vocabulary(const std::vector<std::string>& tokens) {
  Json texts = Json::MakeArray();
  for (const std::string& token : tokens) texts.Append(token);
  return Json::MakeObject({{"tokenizer.ggml.tokens", std::move(texts)}});
}

using Ids = std::vector<int64_t>;

TEST(GgufEndTokensTest, ATextAloneEndsAnAnswer) {
  for (const char* text : {"<|endoftext|>",
                           "<|end_of_text|>",
                           "<EOT>",
                           "_<EOT>",
                           "[EOT]",
                           "[EOS]",
                           "<|return|>",
                           "<|call|>",
                           "<|eot_id|>",
                           "<|eom_id|>",
                           "<|im_end|>",
                           "<|end|>",
                           "<end_of_turn>",
                           "<end_of_utterance>",
                           "</s>",
                           "<eos>",
                           "<｜end▁of▁sentence｜>",
                           "<|fim_pad|>",
                           "<PAD>",
                           "<|repo_name|>",
                           "<reponame>",
                           "<|file_sep|>",
                           "[e~[",
                           "<turn|>"}) {
    EXPECT_EQ(GgufEndTokens(Vocabulary({"a", text, "b"}), ""), Ids{1}) << text;
  }
  for (const char* text : {"<|eot_id|", "<eot>", "eos", "<s>", "<pad>", "<|im_start|>", ""}) {
    EXPECT_EQ(GgufEndTokens(Vocabulary({"a", text, "b"}), ""), Ids{}) << text;
  }
  EXPECT_EQ(GgufEndTokens(Vocabulary({"<|im_end|>", "a", "<|endoftext|>"}), ""), (Ids{0, 2}));
  EXPECT_EQ(GgufEndTokens(Json::MakeObject(), ""), Ids{});
}

TEST(GgufEndTokensTest, KeysCountFirst) {
  Json metadata = Vocabulary({"a", "<|im_end|>", "b", "<|fim_pad|>", "c"});
  metadata.Set("tokenizer.ggml.eos_token_id", 2);
  metadata.Set("tokenizer.ggml.eot_token_id", 1);
  EXPECT_EQ(GgufEndTokens(metadata, ""), (Ids{2, 1, 3}));
  metadata.Set("tokenizer.ggml.fim_pad_token_id", 4);  // then the text does not count
  EXPECT_EQ(GgufEndTokens(metadata, ""), (Ids{2, 1, 4}));
}

TEST(GgufEndTokensTest, SomeOnlyPartMessagesBesideOthers) {
  EXPECT_EQ(GgufEndTokens(Vocabulary({"<|end|>", "<|return|>", "<|call|>"}), ""), (Ids{1, 2}));
  EXPECT_EQ(GgufEndTokens(Vocabulary({"<|end|>", "<|calls|>", "<|flush|>"}), ""), (Ids{1, 2}));
  EXPECT_EQ(GgufEndTokens(Vocabulary({"<|end|>", "<|return|>"}), ""), (Ids{0, 1}));
  EXPECT_EQ(GgufEndTokens(Vocabulary({"</s>", "<|tool_response>"}), ""), Ids{1});
}

TEST(GgufConfigTest, AnIdOfNoTokenIsAsIfItsKeyWereAbsent) {
  const ModelConfig absent = Config(Llama());
  EXPECT_EQ(Config(Llama().U32("tokenizer.ggml.eos_token_id", 3)).eos_token_ids,
            std::vector<int32_t>{3});
  for (const char* name : {"bos", "eos", "eot", "eom", "fim_pad"}) {
    const std::string key = std::string("tokenizer.ggml.") + name + "_token_id";
    for (const Keys& keys :
         {Llama().U32(key, 4294967295u), Llama().U32(key, 99999), Llama().U32(key, 4),
          Llama().I32(key, -1), Llama().U64(key, ~uint64_t{0}), Llama().U32(key, 2147483648u)}) {
      const ModelConfig config = Config(keys);
      EXPECT_EQ(config.bos_token_id, absent.bos_token_id) << key;
      EXPECT_EQ(config.eos_token_ids, absent.eos_token_ids) << key;
    }
  }
}

TEST(GgufConfigTest, ContextsAreStretchedAsLlamaCppReadsIt) {
  const auto linear = [](const Keys& keys, double factor) {
    const RopeConfig rope = Config(keys).stack.rope;
    return rope.scaling == RopeScaling::kLinear && rope.factor == factor;
  };
  const auto plain = [](const Keys& keys) {
    return Config(keys).stack.rope.scaling == RopeScaling::kNone;
  };
  const std::string kFactor = "llama.rope.scaling.factor";
  const std::string kType = "llama.rope.scaling.type";
  const std::string kOldFactor = "llama.rope.scale_linear";
  EXPECT_TRUE(linear(Llama().F32(kOldFactor, 4), 4));
  EXPECT_TRUE(linear(Llama().F32(kFactor, 4), 4));
  EXPECT_TRUE(linear(Llama().Text(kType, "linear").F32(kFactor, 2.5f), 2.5));
  EXPECT_TRUE(linear(Llama().Text(kType, "linear").F32(kOldFactor, 8), 8));
  EXPECT_TRUE(linear(Llama().F32(kFactor, 4).F32(kOldFactor, 8), 4));
  EXPECT_TRUE(plain(Llama()));
  EXPECT_TRUE(plain(Llama().Text(kType, "linear")));
  EXPECT_TRUE(plain(Llama().Text(kType, "linear").F32(kFactor, 0)));
  EXPECT_TRUE(plain(Llama().Text(kType, "yarn").F32(kFactor, 0)));
  EXPECT_TRUE(plain(Llama().F32(kOldFactor, 0)));
  EXPECT_TRUE(plain(Llama().Text(kType, "none").F32(kFactor, 4)));
  EXPECT_FALSE(Describe(Llama().F32(kFactor, -2)).ok());
  EXPECT_FALSE(Describe(Llama().Text(kType, "spiral").F32(kFactor, 2)).ok());
}

}  // namespace
}  // namespace dray::model
