// DJLServing's API over real sockets: exact bytes, statuses, headers.
#include "api/testing/djl_fixture.h"

namespace dray::api {
namespace {

using http::PostRequest;
using http::TestClient;
using http::TestResponse;
using serving::FakeEngine;
using std::chrono::milliseconds;

TEST_F(DjlTest, AnswersWithExactBytes) {
  Start();
  TestClient client(server_->port());
  client.Send(PostRequest("/invocations", R"({"inputs": "hi\n\u00e9"})",
                          "Content-Type: application/json\r\nx-request-id: id-1\r\n"));
  const std::string body = "{\"generated_text\":\"hi\\n\xC3\xA9\"}";
  EXPECT_EQ(client.ReceiveUntil("}"),
            "HTTP/1.1 200 OK\r\n"
            "Content-Type: application/json\r\n"
            "x-request-id: id-1\r\n"
            "Pragma: no-cache\r\n"
            "Cache-Control: no-cache; no-store, must-revalidate, private\r\n"
            "Expires: Thu, 01 Jan 1970 00:00:00 UTC\r\n"
            "Content-Length: 27\r\n"
            "Connection: keep-alive\r\n\r\n" +
                body);
}

TEST_F(DjlTest, MakesARequestIdIfThereIsNone) {
  Start();
  const std::string id = Get("/ping").Header("x-request-id");
  EXPECT_EQ(id.size(), 36U);
  EXPECT_EQ(id[14], '4');
  EXPECT_NE(Get("/ping").Header("x-request-id"), id);
}

TEST_F(DjlTest, TakesTheRequestIdFromTheHeaderItIsTold) {
  request_id_header_ = "X-Amzn-SageMaker-Inference-Id";
  Start();
  const TestResponse response = Exchange(
      PostRequest("/invocations", R"({"inputs": "a"})", "X-Amzn-SageMaker-Inference-Id: i-9\r\n"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("x-request-id"), "i-9");
}

TEST_F(DjlTest, PingShowsEveryState) {
  Serve();
  EXPECT_EQ(Get("/ping").body, "{}\n");
  AddModel("m");
  TestResponse response = Get("/ping");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("Content-Type"), "application/json");
  EXPECT_EQ(response.body, "{\n  \"m\": {\n    \"status\": \"Healthy\"\n  }\n}\n");
  EXPECT_EQ(Exchange("POST /ping HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").status, 200);
  ASSERT_TRUE(models_.AddPending("p", "").ok());
  response = Get("/ping");
  EXPECT_EQ(response.status, 200);
  EXPECT_NE(response.body.find("\"status\": \"PENDING\""), std::string::npos);
  engine_->Die();
  response = Get("/ping");
  EXPECT_EQ(response.status, 500);
  EXPECT_NE(response.body.find("\"status\": \"FAILED\""), std::string::npos);
}

TEST_F(DjlTest, PingIsUnavailableUntilTheStartIsDone) {
  djl_.allow_multi_status = true;
  ASSERT_TRUE(models_.AddPending("p", "", serving::ModelOrigin::kStartUp).ok());
  Serve();
  TestResponse response = Get("/ping");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "{\n  \"p\": {\n    \"status\": \"PENDING\"\n  }\n}\n");
  models_.SetLoading("p", "");
  EXPECT_EQ(Get("/ping").status, 503);
  EXPECT_EQ(Invoke(R"({"inputs": "x"})").body,
            ErrorBody(503, "WlmException", "Model is not ready: p"));
  models_.SetFailed("p", "", Status(StatusCode::kCorrupt, "broken"));
  EXPECT_EQ(Get("/ping").status, 500);
}

TEST_F(DjlTest, PingMayAnswerMultiStatus) {
  djl_.allow_multi_status = true;
  ASSERT_TRUE(models_.AddPending("p", "").ok());
  Serve();
  EXPECT_EQ(Get("/ping").status, 207);
}

TEST_F(DjlTest, FindsTheModelInEveryPlaceItIsNamed) {
  AddModel("a");
  AddModel("b");
  Serve();
  const std::string body = R"({"inputs": "x"})";
  EXPECT_EQ(Exchange(PostRequest("/predictions/a", body)).status, 200);
  EXPECT_EQ(Exchange(PostRequest("/invocations?model_name=b", body)).status, 200);
  EXPECT_EQ(Exchange(PostRequest("/invocations", body, "model_name: a\r\n")).status, 200);
  EXPECT_EQ(Exchange(PostRequest("/invocations", body,
                                 "X-Amzn-SageMaker-Custom-Attributes: x=1;model_name=b\r\n"))
                .status,
            200);
  TestResponse response = Exchange(PostRequest("/invocations", body));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body,
            ErrorBody(400, "BadRequestException", "Parameter model_name is required."));
  response = Exchange(PostRequest("/predictions/c", body));
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body,
            ErrorBody(404, "ModelNotFoundException", "Model or workflow not found: c"));
  EXPECT_EQ(response.Header("Connection"), "close");
  EXPECT_EQ(Exchange(PostRequest("/predictions/a/7", body)).status, 404);
}

TEST_F(DjlTest, AModelThatIsNotReadyIsRefused) {
  ASSERT_TRUE(models_.AddPending("p", "", serving::ModelOrigin::kStartUp).ok());
  Serve();
  const TestResponse response = Invoke(R"({"inputs": "x"})");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, ErrorBody(503, "WlmException", "Model is not ready: p"));
  EXPECT_EQ(response.Header("Retry-After"), "1");
}

TEST_F(DjlTest, UnknownPathsAndTypes) {
  Start();
  TestResponse response = Get("/nowhere");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body,
            ErrorBody(404, "ResourceNotFoundException",
                      "Requested resource is not found, please refer to API document."));
  EXPECT_NE(response.Header("x-request-id"), "(none)");
  EXPECT_EQ(Exchange("OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n").body, "{}\n");
  EXPECT_EQ(Exchange("OPTIONS /predictions/m HTTP/1.1\r\nHost: h\r\n\r\n").body, "{}\n");
  response = Exchange(PostRequest("/invocations", "x", "Content-Type: text/xml\r\n"));
  EXPECT_EQ(response.status, 415);
  EXPECT_NE(response.body.find("text/xml"), std::string::npos);
  EXPECT_EQ(Exchange("nonsense\r\n").body.substr(0, 15), "{\n  \"code\": 400");
}

// DJLServing does not look at the method of a request for inference, nor at slashes behind its path.
TEST_F(DjlTest, AnyMethodAsksForInference) {
  Start();
  for (const char* target : {"/invocations", "/invocations/", "/predictions/m", "/predictions/m//",
                             "/models/m/invoke", "/predictions/m?model_version=v9"}) {
    for (const char* method : {"POST", "PUT", "PATCH", "GET", "DELETE"}) {
      const TestResponse response = Exchange(fmt::format(
          "{} {} HTTP/1.1\r\nHost: h\r\nContent-Length: 15\r\n\r\n{{\"inputs\": \"x\"}}", method,
          target));
      EXPECT_EQ(response.status, 200) << method << target;
      EXPECT_EQ(response.body, R"({"generated_text":"x"})") << method << target;
    }
  }
  const TestResponse response = Get("/predictions/m");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body, ErrorBody(400, "BadRequestException",
                                     "the request has no body; send {\"inputs\": \"some text\"}"));
  EXPECT_EQ(Get("/ping/").status, 200);
}

TEST_F(DjlTest, ContentTypes) {
  Start();
  EXPECT_EQ(Exchange(PostRequest("/invocations", R"({"inputs": "x"})")).body,
            R"({"generated_text":"x"})");
  EXPECT_EQ(Exchange(PostRequest("/invocations", R"({"inputs": "x"})",
                                 "Content-Type: Application/JSON; charset=utf-8\r\n"))
                .status,
            200);
  EXPECT_EQ(Exchange(PostRequest("/invocations", "plain", "Content-Type: text/plain\r\n")).body,
            R"([{"generated_text":"plain"}])");
  EXPECT_EQ(Exchange(PostRequest("/invocations", "")).status, 400);
}

TEST_F(DjlTest, ListsAreAnsweredInOrder) {
  Start();
  EXPECT_EQ(Invoke(R"({"inputs": ["longer text", "b", "cc"]})").body,
            R"([{"generated_text":"longer text"},{"generated_text":"b"},{"generated_text":"cc"}])");
}

TEST_F(DjlTest, DetailsOfAWholeAnswer) {
  Start();
  EXPECT_EQ(
      Invoke(R"({"inputs": "ab", "parameters": {"details": true, "return_full_text": true}})").body,
      R"({"generated_text":"abab","details":{"finish_reason":"eos_token","generated_tokens":3,)"
      R"("inputs":"ab","tokens":[{"id":97,"text":"a","log_prob":-0.097},)"
      R"({"id":98,"text":"b","log_prob":-0.098},)"
      R"({"id":256,"text":"","log_prob":-0.256,"special_token":true}]}})");
  EXPECT_EQ(
      Invoke(R"({"inputs": "ab", "parameters": {"details": true, "max_new_tokens": 1,
                 "decoder_input_details": true, "top_n_tokens": 2}})")
          .body,
      R"({"generated_text":"a","details":{"finish_reason":"length","generated_tokens":1,)"
      R"("inputs":"ab","tokens":[{"id":97,"text":"a","log_prob":-0.097}],)"
      R"("prefill":[{"id":97,"text":"a","log_prob":null},{"id":98,"text":"b","log_prob":-0.098}],)"
      R"("top_tokens":[[{"id":97,"text":"a","log_prob":-0.097},)"
      R"({"id":98,"text":"b","log_prob":-0.098}]]}})");
}

TEST_F(DjlTest, StopSequencesAndSeeds) {
  Start();
  EXPECT_EQ(Invoke(R"({"inputs": "one two", "parameters": {"stop_sequences": ["tw"]}})").body,
            R"({"generated_text":"one "})");
  const TestResponse response = Invoke(
      R"({"inputs": "ab", "parameters": {"details": true, "do_sample": true, "seed": 11,
          "stop": "b"}})");
  EXPECT_NE(response.body.find(R"("finish_reason":"stop_sequence")"), std::string::npos);
  EXPECT_NE(response.body.find(R"("seed":11)"), std::string::npos);
  Invoke(R"({"inputs": "ab", "parameters": {"temperature": 0.5}})");
  EXPECT_TRUE(engine_->last_request().params.do_sample);
  EXPECT_TRUE(engine_->last_request().params.seed.has_value());
}

TEST_F(DjlTest, SeveralSequencesComeLikeliestFirst) {
  FakeEngine::Options engine;
  // Sequence 2 has the smallest ids, so the likeliest tokens.
  engine.next_token = [](const engine::GenerateRequest&, int sequence, int64_t) {
    return static_cast<int32_t>('c' - sequence);
  };
  Start(engine);
  EXPECT_EQ(
      Invoke(R"({"inputs": "x", "parameters": {"max_new_tokens": 1, "n": 2, "best_of": 3}})").body,
      R"({"generated_text":"a","details":{"finish_reason":"length","generated_tokens":1,)"
      R"("inputs":"x","tokens":[{"id":97,"text":"a","log_prob":-0.097}],)"
      R"("best_of_sequences":[{"finish_reason":"length","generated_tokens":1,"inputs":"x",)"
      R"("tokens":[{"id":98,"text":"b","log_prob":-0.098}],"generated_text":"b"}]}})");
}

TEST_F(DjlTest, SequencesOfBeamSearchKeepTheirOrderAndHaveScores) {
  FakeEngine::Options engine;
  // The later sequence has the likelier tokens.
  engine.next_token = [](const engine::GenerateRequest&, int sequence, int64_t) {
    return static_cast<int32_t>('c' - sequence);
  };
  Start(engine);
  const std::string parameters =
      R"("max_new_tokens": 1, "num_beams": 3, "num_return_sequences": 2)";
  EXPECT_EQ(
      Invoke(fmt::format(R"({{"inputs": "x", "parameters": {{{}}}}})", parameters)).body,
      R"({"generated_text":"c","details":{"finish_reason":"length","generated_tokens":1,)"
      R"("inputs":"x","tokens":[{"id":99,"text":"c","log_prob":-0.099}],"sequence_score":-1.5,)"
      R"("best_of_sequences":[{"finish_reason":"length","generated_tokens":1,"inputs":"x",)"
      R"("tokens":[{"id":98,"text":"b","log_prob":-0.098}],"sequence_score":-2.5,)"
      R"("generated_text":"b"}]}})");
  EXPECT_EQ(engine_->last_request().params.num_beams, 3);
  const TestResponse streamed =
      Invoke(fmt::format(R"({{"inputs": "x", "stream": true, "parameters": {{{}}}}})", parameters));
  EXPECT_EQ(streamed.status, 400);
  EXPECT_NE(streamed.body.find("beam search has no tokens to stream"), std::string::npos);
  EXPECT_EQ(Invoke(R"({"inputs": "x", "parameters": {"num_beams": 2, "temperature": 0.7}})").status,
            200);
  EXPECT_TRUE(engine_->last_request().params.do_sample);
  const TestResponse sampled =
      Invoke(R"({"inputs": "x", "parameters": {"num_beams": 2, "num_beam_groups": 2,
                 "diversity_penalty": 1, "temperature": 0.7}})");
  EXPECT_EQ(sampled.status, 400);
  EXPECT_NE(sampled.body.find("do not sample"), std::string::npos) << sampled.body;
}

TEST_F(DjlTest, WhatDoesNotFitIsNamed) {
  Start();
  TestResponse response = Invoke(fmt::format(R"({{"inputs": "{}"}})", std::string(70, 'x')));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body,
            ErrorBody(400, "BadRequestException",
                      "the prompt has 70 tokens; this model's context holds 64 tokens, prompt and "
                      "new ones together; shorten the prompt, or set \"truncate\""));
  response = Invoke(R"({"inputs": "x", "parameters": {"top_p": 1.5}, "stream": true})");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body,
            ErrorBody(400, "BadRequestException",
                      "parameter \"top_p\" is 1.5; it must be at least 0 and at most 1"));
  response = Invoke(R"({"inputs": "x", "parameters": {"stop": [""]}})");
  EXPECT_NE(response.body.find("\\\"stop_sequences\\\""), std::string::npos);
  EXPECT_EQ(engine_->num_submitted(), 0);
}

TEST_F(DjlTest, AFullQueueIs503) {
  serving::ModelOptions options;
  options.job_queue_size = 0;
  options.pool.max_running = 1;
  Start({}, options);
  engine_->Pause();
  TestClient first(server_->port());
  first.Send(PostRequest("/invocations", R"({"inputs": "x"})"));
  ASSERT_TRUE(WaitFor([&] { return model_->num_in_flight() == 1; }));
  const TestResponse response = Invoke(R"({"inputs": "x"})");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body,
            ErrorBody(503, "WlmCapacityException", "Worker queue capacity exceeded for model: m"));
  EXPECT_EQ(Get("/ping").status, 200);
  engine_->Resume();
  EXPECT_EQ(first.Receive().status, 200);
}

TEST_F(DjlTest, OneInputThatDoesNotFitTheQueueGivesTheOthersUp) {
  serving::ModelOptions options;
  options.job_queue_size = 0;
  options.pool.max_running = 2;
  Start({}, options);
  engine_->Pause();
  EXPECT_EQ(Invoke(R"({"inputs": ["a", "b", "c"]})").status, 503);
  EXPECT_TRUE(WaitFor([&] { return engine_->num_live() == 0 && model_->num_in_flight() == 0; }));
  EXPECT_EQ(engine_->num_cancelled(), 2);
}

TEST_F(DjlTest, WhatTakesTooLongIsATranslateException) {
  serving::ModelOptions options;
  options.predict_timeout = milliseconds(1000);
  Start({}, options);
  engine_->Pause();
  const TestResponse response = Invoke(R"({"inputs": "x"})");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body, ErrorBody(400, "TranslateException", "Time out in: 1"));
}

TEST_F(DjlTest, WhatAsksForTooMuchIsRefusedBeforeItIsSized) {
  Start();
  for (const char* number : {"17", "300000", "10000000", "2147483647", "9223372036854775807"}) {
    for (const char* name : {"n", "best_of"}) {
      const TestResponse response =
          Invoke(fmt::format(R"({{"inputs": "a", "parameters": {{"{}": {}}}}})", name, number));
      EXPECT_EQ(response.status, 400) << name << " " << number;
      EXPECT_NE(response.body.find("\\\"n\\\" is "), std::string::npos) << response.body;
    }
    const TestResponse response =
        Invoke(fmt::format(R"({{"inputs": "a", "parameters": {{"max_new_tokens": {}}}}})", number));
    EXPECT_EQ(response.status, number == std::string_view("17") ? 200 : 400);
  }
  std::string inputs = "\"a\"";
  for (int i = 1; i < 64; ++i) inputs += ",\"a\"";
  EXPECT_EQ(
      Invoke(fmt::format(R"({{"inputs": [{}], "parameters": {{"best_of": 300000}}}})", inputs))
          .status,
      400);
  EXPECT_EQ(engine_->num_submitted(), 1);
}

TEST_F(DjlTest, LargeStringsAreRefusedBySize) {
  Start();
  const std::string large(400'000, 'w');
  std::string words = fmt::format("\"{}\"", large);
  for (int i = 1; i < 100; ++i) words += fmt::format(",\"{}\"", large);
  for (const char* name : {"bad_words", "stop_sequences"}) {
    for (const std::string& list : {fmt::format("\"{}\"", large), fmt::format("[{}]", words)}) {
      const TestResponse response =
          Invoke(fmt::format(R"({{"inputs": "a", "parameters": {{"{}": {}}}}})", name, list));
      EXPECT_EQ(response.status, 400);
      EXPECT_LT(response.body.size(), 500U);
      EXPECT_NE(response.body.find(name), std::string::npos) << response.body;
    }
  }
  EXPECT_EQ(engine_->num_submitted(), 0);
}

TEST_F(DjlTest, DrainingModelsRefuse) {
  Start();
  models_.BeginDrain();
  const TestResponse response = Invoke(R"({"inputs": "x"})");
  EXPECT_EQ(response.status, 503);
  EXPECT_NE(response.body.find("WlmShutdownException"), std::string::npos);
}

}  // namespace
}  // namespace dray::api
