// The text of answers whose tokens are bytes: what is new, what a stream shows and when it ends.
// The tokenizer is of Llama's form, where a line's end and every rare character is byte tokens.
// And what an answer does with its place in the model's queue.
#include "serving/generation.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/parse/json.h"
#include "serving/served_model.h"
#include "serving/testing/fakes.h"
#include "serving/tokenizer_codec.h"

namespace dray::serving {
namespace {

using Texts = std::vector<std::string>;

constexpr int32_t kNumSpecial = 3;
// The last token, which ends an answer; FakeEngine asks for this id.
constexpr int32_t kEnd = ByteCodec::kEnd;

// Ids 3 to 255 are the bytes with that number less 3; then "</s>", words, and the other bytes.
std::string TokenName(int byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[static_cast<size_t>(byte / 16)] +
         kDigits[static_cast<size_t>(byte % 16)] + ">";
}

class GenerationTextTest : public testing::Test {
 protected:
  GenerationTextTest() {
    Json vocab = Json::MakeObject({{"<unk>", 0}, {"<s>", 1}, {"<2>", 2}});
    int32_t id = kNumSpecial;
    int byte = 0;
    for (; id < kEnd; ++id) AddToken(vocab, TokenName(byte++), id);
    AddToken(vocab, "</s>", id++);
    for (; byte < 256; ++byte) AddToken(vocab, TokenName(byte), id++);
    for (const char* word : {"▁", "A", "Q", ":", "▁ok", "▁done"}) AddToken(vocab, word, id++);
    const Json model = Json::MakeObject({{"type", "BPE"},
                                         {"byte_fallback", true},
                                         {"unk_token", "<unk>"},
                                         {"vocab", std::move(vocab)},
                                         {"merges", Json::MakeArray()}});
    file_ = R"({"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
      "decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
      "added_tokens": [{"id": 256, "content": "</s>", "special": true}], "model": )" +
            model.Dump() + "}";
  }

  // One generation: the answer's tokens, again and again if they do not end with "</s>".
  struct Answer {
    Texts lines;  // the text of each token
    std::string text;
    std::optional<sampling::FinishReason> finish;
    int64_t num_tokens = 0;
  };
  Answer Run(const std::string& prompt, const Texts& tokens, const Texts& stops = {},
             int64_t max_new_tokens = 60) {
    std::vector<int32_t> ids;
    for (const std::string& token : tokens) ids.push_back(ids_.at(token));
    FakeEngine::Options options;
    options.max_context_tokens = 512;
    options.next_token = [ids](const engine::GenerateRequest&, int, int64_t step) {
      return ids[static_cast<size_t>(step) % ids.size()];
    };
    auto tokenizer = tokenizer::Tokenizer::FromJson(file_);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    ServedModel model({}, std::make_unique<FakeEngine>(std::move(options)),
                      MakeTokenizerCodec(std::move(tokenizer).value()));
    TextRequest request;
    request.text = prompt;
    request.max_new_tokens = max_new_tokens;
    request.params.stop_strings = stops;
    auto sink = std::make_shared<Sink>();
    const auto generation = model.Submit(request, sink);
    EXPECT_TRUE(generation.ok()) << generation.status().message();
    return sink->Wait();
  }
  // The byte tokens of a text.
  static Texts Bytes(std::string_view text) {
    Texts tokens;
    for (const char c : text) tokens.push_back(TokenName(static_cast<unsigned char>(c)));
    return tokens;
  }

 private:
  class Sink final : public TextSink {
   public:
    void OnEvent(TextEvent event) override {
      const std::lock_guard lock(mutex_);
      if (const auto* some = std::get_if<SequenceTextEvent>(&event)) {
        for (const TextToken& token : some->tokens) answer_.lines.push_back(token.text);
        for (const TextToken& token : some->tokens) answer_.text += token.text;
        answer_.text += some->tail_text;
        answer_.num_tokens += static_cast<int64_t>(some->tokens.size());
        answer_.finish = some->finish;
      }
      ended_ = ended_ || std::holds_alternative<EndEvent>(event);
      changed_.notify_all();
    }
    Answer Wait() {
      std::unique_lock lock(mutex_);
      EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(10), [this] { return ended_; }));
      return answer_;
    }

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    Answer answer_;
    bool ended_ = false;
  };

  void AddToken(Json& vocab, const std::string& text, int32_t id) {
    vocab.Set(text, id);
    ids_[text] = id;
  }

  std::map<std::string, int32_t> ids_;
  std::string file_;
};

TEST_F(GenerationTextTest, ThePromptsTextStaysOutOfTheAnswer) {
  const Texts answer = {"▁ok", "▁done", "</s>"};
  for (const char* prompt :
       {"A:\n", "A:\n\n\n\n\n\n\n\n\n\n", "A: \n ", "A😀", "A\U0001F468\u200D\U0001F469",
        "\u0F40\u0F40\u0F40", "A:\t", "é", "A"}) {
    EXPECT_EQ(Run(prompt, answer).text, " ok done") << prompt;
  }
  // An answer that says the same again is new all the same.
  EXPECT_EQ(Run("A:\n", {"<0x0A>", "▁ok", "</s>"}).text, "\n ok");
  EXPECT_EQ(Run("\u0F40\u0F40\u0F40", {"<0xE0>", "<0xBD>", "<0x81>", "</s>"}).text, "\u0F41");
}

TEST_F(GenerationTextTest, StopStringsAreNotFoundInThePrompt) {
  const Texts answer = {"▁ok", "▁done", "</s>"};
  for (const char* prompt : {"Q\n", "\n\n", "Q:\n\n", "Q: \n"}) {
    const Answer got = Run(prompt, answer, {"\n", "Q", ":"});
    EXPECT_EQ(got.text, " ok done") << prompt;
    EXPECT_EQ(got.finish, sampling::FinishReason::kEosToken);
  }
  // Half of it in the prompt does not count either.
  EXPECT_EQ(Run("Q\n", {"<0x0A>", "▁ok", "</s>"}, {"\n\n"}).text, "\n ok");
  EXPECT_EQ(Run("A😀", answer, {"😀 ok"}).text, " ok done");
}

TEST_F(GenerationTextTest, AStreamShowsWhatIsComplete) {
  const Answer got = Run("A", Bytes("\u0F40"), {}, 60);
  ASSERT_EQ(got.lines.size(), 60u);
  for (size_t i = 0; i < got.lines.size(); ++i) {
    EXPECT_EQ(got.lines[i], i % 3 == 2 ? "\u0F40" : "") << i;
  }
  EXPECT_EQ(got.finish, sampling::FinishReason::kLength);
  // A character of n bytes goes out with its last one, whatever n is.
  for (const std::string answer : {"é", "\u0F40", "😀", "\u00A0", "\U0010FFFF", "Ж"}) {
    const Answer one = Run("A", Bytes(answer), {}, static_cast<int64_t>(3 * answer.size()));
    ASSERT_EQ(one.lines.size(), 3 * answer.size()) << answer;
    for (size_t i = 0; i < one.lines.size(); ++i) {
      EXPECT_EQ(one.lines[i], i % answer.size() == answer.size() - 1 ? answer : "") << i;
    }
  }
  // The end in the middle of a character shows each of its bytes.
  EXPECT_EQ(Run("A", Bytes("\u0F40"), {}, 5).text, "\u0F40\uFFFD\uFFFD");
}

TEST_F(GenerationTextTest, AStopStringEndsAtOnce) {
  struct Case {
    Texts answer;
    Texts stops;
    std::string text;
    int64_t num_tokens;
  };
  const Case cases[] = {
      {Bytes("\u0F40"), {"\u0F40\u0F40"}, "", 6},
      {Bytes("\n"), {"\n\n"}, "", 2},
      {Bytes("\n"), {"\n"}, "", 1},
      {Bytes("a\u0F40b"), {"\u0F40"}, "a", 4},
      {Bytes("😀!"), {"!"}, "😀", 5},
      {Bytes("é\n"), {"\né"}, "é", 5},
      // Bytes that are no text do not hide what follows them.
      {{"<0xC3>", "<0x0A>"}, {"\n"}, "\uFFFD", 2},
      {{"▁ok", "<0x0A>", "▁done"}, {"k\n d"}, " o", 3},
  };
  for (const Case& one : cases) {
    const Answer got = Run("A", one.answer, one.stops, 200);
    EXPECT_EQ(got.finish, sampling::FinishReason::kStopString) << one.stops[0];
    EXPECT_EQ(got.text, one.text) << one.stops[0];
    EXPECT_EQ(got.num_tokens, one.num_tokens) << one.stops[0];
  }
}

// Notes how many requests are in at each event.
class CountingSink final : public TextSink {
 public:
  explicit CountingSink(const Admission& admission) : admission_(admission) {}
  void OnEvent(TextEvent event) override {
    counts.push_back(admission_.count());
    has_ended = std::holds_alternative<EndEvent>(event);
  }

  std::vector<int64_t> counts;
  bool has_ended = false;

 private:
  const Admission& admission_;
};

// A client that has the whole answer may send its next request at once, also where there is one place.
TEST(GenerationTest, ThePlaceIsFreeBeforeTheLastSequenceEnds) {
  Admission admission(1);
  const ByteCodec codec;
  const auto sink = std::make_shared<CountingSink>(admission);
  sampling::SamplingParams params;
  params.n = 2;
  Generation generation({.codec = &codec,
                         .sink = sink,
                         .params = params,
                         .prompt = {'a'},
                         .eos_token_ids = {},
                         .ticket = std::get<Admission::Ticket>(admission.Enter())});
  generation.OnEvent(engine::SequenceEndEvent{.sequence_idx = 1});
  EXPECT_EQ(sink->counts, (std::vector<int64_t>{1}));
  generation.OnEvent(engine::SequenceEndEvent{.sequence_idx = 0});
  EXPECT_EQ(sink->counts, (std::vector<int64_t>{1, 0, 0}));
  EXPECT_TRUE(sink->has_ended);
  generation.OnEvent(engine::RequestEndEvent{});
  EXPECT_EQ(sink->counts.size(), 3U);
  EXPECT_EQ(admission.count(), 0);
}

TEST(GenerationTest, ThePlaceIsFreeBeforeAnErrorIsTold) {
  Admission admission(1);
  const ByteCodec codec;
  const auto sink = std::make_shared<CountingSink>(admission);
  Generation generation({.codec = &codec,
                         .sink = sink,
                         .params = {},
                         .prompt = {'a'},
                         .eos_token_ids = {},
                         .ticket = std::get<Admission::Ticket>(admission.Enter())});
  generation.OnEvent(engine::RequestEndEvent{Status(StatusCode::kInternal, "lost")});
  EXPECT_EQ(sink->counts, (std::vector<int64_t>{0}));
  EXPECT_TRUE(sink->has_ended);
}

}  // namespace
}  // namespace dray::serving
