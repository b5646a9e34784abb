// `dray serve echo`: every request is answered with its own text, on the road that all models share.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/parse/json.h"
#include "testing/demo_process.h"
#include "testing/http_client.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

std::string Ask(uint16_t port, const std::string& body,
                const std::string& target = "/invocations") {
  const auto response = Post(port, target, body);
  if (!response) return "no answer";
  EXPECT_EQ(response->status, 200) << response->body;
  return response->body;
}

TEST(ServeEchoTest, AnswersWithTheRequestsText) {
  DemoProcess server({}, "echo");
  ASSERT_NE(server.port(), 0);
  EXPECT_EQ(Ask(server.port(), R"({"inputs": "H\u00e9llo, \ud83d\ude00!"})"),
            "{\"generated_text\":\"H\xC3\xA9llo, \xF0\x9F\x98\x80!\"}");
  // Longer than the 30 tokens that other models answer with by default.
  const std::string text(2000, 'x');
  EXPECT_EQ(Ask(server.port(), fmt::format(R"({{"inputs": "{}"}})", text), "/predictions/echo"),
            fmt::format("{{\"generated_text\":\"{}\"}}", text));
  EXPECT_EQ(Ask(server.port(), R"({"inputs": "abc", "parameters": {"max_new_tokens": 2}})"),
            "{\"generated_text\":\"ab\"}");
  EXPECT_EQ(server.Stop(), 0);
}

TEST(ServeEchoTest, StreamsCharacterByCharacter) {
  DemoProcess server({"--echo-interval", "1"}, "echo");
  ASSERT_NE(server.port(), 0);
  const std::string lines = Ask(server.port(), R"({"inputs": "h\u00e9", "stream": true})");
  std::string text;
  int num_lines = 0;
  for (size_t begin = 0; begin < lines.size(); ++num_lines) {
    const size_t end = lines.find('\n', begin);
    const auto line = Json::Parse(lines.substr(begin, end - begin));
    ASSERT_TRUE(line.ok()) << lines;
    text += *line->Find("token")->Find("text")->AsString();
    begin = end + 1;
  }
  EXPECT_EQ(num_lines, 3);  // two characters and the end token
  EXPECT_EQ(text, "h\xC3\xA9");
}

// As an entry of a model store, and beside others.
TEST(ServeEchoTest, AFolderMayAskForIt) {
  const fs::path folder = fs::path(::testing::TempDir()) / "echo_store" / "mirror";
  fs::create_directories(folder);
  std::ofstream(folder / "serving.properties") << "engine=Echo\noption.max_model_len=16\n";
  DemoProcess server({"--load-models", "[mirror]=" + folder.string()}, "echo");
  ASSERT_NE(server.port(), 0);
  EXPECT_EQ(Ask(server.port(), R"({"inputs": "abc"})", "/predictions/mirror"),
            "{\"generated_text\":\"abc\"}");
  const auto refused =
      Post(server.port(), "/predictions/mirror", R"({"inputs": "0123456789abcdef"})");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 400) << refused->body;
  fs::remove_all(folder.parent_path());
}

TEST(ServeEchoTest, OtherCommandsRefuseIt) {
  const ProcessResult result = RunProcess({DRAY_PROGRAM, "generate", "echo", "--prompt", "a"});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_NE(result.errors.find("only `dray serve` can use it"), std::string::npos) << result.errors;
}

}  // namespace
}  // namespace dray::testing
