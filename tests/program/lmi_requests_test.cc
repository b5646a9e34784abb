// The requests by which DJLServing's integration tests judge a container of large language models, and what they look
// for in the answers: batches, streams with details, sessions, and the number of workers.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "testing/demo_process.h"
#include "testing/http_client.h"
#include "testing/process.h"

namespace dray::testing {
namespace {

constexpr std::string_view kInput = "The dog went home";

Json Parse(const std::string& text) {
  auto json = Json::Parse(text);
  EXPECT_TRUE(json.ok()) << text;
  return json.ok() ? std::move(json).value() : Json();
}

std::vector<Json> ParseLines(std::string_view text) {
  std::vector<Json> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1);
    lines.push_back(Parse(std::string(text.substr(0, end + 1))));
    text.remove_prefix(end + 1);
  }
  return lines;
}

// A request with the session's header, or none if `session` is empty.
HttpResponse Invoke(uint16_t port, std::string_view session, const Json& body) {
  HttpClient client(port);
  const std::string header =
      session.empty() ? "" : fmt::format("X-Amzn-SageMaker-Session-Id: {}\r\n", session);
  const std::string text = body.Dump();
  client.Send(
      fmt::format("POST /invocations HTTP/1.1\r\nHost: h\r\n"
                  "Content-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{}",
                  header, text.size(), text));
  const auto response = client.ReadResponse();
  EXPECT_TRUE(response);
  return response.value_or(HttpResponse{});
}

Json RollingBatchRequest(bool stream) {
  return Json::MakeObject({{"inputs", kInput},
                           {"parameters", Json::MakeObject({{"do_sample", true},
                                                            {"max_new_tokens", 16},
                                                            {"details", true},
                                                            {"decoder_input_details", !stream}})},
                           {"stream", stream}});
}

// What is wanted of an answer to RollingBatchRequest: it ends with details that tell no error.
void CheckRollingBatchAnswer(const HttpResponse& response, bool stream) {
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.headers.at("content-type"),
            stream ? "application/jsonlines" : "application/json");
  const std::vector<Json> lines = ParseLines(response.body);
  ASSERT_FALSE(lines.empty());
  EXPECT_LE(lines.size(), 16U);
  EXPECT_NE(lines.back().Find("generated_text"), nullptr) << response.body;
  const Json* const details = lines.back().Find("details");
  ASSERT_NE(details, nullptr) << response.body;
  const std::string& finish = *details->Find("finish_reason")->AsString();
  EXPECT_TRUE(finish == "length" || finish == "eos_token" || finish == "stop") << finish;
  if (!stream) {
    EXPECT_GT(details->Find("prefill")->AsArray()->size(), 1U);
  }
}

TEST(LmiRequestsTest, ABatchIsAnsweredByAListWhetherItAsksForAStreamOrNot) {
  DemoProcess server({});
  for (const size_t batch_size : {1, 2, 4, 8}) {
    for (const int max_new_tokens : {16, 32}) {
      for (const bool stream : {false, true}) {
        Json inputs = Json::MakeArray();
        for (size_t i = 0; i < batch_size; ++i) inputs.Append(fmt::format("{} {}", kInput, i));
        const HttpResponse response =
            Invoke(server.port(), "",
                   Json::MakeObject(
                       {{"inputs", std::move(inputs)},
                        {"parameters", Json::MakeObject({{"max_new_tokens", max_new_tokens}})},
                        {"stream", stream}}));
        ASSERT_EQ(response.status, 200) << response.body;
        if (stream && batch_size == 1) {
          EXPECT_LE(ParseLines(response.body).size(), static_cast<size_t>(max_new_tokens));
          continue;
        }
        const Json answer = Parse(response.body);
        ASSERT_NE(answer.AsArray(), nullptr) << response.body;
        EXPECT_EQ(answer.AsArray()->size(), batch_size);
        for (const Json& one : *answer.AsArray()) EXPECT_NE(one.Find("generated_text"), nullptr);
      }
    }
  }
  EXPECT_EQ(server.Stop(), 0);
}

TEST(LmiRequestsTest, ARollingBatchAnswersWithDetails) {
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{}, std::vector<std::string>{"--answer-shape", "async"}}) {
    DemoProcess server(flags);
    for (const bool stream : {false, true}) {
      CheckRollingBatchAnswer(Invoke(server.port(), "", RollingBatchRequest(stream)), stream);
    }
    EXPECT_EQ(server.Stop(), 0);
  }
}

TEST(LmiRequestsTest, ASessionLastsUntilItIsClosed) {
  DemoProcess server({});
  const HttpResponse opened =
      Invoke(server.port(), "", Json::MakeObject({{"requestType", "NEW_SESSION"}}));
  ASSERT_EQ(opened.status, 200);
  const std::string& header = opened.headers.at("x-amzn-sagemaker-session-id");
  const std::string session = header.substr(0, header.find(';'));
  for (const bool stream : {false, true}) {
    CheckRollingBatchAnswer(Invoke(server.port(), session, RollingBatchRequest(stream)), stream);
  }
  const HttpResponse closed =
      Invoke(server.port(), session, Json::MakeObject({{"requestType", "CLOSE"}}));
  EXPECT_EQ(closed.status, 200);
  EXPECT_EQ(closed.headers.at("x-amzn-sagemaker-closed-session-id"), session);
  EXPECT_EQ(server.Stop(), 0);
}

TEST(LmiRequestsTest, TheWorkersAreWhereTheyAreLookedFor) {
  DemoProcess server({"--min-workers", "2"});
  const auto list = Get(server.port(), "/models");
  ASSERT_TRUE(list);
  const Json models = Parse(list->body);
  const std::string name = *models.Find("models")->AsArray()->at(0).Find("modelName")->AsString();
  EXPECT_EQ(name, "demo");
  const auto described = Get(server.port(), "/models/" + name);
  ASSERT_TRUE(described);
  const Json versions = Parse(described->body);
  const Json& model = versions.AsArray()->at(0).Find("models")->AsArray()->at(0);
  const Json& group = model.Find("workerGroups")->AsArray()->at(0);
  EXPECT_EQ(group.Find("workers")->AsArray()->size(), 2U) << described->body;
  EXPECT_EQ(server.Stop(), 0);
}

}  // namespace
}  // namespace dray::testing
