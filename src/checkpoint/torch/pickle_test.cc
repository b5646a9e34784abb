// The restricted machine on handmade opcodes; malformed_test.cc has the long list of refusals.
#include "checkpoint/torch/pickle.h"

#include <gtest/gtest.h>

#include "checkpoint/testing/malformed_builders.h"
#include "checkpoint/torch/torch_state_dict.h"

namespace dray::checkpoint {
namespace {

class PickleTest : public testing::Test {
 protected:
  Result<PickleDocument> Read(const PickleWriter& pickle) {
    bytes_ = pickle.bytes();
    ByteReader reader(std::as_bytes(std::span(bytes_)), "pickle");
    return ReadPickle(reader);
  }
  static PickleWriter Proto(int version = 2) { return PickleWriter().Proto(version); }

  std::string bytes_;
};

TEST_F(PickleTest, Constants) {
  const auto document = Read(Proto()
                                 .Raw("(N\x88\x89")
                                 .Int(7)
                                 .Raw("M\x34\x12")
                                 .Int(-5)
                                 .Int(1ll << 40)
                                 .Raw("\x8A\x01\xFF\x8A" + std::string(1, '\0') + "\x8A\x02" +
                                      std::string("\xFF\0", 2) + "t."));
  ASSERT_TRUE(document.ok()) << document.status().message();
  const auto items = document->Items(document->root);
  ASSERT_EQ(items.size(), 10u);
  EXPECT_EQ(items[0].kind, PickleKind::kNone);
  EXPECT_TRUE(document->AsBool(items[1]));
  EXPECT_FALSE(document->AsBool(items[2]));
  const int64_t numbers[] = {7, 0x1234, -5, 1ll << 40, -1, 0, 255};
  for (size_t i = 0; i < std::size(numbers); ++i) {
    ASSERT_EQ(items[3 + i].kind, PickleKind::kInt) << i;
    EXPECT_EQ(document->AsInt(items[3 + i]), numbers[i]) << i;
  }
}

TEST_F(PickleTest, TextsOfEveryForm) {
  const auto document = Read(Proto(4)
                                 .Raw("(")
                                 .Text("a")
                                 .Raw("\x8C\x02uvU\x01sT")
                                 .Raw(LittleEndian(2, 4) + "xy\x8D" + LittleEndian(1, 8) + "zt."));
  ASSERT_TRUE(document.ok()) << document.status().message();
  std::vector<std::string_view> texts;
  for (const PickleValue text : document->Items(document->root)) {
    ASSERT_EQ(text.kind, PickleKind::kText);
    texts.push_back(document->AsText(text));
  }
  EXPECT_EQ(texts, (std::vector<std::string_view>{"a", "uv", "s", "xy", "z"}));
}

TEST_F(PickleTest, MemoAndContainers) {
  // x = [1]; ({"k": x}, x) with x appended to through the memo
  const auto document = Read(Proto()
                                 .Raw("](")
                                 .Int(1)
                                 .Raw("eq\x05")
                                 .Raw("}")
                                 .Text("k")
                                 .Raw("h\x05s")
                                 .Raw("h\x05")
                                 .Int(2)
                                 .Raw("a\x87."));
  ASSERT_TRUE(document.ok()) << document.status().message();
  const auto items = document->Items(document->root);
  ASSERT_EQ(items.size(), 3u);
  const auto dict = document->Items(items[1]);
  ASSERT_EQ(dict.size(), 2u);
  EXPECT_EQ(document->AsText(dict[0]), "k");
  EXPECT_EQ(document->Items(dict[1]).size(), 2u);
  EXPECT_EQ(dict[1].payload, items[0].payload);
}

TEST_F(PickleTest, CallsAreRecordsOnly) {
  const auto document = Read(Proto().Rebuild({}).Raw("."));
  ASSERT_TRUE(document.ok()) << document.status().message();
  ASSERT_EQ(document->root.kind, PickleKind::kCall);
  const auto call = document->Items(document->root);
  ASSERT_EQ(call.size(), 2u);
  EXPECT_EQ(document->AsGlobal(call[0]).global, TorchGlobal::kRebuildTensor);
  ASSERT_EQ(document->Items(call[1]).size(), 6u);
  EXPECT_EQ(document->Items(call[1])[0].kind, PickleKind::kPersistent);
  ASSERT_EQ(document->persistent_ids().size(), 1u);
  EXPECT_EQ(document->Items(document->persistent_ids()[0]).size(), 5u);
}

TEST_F(PickleTest, AttributesOfOrderedDictsAreDropped) {
  const auto document =
      Read(Proto().OrderedDict().Text("w").Rebuild({}).Raw("s}").Text("_metadata").Raw("}sb."));
  ASSERT_TRUE(document.ok()) << document.status().message();
  const auto state_dict = ReadStateDict(*document, TorchRoot::kStateDict);
  ASSERT_TRUE(state_dict.ok()) << state_dict.status().message();
  ASSERT_EQ(state_dict->tensors.size(), 1u);
  EXPECT_EQ(state_dict->tensors[0].name, "w");
  EXPECT_EQ(state_dict->tensors[0].shape, Shape({2, 3}));
}

TEST_F(PickleTest, ErrorsSayWhereAndNearWhichKey) {
  const auto document =
      Read(Proto().Raw("}(").Text("good").Rebuild({}).Text("bad").Global("os", "system"));
  ASSERT_FALSE(document.ok());
  EXPECT_NE(document.status().message().find("near key \"bad\": the name \"os.system\""),
            std::string::npos)
      << document.status().message();
}

TEST_F(PickleTest, LeavesTheReaderBehindThePickle) {
  bytes_ = Proto().Raw("N.").bytes() + "rest";
  ByteReader reader(std::as_bytes(std::span(bytes_)), "pickle");
  ASSERT_TRUE(ReadPickle(reader).ok());
  EXPECT_EQ(reader.remaining(), 4u);
}

}  // namespace
}  // namespace dray::checkpoint
