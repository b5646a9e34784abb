// Adapters, which no model of this build has: every call about one is answered as DJLServing answers it without LoRA.
#include "api/djl/adapters/adapters.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "api/testing/djl_fixture.h"

namespace dray::api {
namespace {

using http::PostRequest;
using http::TestResponse;
using settings::AnswerShape;

class AdaptersTest : public DjlTest {
 protected:
  void StartWith(AnswerShape shape) {
    RegisterAdapterRoutes(router_, models_);
    serving::ModelOptions options;
    options.answer_shape = shape;
    Start({}, options);
  }
  TestResponse Call(std::string_view method, std::string_view target) {
    return Exchange(
        fmt::format("{} {} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", method, target));
  }
};

TEST_F(AdaptersTest, EveryRouteAnswers) {
  StartWith(AnswerShape::kTokens);
  const std::string off = ErrorBody(400, "BadRequestException", "LoRA is not enabled.");
  const std::string no_model =
      ErrorBody(404, "BadRequestException", "The model gone was not found");
  for (const std::string root : {"/models/m/adapters", "/adapters", "/models/gone/adapters"}) {
    const bool is_gone = root.find("gone") != std::string::npos;
    for (const auto& [method, rest] : {std::pair{"GET", ""},
                                       {"GET", "?limit=1"},
                                       {"POST", "?name=a&src=/a"},
                                       {"GET", "/a"},
                                       {"DELETE", "/a"},
                                       {"POST", "/a/update?src=/b"}}) {
      const TestResponse response = Call(method, root + rest);
      EXPECT_EQ(response.status, is_gone ? 404 : 400) << method << root << rest;
      EXPECT_EQ(response.body, is_gone ? no_model : off) << method << root << rest;
    }
    for (const auto& [method, rest] : {std::pair{"PUT", ""},
                                       {"DELETE", ""},
                                       {"PATCH", ""},
                                       {"PUT", "/a"},
                                       {"POST", "/a"},
                                       {"GET", "/a/update"}}) {
      const TestResponse response = Call(method, root + rest);
      EXPECT_EQ(response.status, 405) << method << root << rest;
      EXPECT_EQ(response.body,
                ErrorBody(405, "MethodNotAllowedException",
                          "Requested method is not allowed, please refer to API document."));
    }
  }
}

TEST_F(AdaptersTest, WithoutAModelsNameThereMustBeOneModel) {
  AddModel("other");
  StartWith(AnswerShape::kTokens);
  EXPECT_EQ(Call("GET", "/adapters").body,
            ErrorBody(400, "BadRequestException",
                      "The adapter must be prefixed with a model unless there is only a single "
                      "startup model used."));
  EXPECT_EQ(Call("GET", "/models/other/adapters").status, 400);
}

constexpr std::string_view kBody = R"({"inputs": "a", "parameters": {"max_new_tokens": 1}})";

TEST_F(AdaptersTest, ARequestThatNamesOneIsRefused) {
  StartWith(AnswerShape::kTokens);
  const std::string error =
      R"({"error":"adapter \"a\" is not registered: adapters are not in this build; send the )"
      R"(request without it","code":424})"
      "\n";
  for (const std::string& request :
       {PostRequest("/invocations", kBody, "X-Amzn-SageMaker-Adapter-Identifier: a\r\n"),
        PostRequest("/invocations", kBody,
                    "X-Amzn-SageMaker-Custom-Attributes: "
                    "X-Amzn-SageMaker-Adapter-Identifier=a\r\n"),
        PostRequest("/invocations?adapter=a", kBody),
        PostRequest("/invocations", R"({"inputs": "a", "adapters": "a"})"),
        PostRequest("/invocations", R"({"inputs": ["a", "b"], "adapters": ["", "a"]})"),
        PostRequest("/invocations", R"({"inputs": "a", "stream": true, "adapters": ["a"]})")}) {
    const TestResponse response = Exchange(request);
    EXPECT_EQ(response.status, 424) << request;
    EXPECT_EQ(response.body, error) << request;
    EXPECT_EQ(response.Header("Content-Type"), "application/json");
    EXPECT_EQ(response.Header("Connection"), "close");
  }
  EXPECT_EQ(engine_->num_submitted(), 0);
}

TEST_F(AdaptersTest, NoneIsNone) {
  StartWith(AnswerShape::kTokens);
  for (const char* adapters : {R"("")", "[]", R"([""])", "null"}) {
    const TestResponse response =
        Invoke(fmt::format(R"({{"inputs": "a", "adapters": {}}})", adapters));
    EXPECT_EQ(response.body, R"({"generated_text":"a"})") << adapters;
  }
  EXPECT_EQ(Invoke(R"({"inputs": "a", "adapters": 3})").body,
            ErrorBody(400, "BadRequestException",
                      "\"adapters\" must be a string or a list of strings, not number"));
  EXPECT_EQ(Invoke(R"({"inputs": "a", "adapters": [3]})").body,
            ErrorBody(400, "BadRequestException", "\"adapters\" must hold strings, not number"));
}

TEST_F(AdaptersTest, HandlersHaveTheirOwnErrors) {
  StartWith(AnswerShape::kAsync);
  const TestResponse response =
      Exchange(PostRequest("/invocations", kBody, "X-Amzn-SageMaker-Adapter-Identifier: a\r\n"));
  EXPECT_EQ(response.status, 424);
  EXPECT_EQ(response.body,
            R"({"error":"Input parsing failed: adapter \"a\" is not registered: adapters are not )"
            R"(in this build; send the request without it","code":424})"
            "\n");
}

}  // namespace
}  // namespace dray::api
