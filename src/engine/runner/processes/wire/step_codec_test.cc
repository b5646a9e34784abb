#include "engine/runner/processes/wire/step_codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace dray::engine {
namespace {

constexpr int64_t kBlockSize = 16;

StepBounds SmallBounds() {
  return {.spec = {.cache = {.num_blocks = 8, .block_size = kBlockSize},
                   .step = {.max_batch_tokens = 64,
                            .max_sequences = 2,
                            .max_logit_rows = 3,
                            .max_table_entries = 8}},
          .vocab_size = 100,
          .widths = {.vocab = 100, .state = 20},
          .max_positions = 64};
}

// Two sequences and a copy.
RunnerStep SmallStep() {
  static const std::vector<int32_t> kTokens = {5, 99, 0, 7, 8, 1, 2, 3, 4,
                                               5, 6,  7, 8, 9, 1, 2, 3, 4};
  static const std::vector<BlockId> kFirst = {BlockId(3), BlockId(1)};
  static const std::vector<BlockId> kSecond = {BlockId(7)};
  RunnerStep step;
  step.AppendCopy(BlockId(2), BlockId(7));
  step.AppendRows({.first_position = 0,
                   .num_rows = 18,
                   .num_prompt_tokens = 18,
                   .known = kTokens,
                   .block_table = kFirst},
                  kBlockSize);
  step.AppendRows({.first_position = 4,
                   .num_rows = 1,
                   .num_prompt_tokens = 3,
                   .known = kTokens,
                   .block_table = kSecond},
                  kBlockSize);
  step.logit_rows = {17, 18};
  step.wants_states = true;
  return step;
}

std::vector<std::byte> Encoded(const RunnerStep& step) {
  std::vector<std::byte> bytes;
  EncodeStep(step, bytes);
  return bytes;
}

Status Decode(const std::vector<std::byte>& bytes) {
  RunnerStep step;
  return DecodeStep(bytes, SmallBounds(), step);
}

void ExpectRefused(const RunnerStep& step, const std::string& what) {
  const Status status = Decode(Encoded(step));
  EXPECT_EQ(status.code(), StatusCode::kCorrupt);
  EXPECT_NE(status.message().find(what), std::string::npos) << status.message();
}

// A sequence that begins with a source of five tokens, and two tokens behind it.
RunnerStep StepWithSource() {
  static const std::vector<int32_t> kTokens = {5, 99, 0, 7, 8, 1, 2};
  static const std::vector<BlockId> kBlocks = {BlockId(3)};
  RunnerStep step;
  step.AppendRows({.num_rows = 7,
                   .num_prompt_tokens = 6,
                   .known = kTokens,
                   .block_table = kBlocks,
                   .num_source_tokens = 5},
                  kBlockSize);
  step.logit_rows = {1};
  return step;
}

TEST(StepCodecTest, SourcesComeBackAndAreChecked) {
  StepBounds bounds = SmallBounds();
  bounds.has_encoder = true;
  const RunnerStep step = StepWithSource();
  RunnerStep decoded;
  ASSERT_TRUE(DecodeStep(Encoded(step), bounds, decoded).ok());
  EXPECT_EQ(decoded.sources.texts.ids, (std::vector<int32_t>{5, 99, 0, 7, 8}));
  EXPECT_EQ(decoded.sources.texts.lengths, std::vector<int32_t>{5});
  EXPECT_EQ(decoded.sources.slots, step.sources.slots);
  EXPECT_EQ(decoded.batch.sequences[0].first_token, 5);
  EXPECT_EQ(decoded.batch.positions, (std::vector<int32_t>{0, 1}));
  ExpectRefused(step, "a step with 1 sources: at most 0 are allowed");
  const auto refused = [&](void (*change)(RunnerStep&), const std::string& what) {
    RunnerStep changed = step;
    change(changed);
    RunnerStep into;
    const Status status = DecodeStep(Encoded(changed), bounds, into);
    EXPECT_NE(status.message().find(what), std::string::npos) << status.message();
  };
  refused([](RunnerStep& s) { s.sources.texts.lengths[0] = 4; }, "sources of 4");
  refused([](RunnerStep& s) { s.sources.texts.lengths[0] = 0; }, "a source of 0 tokens");
  refused([](RunnerStep& s) { s.sources.texts.ids[1] = 100; }, "source token 100");
  refused([](RunnerStep& s) { s.sources.slots[1] = 128; }, "cache slot 128");
  refused([](RunnerStep& s) { s.batch.sequences[0].first_token = 6; }, "from token 6 on");
}

// Two texts of an encoder, of three tokens and of two.
RunnerStep StepOfTexts() {
  RunnerStep step;
  step.sources.texts = {.ids = {5, 99, 0, 7, 8}, .types = {0, 0, 1, 0, 1}, .lengths = {3, 2}};
  step.logit_rows = {0, 3};
  step.wants_states = true;
  return step;
}

StepBounds BoundsOfEncoder() {
  return {.spec = {.cache = {.num_blocks = 0},
                   .step = {.max_batch_tokens = 8, .max_sequences = 2, .max_logit_rows = 3}},
          .vocab_size = 100,
          .widths = {.vocab = 4, .state = 20},
          .max_positions = 3,
          .is_encoder = true,
          .num_token_types = 2};
}

TEST(StepCodecTest, TextsOfAnEncoderComeBack) {
  RunnerStep step = StepOfTexts();
  for (const bool wants_logits : {true, false}) {
    step.wants_logits = wants_logits;
    const auto bytes = Encoded(step);
    EXPECT_LE(static_cast<int64_t>(bytes.size()), MaxStepBytes(BoundsOfEncoder().spec));
    RunnerStep decoded = SmallStep();  // what was there before is replaced
    const Status status = DecodeStep(bytes, BoundsOfEncoder(), decoded);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(Encoded(decoded), bytes);
    EXPECT_EQ(decoded.sources.texts.ids, step.sources.texts.ids);
    EXPECT_EQ(decoded.sources.texts.types, step.sources.texts.types);
    EXPECT_EQ(decoded.sources.texts.lengths, step.sources.texts.lengths);
    EXPECT_EQ(decoded.logit_rows, step.logit_rows);
    EXPECT_EQ(decoded.wants_logits, wants_logits);
    EXPECT_TRUE(decoded.wants_states && decoded.batch.ids.empty() && decoded.copy_to.empty());
  }
  StepBounds untyped = BoundsOfEncoder();
  untyped.num_token_types = 0;
  RunnerStep into;
  EXPECT_FALSE(DecodeStep(Encoded(step), untyped, into).ok());
  step.sources.texts.types.clear();
  EXPECT_TRUE(DecodeStep(Encoded(step), untyped, into).ok());
}

TEST(StepCodecTest, TextsOfAnEncoderAreChecked) {
  const auto refused = [](void (*change)(RunnerStep&), const std::string& what) {
    RunnerStep step = StepOfTexts();
    change(step);
    RunnerStep into;
    const Status status = DecodeStep(Encoded(step), BoundsOfEncoder(), into);
    EXPECT_EQ(status.code(), StatusCode::kCorrupt);
    EXPECT_NE(status.message().find(what), std::string::npos) << status.message();
  };
  refused([](RunnerStep& s) { s.sources.texts.ids[1] = 100; }, "source token 100");
  refused([](RunnerStep& s) { s.sources.texts.ids[1] = -1; }, "source token -1");
  refused([](RunnerStep& s) { s.sources.texts.types[4] = 2; }, "type 2: it must be 0 to 1");
  refused([](RunnerStep& s) { s.sources.texts.types.pop_back(); }, "4 types of tokens");
  refused([](RunnerStep& s) { s.sources.texts.lengths = {4, 1}; }, "a source of 4 tokens");
  refused([](RunnerStep& s) { s.sources.texts.lengths = {5, 0}; }, "a source of 5 tokens");
  refused([](RunnerStep& s) { s.sources.texts.lengths = {3, 0}; }, "a source of 0 tokens");
  refused([](RunnerStep& s) { s.sources.texts.lengths = {3, 1}; }, "sources of 4");
  refused([](RunnerStep& s) { s.sources.texts.lengths = {3, 1, 1}; }, "3 texts");
  refused([](RunnerStep& s) { s.logit_rows[1] = 5; }, "row of logits 5");
  refused([](RunnerStep& s) { s.logit_rows = {0, 0, 0, 0, 0, 0}; }, "6 rows of results");
  refused([](RunnerStep& s) { s.wants_logits = s.wants_states = false; }, "wants 0");
  refused([](RunnerStep& s) { s.sources.slots = {0, 1, 2, 3, 4}; }, "a decoder's step");
  refused([](RunnerStep& s) { s.AppendCopy(BlockId(0), BlockId(0)); }, "1 block copies");
  RunnerStep into;
  EXPECT_FALSE(DecodeStep(Encoded(SmallStep()), BoundsOfEncoder(), into).ok());
  EXPECT_FALSE(DecodeStep(Encoded(StepOfTexts()), SmallBounds(), into).ok());
}

TEST(StepCodecTest, AStepComesBackAsItWas) {
  const RunnerStep step = SmallStep();
  const auto bytes = Encoded(step);
  EXPECT_LE(static_cast<int64_t>(bytes.size()), MaxStepBytes(SmallBounds().spec));
  RunnerStep decoded = step;  // what was there before is replaced
  decoded.batch.ids.clear();
  const Status status = DecodeStep(bytes, SmallBounds(), decoded);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(Encoded(decoded), bytes);
  EXPECT_EQ(decoded.batch.ids, step.batch.ids);
  EXPECT_EQ(decoded.batch.slots, step.batch.slots);
  EXPECT_EQ(decoded.batch.known_tokens, step.batch.known_tokens);
  EXPECT_EQ(decoded.logit_rows, step.logit_rows);
  EXPECT_EQ(decoded.copy_to, step.copy_to);
  EXPECT_TRUE(decoded.wants_states);
}

TEST(StepCodecTest, AStepOfCopiesAloneComesBack) {
  RunnerStep step;
  step.AppendCopy(BlockId(0), BlockId(7));
  EXPECT_TRUE(Decode(Encoded(step)).ok());
}

TEST(StepCodecTest, SteadyStepsAllocateNothing) {
  std::vector<std::byte> bytes;
  bytes.reserve(static_cast<size_t>(MaxStepBytes(SmallBounds().spec)));
  const std::byte* const memory = bytes.data();
  EncodeStep(SmallStep(), bytes);
  EXPECT_EQ(bytes.data(), memory);
}

TEST(StepCodecTest, EveryNumberIsChecked) {
  const auto change = [](auto body) {
    RunnerStep step = SmallStep();
    body(step);
    return step;
  };
  ExpectRefused(change([](RunnerStep& s) { s.copy_to[0] = 8; }), "block 8: it must be 0 to 7");
  ExpectRefused(change([](RunnerStep& s) { s.copy_from[0] = -1; }), "block -1");
  ExpectRefused(change([](RunnerStep& s) { s.batch.ids[1] = 100; }), "token 100");
  ExpectRefused(change([](RunnerStep& s) { s.batch.positions[0] = 64; }), "position 64");
  ExpectRefused(change([](RunnerStep& s) { s.batch.slots[0] = 128; }), "cache slot 128");
  ExpectRefused(change([](RunnerStep& s) { s.batch.known_tokens[0] = 65; }), "known tokens 65");
  ExpectRefused(change([](RunnerStep& s) { s.logit_rows[0] = 19; }), "row of logits 19");
  ExpectRefused(change([](RunnerStep& s) { s.batch.block_tables[2] = 8; }), "block 8");
  ExpectRefused(change([](RunnerStep& s) { s.batch.sequences[0].num_rows = 17; }), "from row 18");
  ExpectRefused(change([](RunnerStep& s) { s.batch.sequences[1].num_rows = 2; }), "of 2");
  ExpectRefused(change([](RunnerStep& s) { s.batch.sequences[1].table_offset = 3; }), "at 3 to 4");
  ExpectRefused(change([](RunnerStep& s) { s.batch.sequences[1].table_offset = -1; }), "at -1");
  ExpectRefused(change([](RunnerStep& s) { s.batch.sequences[0].context_tokens = 65; }), "of 65");
  ExpectRefused(change([](RunnerStep& s) { s.batch.sequences.pop_back(); }), "sequences of 18");
}

TEST(StepCodecTest, BytesThatAreNoStepAreRefused) {
  const auto bytes = Encoded(SmallStep());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Decode({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}).ok());
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_EQ(Decode(longer).code(), StatusCode::kCorrupt);
  // The counts come first: none of them is believed.
  for (size_t count = 0; count < 11; ++count) {
    auto wrong = bytes;
    std::memset(wrong.data() + count * 4, 0xff, 4);
    EXPECT_EQ(Decode(wrong).code(), StatusCode::kCorrupt) << count;
  }
}

TEST(StepCodecTest, APieceMustBeTheNextOne) {
  const auto piece = [](int64_t first, int32_t num_rows, int32_t is_last, size_t num_logits) {
    const PieceHeader header = {first, num_rows, is_last};
    std::vector<std::byte> bytes(sizeof(header) + num_logits * sizeof(float));
    std::memcpy(bytes.data(), &header, sizeof(header));
    return bytes;
  };
  const StepBounds bounds = SmallBounds();
  int64_t width = 100;
  const auto ok = [&](const std::vector<std::byte>& bytes, int64_t first, int64_t rows) {
    return DecodePiece(bytes, first, {.num_rows = rows, .row_width = width}, bounds).ok();
  };
  EXPECT_TRUE(ok(piece(0, 3, 0, 300), 0, 5));
  EXPECT_TRUE(ok(piece(3, 2, 1, 200), 3, 5));
  EXPECT_TRUE(ok(piece(0, 0, 1, 0), 0, 0));
  EXPECT_FALSE(ok(piece(0, 3, 1, 300), 0, 5));  // not the last one
  EXPECT_FALSE(ok(piece(1, 3, 0, 300), 0, 5));  // begins elsewhere
  EXPECT_FALSE(ok(piece(0, 2, 0, 200), 0, 5));  // too few rows
  EXPECT_FALSE(ok(piece(0, 3, 0, 299), 0, 5));  // too few logits
  EXPECT_FALSE(ok(piece(0, -1, 0, 0), 0, 5));
  EXPECT_FALSE(ok({}, 0, 5));
  width = 120;
  EXPECT_TRUE(ok(piece(3, 2, 1, 240), 3, 5));
  EXPECT_FALSE(ok(piece(3, 2, 1, 200), 3, 5));  // without the states
}

}  // namespace
}  // namespace dray::engine
