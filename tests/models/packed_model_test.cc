// GPTQ and AWQ checkpoints against transformers, which ran the equivalent float weights
// (tests/golden/make_quantized_goldens.py): the weights bit by bit, and the logits of whole models.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>
#include <string>

#include "base/file.h"
#include "base/mapped_file.h"
#include "checkpoint/integers/packed_linear.h"
#include "checkpoint/safetensors.h"
#include "engine/runner/loaded_model.h"
#include "engine/testing/sequence_scorer.h"
#include "model/describe/model_description.h"
#include "testing/golden_model.h"

namespace dray::engine {
namespace {

using kernels::WeightFormat;
using kernels::ZeroPoint;
using testing::GoldenModel;

namespace fs = std::filesystem;

// The formats in which the slots of a model are kept by default.
struct Variant {
  const char* name;
  WeightFormat format;
  int64_t group;
  ZeroPoint zero;
};

constexpr Variant kVariants[] = {
    {"gptq-g32", WeightFormat::kI4, 32, ZeroPoint::kPerGroup},
    {"gptq-v2-g64-bias", WeightFormat::kI4, 64, ZeroPoint::kPerGroup},
    {"gptq-sym-g128", WeightFormat::kI4, 128, ZeroPoint::kNone},
    {"gptq-whole-rows", WeightFormat::kI4, 128, ZeroPoint::kPerGroup},
    {"gptq-g48", WeightFormat::kI8, 0, ZeroPoint::kNone},
    {"gptq-desc-act", WeightFormat::kI8, 0, ZeroPoint::kNone},
    {"gptq-8bit-sym-whole-rows", WeightFormat::kI8, 0, ZeroPoint::kNone},
    {"gptq-8bit-g32", WeightFormat::kI8, 32, ZeroPoint::kPerGroup},
    {"gptq-gpt_neox", WeightFormat::kI4, 32, ZeroPoint::kPerGroup},
    {"gptq-gpt2", WeightFormat::kI4, 32, ZeroPoint::kPerGroup},
    {"awq-g32", WeightFormat::kI4, 32, ZeroPoint::kPerGroup},
    {"awq-g64", WeightFormat::kI4, 64, ZeroPoint::kPerGroup},
};

GoldenModel Read(const char* name) {
  return testing::ReadGoldenModel(std::string("../quantized/") + name);
}

checkpoint::FileContent Goldens(const MappedFile& file) {
  return checkpoint::ReadSafetensors(file.bytes(), "golden.safetensors").value();
}

// Replaces the logits by those of a model that rounds the inputs of its layers.
void UseRoundedLogits(GoldenModel& golden) {
  const MappedFile file = MappedFile::Open(golden.dir / "golden.safetensors").value();
  const checkpoint::FileContent content = Goldens(file);
  for (auto& prompt : golden.prompts) {
    const std::string name = "rounded_prompt_" + std::to_string(prompt.ids.size());
    for (const auto& tensor : content.tensors) {
      if (tensor.name != name) continue;
      const std::byte* from = tensor.data;
      for (auto& row : prompt.logits) {
        std::memcpy(row.data(), from, row.size() * sizeof(float));
        from += row.size() * sizeof(float);
      }
    }
  }
}

// The largest difference of any golden logit over the largest |logit|.
double WorstLogit(LoadedModel& model, const GoldenModel& golden) {
  const auto vocab = static_cast<size_t>(model.description.config.vocab_size);
  auto scorer = SequenceScorer::Make(model, {.max_tokens = 64});
  EXPECT_TRUE(scorer.ok()) << scorer.status().ToString();
  double worst = 0, largest = 0;
  for (const auto& prompt : golden.prompts) {
    const std::vector<float> logits = scorer->Logits(prompt.ids, prompt.logit_positions).value();
    for (size_t i = 0; i < logits.size(); ++i) {
      const double expected = prompt.logits[i / vocab][i % vocab];
      worst = std::max(worst, std::abs(logits[i] - expected));
      largest = std::max(largest, std::abs(expected));
    }
  }
  return worst / largest;
}

class PackedModelTest : public ::testing::TestWithParam<Variant> {};

// Every module of the model, joined and reordered as its family needs.
TEST_P(PackedModelTest, AsFloatsTheLogitsAgree) {
  const GoldenModel golden = Read(GetParam().name);
  auto model = LoadModel({.model_dir = golden.dir,
                          .format = WeightFormat::kF32,
                          .backend_options = {.cpu = {.num_threads = 2}}});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  EXPECT_LE(WorstLogit(**model, golden), 1e-4);  // the same limit as for float checkpoints
}

// Ranges of columns that begin and end between words and groups, and inside of them.
void ExpectColumns(const checkpoint::PackedLinear& packed) {
  const std::vector<int64_t> rows = {5, 0};
  const int64_t cols = packed.cols();
  kernels::QuantizedBuffer whole_buffer, buffer;
  const auto whole = packed.Unpack(rows, packed.all_columns(), whole_buffer);
  std::vector<float> expected(static_cast<size_t>(cols)), floats(static_cast<size_t>(cols));
  for (const int64_t begin : {int64_t{0}, int64_t{3}, int64_t{16}, int64_t{32}, cols - 5}) {
    for (const int64_t count : {int64_t{1}, int64_t{30}, cols - begin}) {
      if (begin + count > cols) continue;
      const auto part = packed.Unpack(rows, {begin, count}, buffer);
      ASSERT_EQ(part.cols, count);
      for (int64_t r = 0; r < part.rows; ++r) {
        whole.ToFloats(r, expected.data());
        part.ToFloats(r, floats.data());
        EXPECT_TRUE(std::equal(floats.begin(), floats.begin() + count, expected.begin() + begin))
            << count << " columns from " << begin;
      }
    }
  }
}

TEST_P(PackedModelTest, WeightsAreTheSameBits) {
  const GoldenModel golden = Read(GetParam().name);
  const auto description = model::ReadModelDescription(golden.dir).value();
  ASSERT_TRUE(description.packed);
  const auto checkpoint = checkpoint::Checkpoint::Open(golden.dir).value();
  const MappedFile file = MappedFile::Open(golden.dir / "golden.safetensors").value();
  const checkpoint::FileContent content = Goldens(file);
  constexpr std::string_view kPrefix = "weight ";
  int compared = 0;
  for (const auto& tensor : content.tensors) {
    if (!tensor.name.starts_with(kPrefix)) continue;
    const auto packed = checkpoint::PackedLinear::Open(
        checkpoint, tensor.name.substr(kPrefix.size()), *description.packed);
    ASSERT_TRUE(packed.ok()) << packed.status().ToString();
    const kernels::MatrixSpec form = packed->form();
    ASSERT_EQ(tensor.shape, Shape({form.rows, form.cols}));
    std::vector<float> expected(static_cast<size_t>(tensor.shape.elements()));
    std::memcpy(expected.data(), tensor.bytes().data(), tensor.bytes().size());
    // Reads rows in an order that takes single rows out of words.
    std::vector<int64_t> order(static_cast<size_t>(form.rows));
    for (int64_t r = 0; r < form.rows; ++r) order[static_cast<size_t>(r)] = r * 13 % form.rows;
    kernels::QuantizedBuffer buffer;
    std::vector<float> row(static_cast<size_t>(form.cols));
    for (size_t first = 0; first < order.size(); first += 7) {
      const auto wanted =
          std::span(order).subspan(first, std::min<size_t>(7, order.size() - first));
      const auto rows = packed->Unpack(wanted, packed->all_columns(), buffer);
      ASSERT_EQ(rows.rows, static_cast<int64_t>(wanted.size()));
      for (size_t r = 0; r < wanted.size(); ++r) {
        rows.ToFloats(static_cast<int64_t>(r), row.data());
        const auto* exact = expected.data() + wanted[r] * form.cols;
        ASSERT_TRUE(std::equal(row.begin(), row.end(), exact))
            << tensor.name << " at " << wanted[r];
      }
    }
    ExpectColumns(*packed);
    ++compared;
  }
  EXPECT_EQ(compared, 2);
}

// Summation in another order can move an input that lies half way between two integers to the other
// one. Such a step changes one of 64 numbers by 1 / 127 of the largest: 0.4 % of a layer's output
// if the largest is four times the root mean square. Five steps, which would be many, make 2 %.
TEST_P(PackedModelTest, KeptAsTheyAreTheLogitsAreThoseOfRoundedInputs) {
  GoldenModel golden = Read(GetParam().name);
  UseRoundedLogits(golden);
  auto model = LoadModel({.model_dir = golden.dir, .backend_options = {.cpu = {.num_threads = 2}}});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  for (const auto slot :
       {model::Slot::kQkv, model::Slot::kAttentionOut, model::Slot::kFfnIn, model::Slot::kFfnOut}) {
    const kernels::MatrixSpec& spec = (*model)->ranks[0].weights.Matrix(slot, 1)->spec();
    EXPECT_EQ(spec.format, GetParam().format);
    EXPECT_EQ(spec.zero, GetParam().zero);
  }
  // Only this matrix is wider than the groups of all the checkpoints.
  EXPECT_EQ((*model)->ranks[0].weights.Matrix(model::Slot::kFfnOut, 1)->spec().group,
            GetParam().group);
  const double worst = WorstLogit(**model, golden);
  RecordProperty("worst", std::to_string(worst));
  EXPECT_LE(worst, 0.02);
}

std::string TestName(const ::testing::TestParamInfo<Variant>& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Variants, PackedModelTest, ::testing::ValuesIn(kVariants), TestName);

// Old AutoGPTQ folders describe their layers in a file beside config.json. The file names no
// method, and the weight files may have any name.
TEST(PackedModelTest, QuantizeConfigStandsForTheKeyOfConfigJson) {
  const GoldenModel golden = Read("gptq-sym-g128");
  const fs::path dir = fs::path(::testing::TempDir()) / "packed-old";
  fs::remove_all(dir);
  fs::create_directories(dir);
  fs::copy_file(golden.dir / "model.safetensors", dir / "gptq_model-4bit-128g.safetensors");
  Json config = Json::Parse(ReadFile(golden.dir / "config.json", 1 << 20).value()).value();
  Json described = *config.Find("quantization_config");
  config.Set("quantization_config", Json());
  for (const char* key : {"quant_method", "checkpoint_format"}) described.Set(key, Json());
  const auto write = [&](const char* name, const Json& json) {
    std::ofstream(dir / name) << json.Dump();
  };
  write("config.json", config);
  write("quantize_config.json", described);
  auto model = LoadModel({.model_dir = dir,
                          .format = WeightFormat::kF32,
                          .backend_options = {.cpu = {.num_threads = 2}}});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  EXPECT_LE(WorstLogit(**model, golden), 1e-4);

  described.Set("bits", 3);
  write("quantize_config.json", described);
  model = LoadModel({.model_dir = dir, .backend_options = {.cpu = {.num_threads = 2}}});
  EXPECT_NE(model.status().message().find("quantize_config.json: bits is 3"), std::string::npos)
      << model.status().message();
  write("quantize_config.json", Json(4));
  model = LoadModel({.model_dir = dir, .backend_options = {.cpu = {.num_threads = 2}}});
  EXPECT_NE(model.status().message().find("must be a JSON object"), std::string::npos)
      << model.status().message();
}

// ---- damaged checkpoints

// A copy of a variant's folder with one tensor renamed in its header, or with some words of its
// file changed.
struct Damage {
  const char* what;
  const char* variant;
  const char* tensor;       // part of the tensor's name
  const char* replacement;  // the same length; null: `bytes` are written over its first ones
  std::vector<uint8_t> bytes;
  const char* message;
};

fs::path Damaged(const Damage& damage) {
  const fs::path from = Read(damage.variant).dir;
  const fs::path dir = fs::path(::testing::TempDir()) / ("packed-" + std::string(damage.what));
  fs::remove_all(dir);
  fs::create_directories(dir);
  fs::copy_file(from / "config.json", dir / "config.json");
  std::string file = ReadFile(from / "model.safetensors", 1 << 24).value();
  if (damage.replacement != nullptr) {
    const size_t at = file.find(damage.tensor);
    EXPECT_NE(at, std::string::npos);
    file.replace(at, std::strlen(damage.replacement), damage.replacement);
  } else {
    const auto* bytes = reinterpret_cast<const std::byte*>(file.data());
    const auto content = checkpoint::ReadSafetensors({bytes, file.size()}, "file").value();
    for (const auto& tensor : content.tensors) {
      if (!tensor.name.ends_with(damage.tensor)) continue;
      const auto at = static_cast<size_t>(tensor.data - bytes);
      for (size_t i = 0; i < damage.bytes.size(); ++i) {
        file[at + i] = static_cast<char>(damage.bytes[i]);
      }
      break;
    }
  }
  std::ofstream(dir / "model.safetensors", std::ios::binary) << file;
  return dir;
}

TEST(PackedModelRefusals, NameTheTensor) {
  const std::vector<Damage> damages = {
      {"no-scales",
       "gptq-g32",
       "0.mlp.up_proj.scales",
       "0.mlp.up_proj.scalex",
       {},
       "tensor \"model.layers.0.mlp.up_proj.scales\" is missing"},
      {"no-zeros",
       "awq-g32",
       "0.mlp.up_proj.qzeros",
       "0.mlp.up_proj.qzerox",
       {},
       "tensor \"model.layers.0.mlp.up_proj.qzeros\" is missing"},
      {"no-numbers",
       "awq-g32",
       "0.mlp.up_proj.qweight",
       "0.mlp.up_proj.qweighx",
       {},
       "no tensor is called model.layers.0.mlp.up_proj.weight"},
      {"group-beyond",
       "gptq-g32",
       "0.mlp.up_proj.g_idx",
       nullptr,
       {2, 0, 0, 0},
       "puts channel 0 in group 2, but there are 2"},
      {"group-below",
       "gptq-g32",
       "0.mlp.up_proj.g_idx",
       nullptr,
       {255, 255, 255, 255},
       "puts channel 0 in group -1, but there are 2"},
  };
  for (const Damage& damage : damages) {
    const auto model =
        LoadModel({.model_dir = Damaged(damage), .backend_options = {.cpu = {.num_threads = 1}}});
    ASSERT_FALSE(model.ok()) << damage.what;
    EXPECT_NE(model.status().message().find(damage.message), std::string::npos)
        << model.status().message();
  }
}

// The configuration contradicts the tensors in every way that their shapes can show.
TEST(PackedModelRefusals, ConfigurationsThatContradictTheTensors) {
  const std::map<std::string, std::string> changes = {
      {"\"bits\": 4", "\"bits\": 8"},
      {"\"group_size\": 32", "\"group_size\": 16"},
      {"\"quant_method\": \"gptq\"", "\"quant_method\": \"awq\""},
      {"\"intermediate_size\": 96", "\"intermediate_size\": 64"},
  };
  const fs::path from = Read("gptq-g32").dir;
  for (const auto& [old_text, new_text] : changes) {
    const fs::path dir = fs::path(::testing::TempDir()) / "packed-config";
    fs::remove_all(dir);
    fs::create_directories(dir);
    fs::copy_file(from / "model.safetensors", dir / "model.safetensors");
    std::string config = ReadFile(from / "config.json", 1 << 20).value();
    config.replace(config.find(old_text), old_text.size(), new_text);
    std::ofstream(dir / "config.json") << config;
    const auto model =
        LoadModel({.model_dir = dir, .backend_options = {.cpu = {.num_threads = 1}}});
    ASSERT_FALSE(model.ok()) << new_text;
    EXPECT_NE(model.status().message().find("shape"), std::string::npos)
        << model.status().message();
  }
}

}  // namespace
}  // namespace dray::engine
