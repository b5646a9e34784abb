// The small files that describe other programs' layouts: config.ini, ds_inference_config.json and
// key_to_filename.json. Damaged ones are refused by a message that names the file and the fault.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "checkpoint/split/deepspeed.h"
#include "checkpoint/split/faster_transformer.h"
#include "checkpoint/split/ini_file.h"
#include "checkpoint/split/key_files.h"

namespace dray::checkpoint {
namespace {

namespace fs = std::filesystem;

struct Fault {
  std::string content;
  std::string expected;  // a part of the message
};

class DescriptionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(::testing::TempDir()) / "dray_split_descriptions";
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  fs::path Write(const std::string& name, const std::string& content) const {
    fs::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name, std::ios::binary) << content;
    return dir_ / name;
  }

  static void ExpectRefusal(const Status& status, const fs::path& file, const Fault& fault) {
    EXPECT_FALSE(status.ok()) << fault.content;
    EXPECT_NE(status.message().find(file.string()), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(fault.expected), std::string::npos)
        << fault.content << ": " << status.message();
  }

  fs::path dir_;
};

TEST(IniFileTest, ReadsWhatConfigparserWrites) {
  const auto ini =
      ParseIni("# a comment\n[gpt]\nHead_Num = 16\nname: a = b\r\nempty =\n\n[other]\nx=1\n", "f");
  ASSERT_TRUE(ini.ok()) << ini.status().ToString();
  const IniFile expected = {{"gpt", {{"head_num", "16"}, {"name", "a = b"}, {"empty", ""}}},
                            {"other", {{"x", "1"}}}};
  EXPECT_EQ(*ini, expected);
  EXPECT_TRUE(ParseIni("", "f")->empty());
}

TEST(IniFileTest, RefusesOtherLines) {
  const Fault faults[] = {
      {"x = 1", "line 1 is before the first [section]"},
      {"[gpt", "line 1 is no [section]"},
      {"[]", "is no [section]"},
      {"[a]\n[a]", "line 2 opens a section that stands above already"},
      {"[a]\nx = 1\nX = 2", "line 3 sets a key that is set above already"},
      {"[a]\nnothing", "line 2 is no \"key = value\""},
      {"[a]\n= 1", "line 2 is no \"key = value\""},
      {std::string("[a]\nx\0y = 1", 11), "line 2 is no \"key = value\""},
      {"[a]\n" + std::string(10'000, '\n') + "x = 1", "is one too many"},
  };
  for (const Fault& fault : faults) {
    const Status status = ParseIni(fault.content, "config.ini").status();
    EXPECT_EQ(status.code(), StatusCode::kCorrupt) << fault.content;
    EXPECT_EQ(status.message().find("config.ini: "), 0u) << status.message();
    EXPECT_NE(status.message().find(fault.expected), std::string::npos) << status.message();
  }
}

TEST_F(DescriptionsTest, KeyFilesAreReadOrRefused) {
  const auto entries =
      ReadKeyFiles(Write("key_to_filename.json", R"({"a.b": "p0.a.b", "c": "p1.c"})"));
  ASSERT_TRUE(entries.ok()) << entries.status().ToString();
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ(entries->front().second, "p0.a.b");
  const Fault faults[] = {
      {"", "JSON"},
      {"[]", "not an object"},
      {"{}", "it names no tensor"},
      {R"({"a": 1})", "its file is number"},
      {R"({"a": "../p0.a"})", "not a plain file name"},
      {R"({"a": "/etc/passwd"})", "not a plain file name"},
      {R"({"": "p0"})", "control characters"},
      {R"({"a": "p0", "b": "p0"})", "is another tensor's too"},
      {R"({"a": "p0", "a": "p1"})", "stands twice"},
      {R"({"a": "p0.a.empty_json"})", "stands for random numbers"},
  };
  for (const Fault& fault : faults) {
    const fs::path file = Write("key_to_filename.json", fault.content);
    ExpectRefusal(ReadKeyFiles(file).status(), file, fault);
  }
}

TEST_F(DescriptionsTest, DeepSpeedConfigsAreRead) {
  const auto sliced = ReadDeepSpeedConfig(
      Write("ds.json",
            R"({"type": "bloom", "base_dir": "/elsewhere", "checkpoints": {"non_tp": ["non-tp.pt"],
          "tp": ["tp_00_00.pt", "tp_01_00.pt", "tp_00_01.pt", "/x/tp_01_01.pt"]},
          "version": 1.0, "parallelization": "tp", "tp_size": 4, "mp_size": 2, "dtype": "float16"})"));
  ASSERT_TRUE(sliced.ok()) << sliced.status().ToString();
  EXPECT_TRUE(sliced->is_sliced);
  EXPECT_EQ(sliced->num_slices, 2);  // mp_size goes over tp_size
  ASSERT_EQ(sliced->files.size(), 5u);
  EXPECT_EQ(sliced->files[3].name, "tp_01_01.pt");
  EXPECT_EQ(sliced->files[3].rank, 1);
  EXPECT_EQ(sliced->files[4].name, "non-tp.pt");
  const auto shards = ReadDeepSpeedConfig(
      Write("ds.json", R"({"type": "BLOOM", "checkpoints": ["a.bin", "b.bin"], "version": 1.0})"));
  ASSERT_TRUE(shards.ok()) << shards.status().ToString();
  EXPECT_FALSE(shards->is_sliced);
  const auto listed = ReadDeepSpeedConfig(
      Write("ds.json", R"({"type": "ds_model", "checkpoints": ["bloom-tp_00.pt", "bloom-tp_01.pt"],
                           "version": 1.0, "parallelization": "tp"})"));
  ASSERT_TRUE(listed.ok()) << listed.status().ToString();
  EXPECT_TRUE(listed->is_sliced);
  EXPECT_EQ(listed->num_slices, 2);
}

TEST_F(DescriptionsTest, DamagedDeepSpeedConfigsAreRefused) {
  const Fault faults[] = {
      {"{", "JSON"},
      {"{}", "\"type\" is missing"},
      {R"({"type": 1})", "\"type\" is missing or not a string"},
      {R"({"type": "Megatron", "checkpoints": ["a"]})", "dray reads BLOOM and ds_model"},
      {R"({"type": "BLOOM"})", "\"checkpoints\" is missing"},
      {R"({"type": "BLOOM", "checkpoints": "a"})", "is missing or not a list"},
      {R"({"type": "BLOOM", "checkpoints": []})", "names no file"},
      {R"({"type": "BLOOM", "checkpoints": [1]})", "names number"},
      {R"({"type": "BLOOM", "checkpoints": [".."]})", "which is not a file"},
      {R"({"type": "BLOOM", "checkpoints": ["a/"]})", "which is not a file"},
      {R"({"type": "BLOOM", "checkpoints": ["a", "b/a"]})", "names \"a\" twice"},
      {R"({"type": "BLOOM", "checkpoints": ["a"], "parallelization": "dp"})",
       "\"parallelization\" is neither"},
      {R"({"type": "BLOOM", "checkpoints": {"non_tp": ["a"]}})", "checkpoints.tp"},
      {R"({"type": "BLOOM", "checkpoints": {"tp": []}})", "makes 0 ranks"},
      {R"({"type": "BLOOM", "checkpoints": {"tp": ["a", "b", "c"]}, "tp_size": 2})",
       "has 3 files of slices, which 2 ranks cannot share"},
      {R"({"type": "BLOOM", "checkpoints": {"tp": ["a"]}, "tp_size": 0})", "\"tp_size\" makes 0"},
      {R"({"type": "BLOOM", "checkpoints": {"tp": ["a"]}, "mp_size": 1e9})", "\"mp_size\" makes"},
      {R"({"type": "BLOOM", "checkpoints": {"tp": ["a"], "non_tp": {}}})", "checkpoints.non_tp"},
  };
  for (const Fault& fault : faults) {
    const fs::path file = Write("ds.json", fault.content);
    ExpectRefusal(ReadDeepSpeedConfig(file).status(), file, fault);
  }
}

TEST_F(DescriptionsTest, FasterTransformerFoldersAreFound) {
  EXPECT_FALSE(FindFasterTransformer(dir_)->has_value());
  fs::create_directories(dir_ / "8-gpu");
  EXPECT_FALSE(FindFasterTransformer(dir_).ok());  // a folder without config.ini
  for (const int ranks : {8, 2}) {
    const std::string folder = std::to_string(ranks) + "-gpu/";
    Write(folder + "config.ini", "[gpt]\nweight_data_type = fp16\n");
    for (int rank = 0; rank < ranks; ++rank) {
      Write(folder + "model.layers.0.attention.query_key_value.weight." + std::to_string(rank) +
                ".bin",
            "");
    }
  }
  const auto found = FindFasterTransformer(dir_);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_EQ((*found)->path, dir_ / "2-gpu");  // the fewest slices
  EXPECT_EQ((*found)->num_slices, 2);
  EXPECT_EQ((*found)->dtype, DType::kF16);
  EXPECT_EQ((*found)->files.size(), 2u);
  EXPECT_EQ((*FindFasterTransformer(dir_ / "8-gpu"))->num_slices, 8);
}

TEST_F(DescriptionsTest, DamagedFasterTransformerFoldersAreRefused) {
  Write("2-gpu/model.layers.0.attention.query_key_value.weight.0.bin", "");
  const Fault faults[] = {
      {"[gpt]\n", "model.layers.0.attention.query_key_value.weight.1.bin is missing"},
      {"[encoder]\n[decoder]\n", "an encoder and a decoder"},
      {"[bert]\n", "a model that dray does not know"},
      {"[gptj]\nweight_data_type = int4\n", "weight_data_type = \"int4\""},
      {"nothing", "line 1"},
  };
  for (const Fault& fault : faults) {
    Write("2-gpu/config.ini", fault.content);
    ExpectRefusal(FindFasterTransformer(dir_).status(), dir_ / "2-gpu", fault);
  }
  Write("2-gpu/model.layers.0.attention.query_key_value.weight.1.bin", "");
  Write("2-gpu/config.ini", "[gpt]\ntensor_para_size = 4\n");
  ExpectRefusal(FindFasterTransformer(dir_).status(), dir_ / "2-gpu",
                {"", "tensor_para_size = \"4\", but it should be 2"});
}

TEST(SplitTensorTest, RefusesSlicesThatDoNotMakeTheWhole) {
  const fs::path path = fs::path(::testing::TempDir()) / "dray_slices";
  std::ofstream(path) << std::string(96, 'x');
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok());
  const auto slice = [&](const Shape& shape, DType dtype = DType::kF32) {
    return TensorSource{.name = "t",
                        .dtype = dtype,
                        .shape = shape,
                        .strides = DenseStrides(shape),
                        .data = file->bytes().data(),
                        .file = &*file};
  };
  const SplitTensor wanted = {
      .name = "t", .shape = {6, 4}, .axis = SliceAxis::kRows, .sections = 3};
  const std::vector<TensorSource> sound = {slice({3, 4}), slice({3, 4})};
  const auto joined = JoinSlices(wanted, sound);
  ASSERT_TRUE(joined.ok()) << joined.status().ToString();
  ASSERT_EQ(joined->slices.size(), 6u);
  EXPECT_EQ(joined->slices[1].row, 1);  // the second rank's part of the first section
  EXPECT_EQ(joined->slices[2].row, 2);
  EXPECT_EQ(joined->slices[2].data, file->bytes().data() + 16);  // of the first rank's second row
  const auto expect = [&](const std::vector<TensorSource>& slices, const char* fault) {
    const Status status = JoinSlices(wanted, slices).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(path.string()), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(fault), std::string::npos) << status.message();
  };
  expect({slice({3, 4}), slice({2, 4})}, "must have [3, 4]");
  expect({slice({3, 4}), slice({3, 4}, DType::kI32)}, "its first slice as f32");
  expect({slice({2, 4}), slice({2, 4}), slice({2, 4}), slice({2, 4})}, "cannot be cut into 12");
  fs::remove(path);
}

}  // namespace
}  // namespace dray::checkpoint
