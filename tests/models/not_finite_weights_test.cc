// A checkpoint with a number that is not finite is refused where integers would hide it. The error
// names file and tensor, also of tensors that are joined into one matrix. Floats load: their requests
// fail with an error of their own.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/testing/source_dir.h"
#include "checkpoint/checkpoint.h"
#include "engine/runner/loaded_model.h"

namespace dray::engine {
namespace {

using kernels::WeightForm;
using kernels::WeightFormat;

namespace fs = std::filesystem;

constexpr uint16_t kBF16NaN = 0x7FC0, kF16Infinity = 0x7C00;
constexpr uint32_t kF32NaN = 0x7FC00000, kF32MinusInfinity = 0xFF800000;

// A copy of committed files that a test may spoil.
class SpoiltModel {
 public:
  explicit SpoiltModel(const std::string& golden) {
    std::string pattern = ::testing::TempDir() + "not_finite_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    fs::copy(SourceDir() / "tests/golden" / golden, dir_);
    const fs::path single = dir_ / "model.gguf";
    model_ = fs::exists(single) ? single : dir_;
  }
  ~SpoiltModel() { fs::remove_all(dir_); }
  SpoiltModel(const SpoiltModel&) = delete;
  SpoiltModel& operator=(const SpoiltModel&) = delete;

  // Overwrites bytes of the tensor's data; returns how an error must begin.
  template <typename T>
  std::string Spoil(const std::string& tensor, T value, size_t byte = 0) const {
    const auto checkpoint = checkpoint::Checkpoint::Open(model_).value();
    const checkpoint::TensorSource* source = checkpoint.Require(tensor).value();
    const fs::path path = source->file->path();
    const auto at = source->data - source->file->bytes().data() + static_cast<ptrdiff_t>(byte);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.write(reinterpret_cast<const char*>(&value), sizeof(value));
    return path.string() + ": " + tensor + ": ";
  }

  std::string ErrorOf(const std::optional<WeightForm>& format) const {
    const auto model = LoadModel(
        {.model_dir = model_, .format = format, .backend_options = {.cpu = {.num_threads = 2}}});
    return model.ok() ? "" : model.status().message();
  }

 private:
  fs::path dir_;
  fs::path model_;  // the folder, or the .gguf file in it
};

// Each tensor of a matrix that three fill, a head, and a table that is stored transposed.
TEST(NotFiniteWeightsTest, TheTensorIsNamed) {
  struct Case {
    const char* golden;
    const char* tensor;
    size_t byte;
  };
  for (const Case& c : {Case{"models/llama-bf16", "model.layers.1.self_attn.v_proj.weight", 2},
                        Case{"models/llama-bf16", "model.layers.0.mlp.up_proj.weight", 64},
                        Case{"models/llama-bf16", "lm_head.weight", 0}}) {
    const SpoiltModel model(c.golden);
    const std::string about = model.Spoil(c.tensor, kBF16NaN, c.byte);
    const std::string error = about + "a weight is nan, which int8 cannot hold";
    EXPECT_EQ(model.ErrorOf(WeightFormat::kI8).substr(0, error.size()), error);
    EXPECT_EQ(model.ErrorOf(WeightForm(WeightFormat::kI4, 32)).substr(0, about.size()), about);
    EXPECT_EQ(model.ErrorOf(std::nullopt), "");
    EXPECT_EQ(model.ErrorOf(WeightFormat::kF32), "");
  }
}

TEST(NotFiniteWeightsTest, InfinityInF16AndF32) {
  const SpoiltModel halves("models/mistral-f16");
  std::string error = halves.Spoil("model.layers.0.self_attn.q_proj.weight", kF16Infinity, 6) +
                      "a weight is inf, which int8 cannot hold";
  EXPECT_EQ(halves.ErrorOf(WeightFormat::kI8).substr(0, error.size()), error);
  const SpoiltModel transposed("models/gpt2");  // the table of tokens, and columns before rows
  error = transposed.Spoil("h.0.mlp.c_fc.weight", kF32MinusInfinity, 40) +
          "a weight is -inf, which int4 cannot hold";
  EXPECT_EQ(transposed.ErrorOf(WeightFormat::kI4).substr(0, error.size()), error);
}

TEST(NotFiniteWeightsTest, TheTokenTableAsIntegers) {
  const SpoiltModel model("models/gpt2");
  const std::string error =
      model.Spoil("wte.weight", kF32NaN, 4 * 33) + "a weight is nan, which int8 cannot hold";
  EXPECT_EQ(model.ErrorOf(WeightFormat::kI8).substr(0, error.size()), error);
}

TEST(NotFiniteWeightsTest, ScalesOfPackedIntegers) {
  for (const char* golden : {"quantized/gptq-g32", "quantized/awq-g32", "quantized/gptq-g48",
                             "quantized/gptq-8bit-sym-whole-rows"}) {
    const SpoiltModel model(golden);
    const std::string error =
        model.Spoil("model.layers.0.self_attn.k_proj.scales", kF16Infinity, 2) + "a ";
    EXPECT_EQ(model.ErrorOf(std::nullopt).substr(0, error.size()), error);
    EXPECT_EQ(model.ErrorOf(WeightFormat::kF32), "") << golden;
  }
}

// The f16 scale is the first thing in a block of either format.
TEST(NotFiniteWeightsTest, ScalesOfGgufBlocks) {
  for (const char* golden : {"gguf/quantised-llama-q4_0", "gguf/quantised-qwen2-q8_0"}) {
    const SpoiltModel model(golden);
    const std::string error = model.Spoil("blk.0.ffn_down.weight", kF16Infinity) + "a ";
    EXPECT_EQ(model.ErrorOf(std::nullopt).substr(0, error.size()), error);
  }
}

}  // namespace
}  // namespace dray::engine
