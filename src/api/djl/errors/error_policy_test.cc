#include "api/djl/errors/error_policy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "api/testing/djl_fixture.h"

namespace dray::api {
namespace {

using http::PostRequest;
using http::TestResponse;
using serving::FakeEngine;
using std::chrono::milliseconds;

TEST(ErrorLimitTest, CountsAnewInEachWindow) {
  const ErrorLimit::Clock::time_point start;
  ErrorLimit limit({.max_errors = 2, .window = milliseconds(100)}, start);
  EXPECT_FALSE(limit.Exceeds(start));
  EXPECT_FALSE(limit.Exceeds(start + milliseconds(99)));
  EXPECT_TRUE(limit.Exceeds(start + milliseconds(99)));
  // A window begins with an error, not with the clock.
  EXPECT_FALSE(limit.Exceeds(start + milliseconds(150)));
  EXPECT_FALSE(limit.Exceeds(start + milliseconds(249)));
  EXPECT_TRUE(limit.Exceeds(start + milliseconds(249)));
  EXPECT_FALSE(limit.Exceeds(start + milliseconds(250)));
}

TEST(ErrorLimitTest, NoneAtAll) {
  const ErrorLimit::Clock::time_point start;
  ErrorLimit limit({.max_errors = 0, .window = milliseconds(100)}, start);
  EXPECT_TRUE(limit.Exceeds(start));
  EXPECT_TRUE(limit.Exceeds(start + milliseconds(1000)));
}

// Models that fail in every way.
class ErrorPolicyTest : public DjlTest {
 protected:
  void ServeModels() {
    AddFailing("broken", Status(StatusCode::kInternal, "numbers went wrong"));
    AddFailing("small", Status(StatusCode::kResourceExhausted, "the cache is too small"));
    AddModel("stopped");
    ASSERT_TRUE(model_->Apply({.min_workers = 0, .max_workers = 0}).ok());
    ASSERT_TRUE(models_.AddPending("pending", "").ok());
    serving::ModelOptions options;
    options.job_queue_size = 0;
    options.pool.max_running = 0;
    AddModel("full", {}, options);
    serving::ModelOptions slow;
    slow.predict_timeout = milliseconds(1);
    AddModel("slow", {}, slow);
    engine_->Pause();
    serving::ModelOptions async;
    async.answer_shape = settings::AnswerShape::kAsync;
    AddModel("async", {}, async);
    AddModel("m");
    Serve();
  }
  TestResponse Ask(const std::string& model, std::string_view body = R"({"inputs": "x"})") {
    return Exchange(PostRequest("/predictions/" + model, body));
  }
  int PingStatus() { return Get("/ping").status; }

 private:
  void AddFailing(const std::string& name, Status failure) {
    FakeEngine::Options engine;
    engine.failure = std::move(failure);
    AddModel(name, std::move(engine));
  }
};

TEST_F(ErrorPolicyTest, StatusesAreTheOperators) {
  djl_.errors.bad_request_status = 422;
  djl_.errors.throttle_status = 429;
  djl_.errors.wlm_status = 530;
  djl_.errors.server_status = 502;
  ServeModels();
  struct Row {
    std::string model;
    std::string body;
    int status;
    const char* type;
    const char* message;
  };
  constexpr const char* kGood = R"({"inputs": "x"})";
  for (const Row& row : std::vector<Row>{
           {"m", R"({"inputs": ""})", 422, "BadRequestException",
            "\"inputs\" holds an empty string; send some text"},
           {"slow", kGood, 422, "TranslateException", "Time out in: 0"},
           {"full", kGood, 429, "WlmCapacityException",
            "Worker queue capacity exceeded for model: full"},
           {"pending", kGood, 530, "WlmException", "Model is not ready: pending"},
           {"stopped", kGood, 530, "WlmShutdownException",
            "All model workers has been shutdown: stopped"},
           {"broken", kGood, 502, "InternalServerException", "numbers went wrong"},
           // What nobody can change.
           {"small", kGood, 507, "WlmOutOfMemoryException", "the cache is too small"},
           {"gone", kGood, 404, "ModelNotFoundException", "Model or workflow not found: gone"},
       }) {
    const TestResponse response = Ask(row.model, row.body);
    EXPECT_EQ(response.status, row.status) << row.model;
    EXPECT_EQ(response.body, ErrorBody(row.status, row.type, row.message)) << row.model;
    EXPECT_EQ(response.Header("Connection"), "close") << row.model;
  }
  EXPECT_EQ(Ask("full").Header("Retry-After"), "1");
  const TestResponse page =
      Exchange(PostRequest("/predictions/m", "", "x-starting-token: none\r\n"));
  EXPECT_EQ(page.status, 422);
  // A handler's own errors keep their status.
  EXPECT_EQ(Ask("async", R"({"inputs": ""})").status, 424);
}

// A status below 400 is no error for HTTP, so the connection stays.
TEST_F(ErrorPolicyTest, AnErrorMayLookLikeSuccess) {
  djl_.errors.throttle_status = 299;
  ServeModels();
  const TestResponse response = Ask("full");
  EXPECT_EQ(response.status, 299);
  EXPECT_EQ(response.Header("Connection"), "keep-alive");
}

TEST_F(ErrorPolicyTest, RefusalsExceedTheirRate) {
  djl_.errors.wlm_rate = {.max_errors = 2, .window = std::chrono::hours(1)};
  ServeModels();
  // Errors of the server and of requests do not count.
  EXPECT_EQ(Ask("broken").status, 500);
  EXPECT_EQ(Ask("m", "{}").status, 400);
  EXPECT_EQ(Ask("gone").status, 404);
  EXPECT_EQ(Ask("full").status, 503);
  EXPECT_EQ(Ask("pending").status, 503);
  EXPECT_EQ(PingStatus(), 200);
  EXPECT_EQ(Ask("full").status, 503);
  EXPECT_EQ(PingStatus(), 503);
  // Inference goes on.
  EXPECT_EQ(Ask("m").status, 200);
  EXPECT_EQ(PingStatus(), 503);
}

TEST_F(ErrorPolicyTest, ErrorsOfTheServerExceedTheirRate) {
  djl_.errors.server_rate = {.max_errors = 2, .window = std::chrono::hours(1)};
  ServeModels();
  EXPECT_EQ(Ask("full").status, 503);
  EXPECT_EQ(Ask("small").status, 507);
  EXPECT_EQ(Ask("async", R"({"inputs": ""})").status, 424);
  EXPECT_EQ(PingStatus(), 200);
  EXPECT_EQ(Ask("broken").status, 500);
  EXPECT_EQ(PingStatus(), 503);
}

TEST_F(ErrorPolicyTest, ErrorsOfBothKindsExceedTheCommonRate) {
  djl_.errors.any_rate = {.max_errors = 1, .window = std::chrono::hours(1)};
  ServeModels();
  EXPECT_EQ(Ask("full").status, 503);
  EXPECT_EQ(PingStatus(), 200);
  EXPECT_EQ(Ask("broken").status, 500);
  EXPECT_EQ(PingStatus(), 503);
}

// "lacking" cannot have its second worker.
TEST_F(ErrorPolicyTest, AModelWithoutItsWorkersMayFailThePing) {
  djl_.fail_unhealthy = true;
  AddModel("lacking");
  Serve();
  EXPECT_EQ(PingStatus(), 200);
  EXPECT_FALSE(model_->Apply({.min_workers = 2, .max_workers = 2}).ok());
  const TestResponse response = Get("/ping");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body, "{\n  \"lacking\": {\n    \"status\": \"Unhealthy\"\n  }\n}\n");
}

TEST_F(ErrorPolicyTest, FailedWorkersMayBeHidden) {
  djl_.hide_failed_workers = true;
  Start();
  engine_->Die();
  TestResponse response = Get("/ping");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "{\n  \"m\": {\n    \"status\": \"Unhealthy\"\n  }\n}\n");
  // A model that could not be loaded is not hidden.
  ASSERT_TRUE(models_.AddPending("damaged", "").ok());
  models_.SetFailed("damaged", "", Status(StatusCode::kCorrupt, "damaged"));
  response = Get("/ping");
  EXPECT_EQ(response.status, 500);
}

}  // namespace
}  // namespace dray::api
