// vocab.txt and spiece.model as bytes: what is read, and how damaged files are refused.
#include "tokenizer/load/vocab_files.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "tokenizer/load/proto_reader.h"
#include "tokenizer/load/sentencepiece_model.h"

namespace dray::tokenizer {
namespace {

// Fields of protobuf messages, serialized. Numbers are below 128 where one byte is written.
std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(0x80 | (value & 0x7F));
  return bytes + static_cast<char>(value);
}
std::string NumberField(uint32_t number, uint64_t value) {
  return Varint(uint64_t{number} << 3) + Varint(value);
}
std::string BytesField(uint32_t number, std::string_view bytes) {
  return Varint((uint64_t{number} << 3) | 2) + Varint(bytes.size()) + std::string(bytes);
}
std::string FloatField(uint32_t number, float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  std::string bytes = Varint((uint64_t{number} << 3) | 5);
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>((bits >> shift) & 0xFF);
  return bytes;
}

std::string PieceField(std::string_view text, float score, uint64_t type = 1) {
  return BytesField(1, BytesField(1, text) + FloatField(2, score) + NumberField(3, type));
}
std::string UnkId(uint64_t id) { return BytesField(2, NumberField(40, id)); }

const std::string& SmallModel() {
  static const std::string model = PieceField("<pad>", 0, 3) + PieceField("</s>", 0, 3) +
                                   PieceField("<unk>", 0, 2) + PieceField("▁a", -1) +
                                   PieceField("b", -2.5F) + PieceField("<x>", 0, 4) + UnkId(2);
  return model;
}

std::vector<int32_t> Encode(const SubwordModel& model, std::string_view piece) {
  WorkBudget budget(piece.size());
  std::vector<int32_t> ids;
  EXPECT_TRUE(model.Encode({piece}, budget, ids).ok());
  return ids;
}

TEST(SpieceModelTest, PiecesAndSentinels) {
  const auto parts = ParseSpieceModel(SmallModel(), 2);
  ASSERT_TRUE(parts.ok()) << parts.status().message();
  EXPECT_EQ(parts->model->vocab().size(), 8u);
  EXPECT_EQ(parts->model->vocab().Find("<extra_id_1>"), 6);
  EXPECT_EQ(parts->model->vocab().Find("<extra_id_0>"), 7);
  EXPECT_EQ(Encode(*parts->model, "▁ab<extra_id_0>c"), (std::vector<int32_t>{3, 4, 7, 2}));
  ASSERT_EQ(parts->added_tokens.size(), 3u);
  EXPECT_EQ(parts->added_tokens[0].content, "<pad>");
  EXPECT_TRUE(parts->added_tokens[0].special);
  EXPECT_EQ(parts->added_tokens[2].content, "<x>");
  EXPECT_FALSE(parts->added_tokens[2].special);
  EXPECT_TRUE(parts->normalizer.empty());
}

// Fields that dray does not know, and messages in pieces, as protobuf allows them.
TEST(SpieceModelTest, OtherFieldsAreSkipped) {
  const std::string spec = BytesField(2, NumberField(4, 8000) + NumberField(3, 1));
  const std::string other = NumberField(77, uint64_t{1} << 63) + BytesField(4, "self test") +
                            FloatField(9, 1) + Varint((12 << 3) | 1) + "12345678";
  const std::string bytes = spec + other + SmallModel();  // which the pieces are views of
  const auto model = ParseSentencePieceModel(bytes);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->pieces.size(), 6u);
  EXPECT_EQ(model->unk_id, 2);
  EXPECT_EQ(model->pieces[4].text, "b");
  EXPECT_EQ(model->pieces[4].score, -2.5F);
  EXPECT_EQ(model->pieces[5].type, SentencePiece::Type::kUserDefined);
}

TEST(SpieceModelTest, TheUnknownPieceIsTheOneWhoseTypeSaysSo) {
  const std::string bytes = SmallModel() + UnkId(3);
  const auto model = ParseSentencePieceModel(bytes);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->unk_id, 2);
}

struct BadModel {
  std::string bytes;
  std::string_view message;  // a part of the error's
};

TEST(SpieceModelTest, DamagedFilesAreRefused) {
  const float infinity = std::numeric_limits<float>::infinity();
  const BadModel cases[] = {
      {"", "has no pieces"},
      {"{\"version\": \"1.0\"}", "SentencePiece model: "},
      {SmallModel() + "\x0A", "SentencePiece model"},
      {SmallModel() + std::string("\x0A\x7F", 2) + "x", "declares 127 bytes, but 1 follow"},
      {std::string("\x03", 1), "the number 0"},
      {std::string("\x0B", 1), "wire type 3"},
      {std::string("\x08", 1) + std::string(11, '\xFF'), "more than 64 bits"},
      {PieceField("", 0) + UnkId(0), "piece 0: has no text"},
      {PieceField("a", 0) + PieceField("\xFF", 0) + UnkId(0), "piece 1: its text is not UTF-8"},
      {PieceField("a", infinity) + UnkId(0), "piece 0: the score of \"a\" is inf"},
      {PieceField("a", std::nanf("")) + UnkId(0), "no finite number"},
      {PieceField("a", 0, 7) + UnkId(0), "piece 0: the type is 7"},
      {SmallModel() + UnkId(6), "unk_id is 6, but there are 6 pieces"},
      {SmallModel() + UnkId(UINT64_MAX), "unk_id is -1"},
      {SmallModel() + BytesField(2, NumberField(3, 2)), "model_type is BPE"},
      {SmallModel() + BytesField(2, NumberField(3, 9)), "model_type is 9"},
      {SmallModel() + BytesField(2, "\x08"), "trainer_spec"},
      {SmallModel() + BytesField(3, BytesField(2, "abc")), "precompiled_charsmap"},
      {SmallModel() + BytesField(3, BytesField(2, std::string(4, '\x7F'))), "declares a trie"},
      {SmallModel() + BytesField(3, BytesField(2, std::string(4, '\0'))),
       "declares a trie of 0 bytes"},
      {SmallModel() + BytesField(3, BytesField(2, std::string("\4\0\0\0\2\0\0\x80"
                                                              "ab",
                                                              10))),
       "its trie names the replacement at byte 2, but replacements have 2 bytes"},
      {SmallModel() + PieceField("▁<extra_id_0>", 0, 4), "set extra_ids to 0"},
  };
  for (const BadModel& one : cases) {
    const auto parts = ParseSpieceModel(one.bytes, 100);
    ASSERT_FALSE(parts.ok()) << one.message;
    EXPECT_NE(parts.status().message().find(one.message), std::string::npos)
        << parts.status().message();
  }
}

TEST(SpieceModelTest, EveryCutIsRefusedOrRead) {
  for (size_t size = 0; size < SmallModel().size(); ++size) {
    const auto parts = ParseSpieceModel(SmallModel().substr(0, size), 0);
    EXPECT_EQ(parts.ok(), parts.status().message().empty()) << size;
  }
}

TEST(VocabTxtTest, LinesAreTokens) {
  // The last of equal lines counts, and so does a line without an end.
  const auto model = ParseVocabTxt("[UNK]\r\nthe \n##m\u3000\n\nthe\nx y\n##m", "[UNK]");
  ASSERT_TRUE(model.ok()) << model.status().message();
  const Vocab& vocab = (*model)->vocab();
  EXPECT_EQ(vocab.Find("[UNK]"), 0);
  EXPECT_EQ(vocab.Find("the"), 4);
  EXPECT_EQ(vocab.Find("##m"), 6);
  EXPECT_EQ(vocab.Find(""), 3);
  EXPECT_EQ(vocab.Find("x y"), 5);
  EXPECT_FALSE(vocab.Text(1).has_value());
  EXPECT_EQ(Encode(**model, "them"), (std::vector<int32_t>{4, 6}));
  EXPECT_EQ(Encode(**model, "thex"), (std::vector<int32_t>{0}));
}

TEST(VocabTxtTest, DamagedFilesAreRefused) {
  EXPECT_NE(ParseVocabTxt("", "[UNK]").status().message().find("0 lines"), std::string::npos);
  const auto bytes = ParseVocabTxt("a\n\xFF\n", "[UNK]");
  EXPECT_EQ(bytes.status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(bytes.status().message(), "line 2 is not UTF-8");
  const auto size = ParseVocabTxt("a\n" + std::string(2000, 'x'), "[UNK]");
  EXPECT_NE(size.status().message().find("token 1 has 2000 bytes"), std::string::npos);
}

}  // namespace
}  // namespace dray::tokenizer
