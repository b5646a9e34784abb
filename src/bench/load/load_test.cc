// The load generator's parts that need no server: requests, answers, prompts.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "base/parse/json.h"
#include "bench/load/dialect.h"
#include "bench/load/prompts.h"
#include "bench/load/reply_reader.h"

namespace dray::bench {
namespace {

TEST(DialectTest, RequestsOfEachApi) {
  CallOptions options = {.api = Api::kOpenAi, .model = "m", .new_tokens = 7};
  EXPECT_EQ(MakeBody(options, "hi"),
            R"({"model":"m","prompt":"hi","max_tokens":7,"temperature":0,"ignore_eos":true,)"
            R"("stream":true,"stream_options":{"include_usage":true}})");
  options = {.api = Api::kOpenAiChat, .delivery = Delivery::kWhole, .new_tokens = 7};
  options.ignore_eos = false;
  EXPECT_EQ(MakeBody(options, "hi"),
            R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":7,"temperature":0,)"
            R"("stream":false})");
  options = {.api = Api::kLmi, .new_tokens = 7};
  EXPECT_EQ(MakeBody(options, "hi"),
            R"({"inputs":"hi","parameters":{"max_new_tokens":7,"do_sample":false,)"
            R"("ignore_eos_token":true},"stream":true})");
  options = {.api = Api::kTgi, .new_tokens = 7};
  EXPECT_EQ(TargetOf(options), "/generate_stream");
  EXPECT_EQ(
      MakeBody(options, "hi"),
      R"({"inputs":"hi","parameters":{"max_new_tokens":7,"do_sample":false,"details":true}})");
  EXPECT_EQ(*ParseApi("djl"), Api::kLmi);
  EXPECT_FALSE(ParseApi("grpc").ok());
}

// Feeds `text` in pieces of `piece` bytes, a second apart.
Status Read(const std::string& text, size_t piece, ReplyReader& reader) {
  double seconds = 0;
  for (size_t at = 0; at < text.size(); at += piece) {
    DRAY_RETURN_IF_ERROR(reader.Feed(text.substr(at, piece), seconds++));
  }
  return reader.Finish(seconds);
}

struct Answer {
  Api api;
  Delivery delivery;
  std::string body;
  size_t events;
  int64_t tokens;
};

const std::vector<Answer>& Answers() {
  static const std::vector<Answer> answers = {
      // vLLM sends the usage at the end, and it counts more tokens than there are events.
      {Api::kOpenAi, Delivery::kStreamed,
       "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[{\"text\":\"bc\"}]}\n\n"
       "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3}}\n\n"
       "data: [DONE]\n\n",
       2, 3},
      {Api::kOpenAiChat, Delivery::kStreamed,
       "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n"
       ": ping\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\r\n\r\n"
       "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\r\n\r\n",
       1, 1},
      {Api::kOpenAi, Delivery::kWhole,
       "{\"choices\":[{\"text\":\"abc\"}],\"usage\":{\"completion_tokens\":3}}", 1, 3},
      {Api::kLmi, Delivery::kStreamed,
       "{\"token\":{\"id\":1,\"text\":\"\"}}\n"
       "{\"token\":{\"id\":2,\"text\":\"b\"},\"generated_text\":\"b\"}\n",
       2, 2},
      {Api::kLmi, Delivery::kWhole,
       "{\"generated_text\":\"abc\",\"details\":{\"generated_tokens\":3}}", 1, 3},
      {Api::kTgi, Delivery::kStreamed,
       "data:{\"index\":1,\"token\":{\"id\":1,\"text\":\"a\"},\"generated_text\":null}\n\n"
       "data:{\"index\":2,\"token\":{\"id\":2,\"text\":\"b\"},\"generated_text\":\"ab\","
       "\"details\":{\"generated_tokens\":2}}\n\n",
       2, 2},
      {Api::kTgi, Delivery::kWhole,
       "[{\"generated_text\":\"ab\",\"details\":{\"generated_tokens\":2}}]", 1, 2},
  };
  return answers;
}

TEST(ReplyReaderTest, EveryShapeInAnyPieces) {
  for (const Answer& answer : Answers()) {
    for (const size_t piece : {size_t{1}, size_t{7}, answer.body.size()}) {
      ReplyReader reader(answer.api, answer.delivery);
      const Status status = Read(answer.body, piece, reader);
      ASSERT_TRUE(status.ok()) << status.ToString() << " in " << answer.body;
      EXPECT_EQ(reader.token_times().size(), answer.events) << answer.body;
      EXPECT_EQ(reader.num_tokens(), answer.tokens) << answer.body;
    }
  }
}

TEST(ReplyReaderTest, TimesAreThoseOfThePieces) {
  ReplyReader reader(Api::kLmi, Delivery::kStreamed);
  ASSERT_TRUE(reader.Feed("{\"token\":{\"id\":1}}\n{\"token\"", 1.5).ok());
  ASSERT_TRUE(reader.Feed(":{\"id\":2}}\n", 2.5).ok());
  ASSERT_TRUE(reader.Finish(3.5).ok());
  EXPECT_EQ(reader.token_times(), (std::vector<double>{1.5, 2.5}));
}

TEST(ReplyReaderTest, RefusesWhatIsNoAnswer) {
  struct Case {
    Api api;
    Delivery delivery;
    const char* body;
    const char* message;
  };
  const Case cases[] = {
      {Api::kOpenAi, Delivery::kStreamed, "", "without a token"},
      {Api::kOpenAi, Delivery::kStreamed, "data: [DONE]\n\n", "without a token"},
      {Api::kOpenAi, Delivery::kStreamed, "data: {\"choices\"\n\n", "no JSON"},
      {Api::kOpenAi, Delivery::kStreamed, "data: {\"a\":1}\n\n", "without \"choices\""},
      {Api::kOpenAi, Delivery::kWhole, "<html>", "no JSON"},
      {Api::kOpenAi, Delivery::kWhole, "{\"choices\":[{\"text\":\"\"}]}", "without a token"},
      {Api::kOpenAi, Delivery::kStreamed, "data: {\"error\":{\"message\":\"no memory\"}}\n\n",
       "no memory"},
      {Api::kLmi, Delivery::kStreamed,
       "{\"token\":{\"id\":1}}\n{\"error\":\"gone\",\"code\":500}\n", "gone"},
      {Api::kTgi, Delivery::kWhole, "[]", "without \"token\""},
      {Api::kLmi, Delivery::kWhole, "{\"generated_text\":\"a\"}", "without a token"},
      {Api::kOpenAi, Delivery::kWhole, "{\"choices\":[{}],\"usage\":{\"completion_tokens\":-3}}",
       "without a token"},
  };
  for (const Case& entry : cases) {
    ReplyReader reader(entry.api, entry.delivery);
    const Status status = Read(entry.body, 1000, reader);
    EXPECT_FALSE(status.ok()) << entry.body;
    EXPECT_NE(status.message().find(entry.message), std::string::npos) << status.message();
  }
}

TEST(PromptsTest, RandomWordsAreRepeatableAndDiffer) {
  const auto prompts = RandomPrompts(50, 12, 7, nullptr);
  ASSERT_TRUE(prompts.ok());
  EXPECT_EQ(std::set<std::string>(prompts->begin(), prompts->end()).size(), 50u);
  EXPECT_EQ(*prompts, *RandomPrompts(50, 12, 7, nullptr));
  EXPECT_NE(*prompts, *RandomPrompts(50, 12, 8, nullptr));
  EXPECT_EQ(std::count(prompts->front().begin(), prompts->front().end(), ' '), 11);
}

// A tokenizer, here one that makes a token of every four characters, gives texts of the wanted
// length.
TEST(PromptsTest, TokenizerDecidesTheLength) {
  const CountTokens count = [](const std::string& text) -> Result<int64_t> {
    return static_cast<int64_t>(text.size() + 3) / 4;
  };
  const auto prompts = RandomPrompts(20, 100, 1, count);
  ASSERT_TRUE(prompts.ok());
  for (const std::string& prompt : *prompts) EXPECT_NEAR(*count(prompt), 100, 3) << prompt;
  const CountTokens fails = [](const std::string&) -> Result<int64_t> {
    return Status(StatusCode::kInvalidArgument, "no such token");
  };
  EXPECT_FALSE(RandomPrompts(1, 4, 1, fails).ok());
}

std::string WriteFile(const std::string& name, const std::string& content) {
  const std::string path = ::testing::TempDir() + "/" + name;
  std::ofstream(path) << content;
  return path;
}

TEST(PromptsTest, FilesOfEveryShape) {
  const std::vector<std::string> both = {"one", "two"};
  EXPECT_EQ(*ReadPrompts(WriteFile("lines.txt", "one\r\n\ntwo")), both);
  EXPECT_EQ(*ReadPrompts(WriteFile("texts.json", R"(["one", "two"])")), both);
  EXPECT_EQ(*ReadPrompts(WriteFile("objects.json", R"([{"prompt": "one"}, {"text": "two"}, 3])")),
            both);
  EXPECT_EQ(*ReadPrompts(WriteFile("sharegpt.json", R"([
      {"conversations": [{"from": "system", "value": "x"}, {"from": "human", "value": "one"},
                         {"from": "gpt", "value": "y"}]},
      {"conversations": []},
      {"conversations": [{"from": "human", "value": "two"}]}])")),
            both);
  for (const char* content : {"", "{}", "[]", "[1, {}]", "[", "[{\"conversations\": 3}]"}) {
    const auto prompts = ReadPrompts(WriteFile("bad.json", content));
    ASSERT_FALSE(prompts.ok()) << content;
    EXPECT_NE(prompts.status().message().find("bad.json"), std::string::npos);
  }
  EXPECT_EQ(ReadPrompts("/no/such/file").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace dray::bench
