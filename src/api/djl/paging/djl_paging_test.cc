// Requests that are answered later, from a whole server.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "api/testing/djl_fixture.h"

namespace dray::api {
namespace {

using http::PostRequest;
using http::TestResponse;

class DjlPagingTest : public DjlTest {
 protected:
  DjlPagingTest() {
    serving::FakeEngine::Options engine;
    engine.next_token = [](const auto&, int, int64_t) { return 'z'; };
    Start(engine);
  }
  TestResponse Poll(const std::string& token, const std::string& more = "") {
    return Exchange(
        PostRequest("/invocations", "", fmt::format("x-starting-token: {}\r\n{}", token, more)));
  }
  std::atomic<bool> may_go_on_{false};
  // Polls until there is something.
  TestResponse Page(const std::string& token, const std::string& more = "") {
    TestResponse response;
    WaitFor([&] {
      response = Poll(token, more);
      return response.status != 202;
    });
    return response;
  }
};

TEST_F(DjlPagingTest, AnAnswerIsFetchedLater) {
  const TestResponse begun = Exchange(
      PostRequest("/invocations", R"({"inputs": "a", "parameters": {"max_new_tokens": 3}})",
                  "x-synchronous: false\r\n"));
  EXPECT_EQ(begun.status, 200);
  EXPECT_EQ(begun.body, "");
  const std::string token = begun.Header("x-next-token");
  EXPECT_EQ(begun.Header("X-Amzn-SageMaker-Custom-Attributes"), "x-next-token=" + token);
  const TestResponse page = Page(token);
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.Header("Content-Type"), "application/json");
  EXPECT_EQ(page.Header("x-next-token"), "(none)");
  EXPECT_EQ(page.body, R"({"generated_text":"zzz"})");
}

TEST_F(DjlPagingTest, AStreamIsFetchedInPages) {
  const TestResponse begun = Exchange(PostRequest(
      "/invocations", R"({"inputs": "a", "stream": true, "parameters": {"max_new_tokens": 3}})",
      "X-Amzn-SageMaker-Custom-Attributes: x-synchronous=false\r\n"));
  std::string token = begun.Header("x-next-token");
  int lines = 0;
  while (token != "(none)") {
    const TestResponse page = Page(token, "x-max-items: 1\r\n");
    ASSERT_EQ(page.status, 200);
    EXPECT_EQ(page.Header("Content-Type"), "application/jsonlines");
    lines += static_cast<int>(std::count(page.body.begin(), page.body.end(), '\n'));
    token = page.Header("x-next-token");
  }
  EXPECT_EQ(lines, 3);
}

TEST_F(DjlPagingTest, AnAnswerThatIsNotThereYetIs202) {
  serving::FakeEngine::Options engine;
  engine.next_token = [this](const auto&, int, int64_t) {
    may_go_on_.wait(false);
    return 'z';
  };
  AddModel("slow", std::move(engine));
  const TestResponse begun =
      Exchange(PostRequest("/predictions/slow", R"({"inputs": "a"})", "x-synchronous: false\r\n"));
  const std::string token = begun.Header("x-next-token");
  const TestResponse response = Poll(token);
  EXPECT_EQ(response.head.substr(0, response.head.find("\r\n")),
            "HTTP/1.1 202 The model result is not yet available");
  EXPECT_EQ(response.body, "");
  EXPECT_EQ(response.Header("x-next-token"), token);
  may_go_on_ = true;
  may_go_on_.notify_all();
  EXPECT_EQ(Page(token).status, 200);
}

TEST_F(DjlPagingTest, WrongTokensAndErrorsAreTold) {
  EXPECT_EQ(Poll("nonsense").body,
            ErrorBody(400, "BadRequestException",
                      "Invalid x-starting-token: there is no such answer, or it has been "
                      "forgotten"));
  EXPECT_EQ(Poll("nonsense", "x-max-items: 0\r\n").body,
            ErrorBody(400, "BadRequestException",
                      "x-max-items must be a whole number from 1 up, or below 0 for all"));
  // A number that stands for all.
  EXPECT_EQ(Poll("nonsense", "x-max-items: -1\r\n").body, Poll("nonsense").body);
  const TestResponse begun =
      Exchange(PostRequest("/invocations", R"({"inputs": 3})", "x-synchronous: false\r\n"));
  EXPECT_EQ(begun.status, 200);
  EXPECT_EQ(Page(begun.Header("x-next-token")).status, 400);
}

TEST_F(DjlTest, TheServerKeepsAsManyAnswersAsItIsSet) {
  for (const auto& [max_kept, status] :
       {std::pair<std::optional<size_t>, int>{0, 503}, {1, 200}, {std::nullopt, 200}}) {
    djl_.max_kept_answers = max_kept;
    router_ = http::Router();
    AddModel(fmt::format("m{}", status + static_cast<int>(max_kept.value_or(7))));
    Serve();
    const std::string path = "/predictions/" + model_->options().name;
    EXPECT_EQ(Exchange(PostRequest(path, R"({"inputs": "a"})", "x-synchronous: false\r\n")).status,
              status);
  }
}

}  // namespace
}  // namespace dray::api
