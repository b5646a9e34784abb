// The requests and answers of DJLServing's earlier and later handlers, over real sockets.
#include <fmt/format.h>

#include <vector>

#include "api/testing/djl_fixture.h"

namespace dray::api {
namespace {

using http::PostRequest;
using http::TestResponse;
using serving::FakeEngine;
using settings::AnswerShape;
using settings::OutputFormat;

// The engine answers a prompt with its bytes, then the end token.
class DjlShapesTest : public DjlTest {
 protected:
  void StartWith(AnswerShape shape, serving::ModelOptions options = {}) {
    options.answer_shape = shape;
    Start({}, options);
  }
  void StartStreaming(AnswerShape shape) {
    serving::ModelOptions options;
    options.stream_by_default = true;
    StartWith(shape, options);
  }
  void StartFormat(OutputFormat format) {
    serving::ModelOptions options;
    options.output_format = format;
    StartWith(AnswerShape::kTokens, options);
  }
  // The answer as compact JSON.
  std::string InvokeJson(std::string_view json) {
    const TestResponse response = Invoke(json);
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(response.Header("Content-Type"), "application/json");
    const auto parsed = Json::Parse(response.body);
    return parsed.ok() ? parsed->Dump() : response.body;
  }
};

TEST_F(DjlShapesTest, OfTransformersAnswerWithListsThatBeginWithThePrompt) {
  StartWith(AnswerShape::kList);
  EXPECT_EQ(InvokeJson(R"({"inputs": "abc"})"), R"([{"generated_text":"abcabc"}])");
  EXPECT_EQ(InvokeJson(R"({"inputs": ["ab", "c"], "parameters": {"max_new_tokens": 1}})"),
            R"([{"generated_text":"aba"},{"generated_text":"cc"}])");
  EXPECT_EQ(InvokeJson(R"(["ab", "c"])"), R"([{"generated_text":"abab"},{"generated_text":"cc"}])");
  EXPECT_EQ(InvokeJson(R"({"inputs": "ab", "parameters": {"return_full_text": false}})"),
            R"([{"generated_text":"ab"}])");
  EXPECT_EQ(InvokeJson(R"({"inputs": "ab", "parameters": {"max_seq_len": 1, "beam_width": 1}})"),
            R"([{"generated_text":"aba"}])");
  EXPECT_EQ(InvokeJson(R"({"inputs": "a", "parameters": {"num_return_sequences": 2}})"),
            R"([{"generated_text":"aa"},{"generated_text":"aa"}])");
}

TEST_F(DjlShapesTest, FasterTransformerHasItsOwnRulesOfBeams) {
  serving::ModelOptions options;
  options.faster_transformer_beams = true;
  StartWith(AnswerShape::kList, options);
  Invoke(
      R"({"inputs": "ab", "parameters": {"beam_width": 2, "beam_search_diversity_rate": -0.5}})");
  const sampling::SamplingParams& params = engine_->last_request().params;
  EXPECT_EQ(params.beam_rules, sampling::BeamRules::kFasterTransformer);
  EXPECT_EQ(params.num_beams, 2);
  EXPECT_EQ(params.sibling_diversity_rate, -0.5);
  EXPECT_FALSE(params.length_penalty.has_value());
  Invoke(R"({"inputs": "ab", "parameters": {"beam_width": 2, "len_penalty": 0.75}})");
  EXPECT_EQ(engine_->last_request().params.length_penalty, 0.75);
}

TEST_F(DjlShapesTest, APipelineAnswersAListWithLists) {
  StartWith(AnswerShape::kPipeline);
  EXPECT_EQ(InvokeJson(R"({"inputs": "ab"})"), R"([{"generated_text":"abab"}])");
  EXPECT_EQ(InvokeJson(R"({"inputs": ["ab", "c"]})"),
            R"([[{"generated_text":"abab"}],[{"generated_text":"cc"}]])");
}

TEST_F(DjlShapesTest, TheNeuronSampleGetsItsTexts) {
  StartWith(AnswerShape::kList);
  EXPECT_EQ(InvokeJson(R"({"seq_length": 2048, "text": ["Hello", "Hi"]})"),
            R"({"outputs":["HelloHello","HiHi"]})");
  EXPECT_EQ(InvokeJson(R"({"text": "Hello", "seq_length": 7})"), R"({"outputs":["HelloHe"]})");
  EXPECT_TRUE(engine_->last_request().params.do_sample);
  EXPECT_EQ(engine_->last_request().params.top_k, 50);
}

TEST_F(DjlShapesTest, PlainTextComesAndGoes) {
  StartWith(AnswerShape::kPipeline);
  const TestResponse json =
      Exchange(PostRequest("/invocations", "abc", "Content-Type: text/plain\r\n"));
  EXPECT_EQ(json.status, 200);
  EXPECT_EQ(Json::Parse(json.body)->Dump(), R"([{"generated_text":"abcabc"}])");
  const TestResponse text = Exchange(
      PostRequest("/invocations", "abc", "Content-Type: text/plain\r\nAccept: text/plain\r\n"));
  EXPECT_EQ(text.Header("Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(text.body, "abcabc");
}

TEST_F(DjlShapesTest, SamplingOfTransformersNeedsToBeAskedFor) {
  StartWith(AnswerShape::kList);
  Invoke(R"({"inputs": "a", "parameters": {"temperature": 0.5, "top_k": 3}})");
  EXPECT_FALSE(engine_->last_request().params.do_sample);
  Invoke(R"({"inputs": "a", "parameters": {"do_sample": true, "temperature": 0.5}})");
  EXPECT_TRUE(engine_->last_request().params.do_sample);
  EXPECT_EQ(engine_->last_request().params.temperature, 0.5);
}

TEST_F(DjlShapesTest, AStreamOfTransformersSamplesIfAParameterDoes) {
  StartStreaming(AnswerShape::kList);
  Invoke(R"({"inputs": "a", "parameters": {"top_k": 3}})");
  EXPECT_TRUE(engine_->last_request().params.do_sample);
  Invoke(R"({"inputs": "a", "parameters": {"max_new_tokens": 3}})");
  EXPECT_FALSE(engine_->last_request().params.do_sample);
}

TEST_F(DjlShapesTest, ErrorsOfAHandlerAre424) {
  StartWith(AnswerShape::kList);
  const TestResponse response = Invoke(R"({"inputs": "a", "parameters": {"top_x": 1}})");
  EXPECT_EQ(response.status, 424);
  const auto body = Json::Parse(response.body);
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(body->Find("code")->AsInt64(), 424);
  EXPECT_EQ(*body->Find("message")->AsString(), "prediction failure");
  EXPECT_TRUE(body->Find("error")->AsString()->starts_with("parameter \"top_x\" is not known"));
  // Others are the front's.
  EXPECT_EQ(Exchange(PostRequest("/predictions/other", "{}", "")).status, 404);
}

TEST_F(DjlShapesTest, LinesHaveAPieceOfEachInput) {
  StartStreaming(AnswerShape::kList);
  const TestResponse response = Invoke(R"({"inputs": ["abc", "x"]})");
  EXPECT_EQ(response.Header("Content-Type"), "application/jsonlines");
  EXPECT_EQ(response.body,
            "{\"outputs\":[\"a\",\"x\"]}\n{\"outputs\":[\"b\",\"\"]}\n"
            "{\"outputs\":[\"c\",\"\"]}\n{\"outputs\":[\"\",\"\"]}\n");
}

TEST_F(DjlShapesTest, ARollingBatchOf2023AlwaysSendsLines) {
  StartWith(AnswerShape::kPieces);
  TestResponse response = Invoke(R"({"inputs": "ab", "parameters": {"max_new_tokens": 2}})");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("Content-Type"), "application/jsonlines");
  EXPECT_EQ(response.body, "{\"outputs\":[\"a\"]}\n{\"outputs\":[\"b\"]}\n");
  // Its errors come behind a 200 that has been sent.
  response = Invoke(R"({"inputs": ""})");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body,
            "{\"code\":500,\"error\":\"\\\"inputs\\\" holds an empty string; send some text\"}\n");
}

TEST_F(DjlShapesTest, AnswersOf2024AreTextsAndPieces) {
  StartWith(AnswerShape::kText);
  EXPECT_EQ(InvokeJson(R"({"inputs": "ab"})"), R"({"generated_text":"ab"})");
  EXPECT_EQ(Invoke(R"({"inputs": "ab", "stream": true, "parameters": {"max_new_tokens": 2}})").body,
            "{\"outputs\":[\"a\"]}\n{\"outputs\":[\"b\"]}\n");
}

TEST_F(DjlShapesTest, AsynchronousHandlersHaveTgisNames) {
  StartWith(AnswerShape::kAsync);
  EXPECT_EQ(Invoke(R"({"inputs": "a", "parameters": {"do_sample": false}})").body,
            "{\"generated_text\":\"a\"}\n");
  EXPECT_EQ(
      InvokeJson(
          R"({"inputs": "ab", "parameters": {"max_new_tokens": 1, "details": true, "seed": 5}})"),
      R"({"generated_text":"a","details":{"finish_reason":"length","generated_tokens":1,"seed":5,)"
      R"("prefill":[],"tokens":[{"id":97,"text":"a","logprob":-0.097}]}})");
  EXPECT_TRUE(engine_->last_request().params.do_sample);
  EXPECT_EQ(
      Invoke(
          R"({"inputs": "ab", "stream": true, "parameters": {"max_new_tokens": 2, "details": true, "temperature": 0}})")
          .body,
      "{\"index\":0,\"token\":{\"id\":97,\"text\":\"a\",\"logprob\":-0.097},"
      "\"generated_text\":null,\"details\":null}\n"
      "{\"index\":0,\"token\":{\"id\":98,\"text\":\"b\",\"logprob\":-0.098},"
      "\"generated_text\":\"ab\",\"details\":{\"finish_reason\":\"length\",\"seed\":null,"
      "\"generated_tokens\":2,\"input_length\":2}}\n");
}

TEST_F(DjlShapesTest, ErrorsOfAsynchronousHandlersAre424) {
  StartWith(AnswerShape::kAsync);
  const TestResponse response = Invoke(R"({"parameters": {}})");
  EXPECT_EQ(response.status, 424);
  EXPECT_EQ(response.body,
            "{\"error\":\"Input parsing failed: the request has no \\\"inputs\\\"; send "
            "{\\\"inputs\\\": \\\"some text\\\"}\",\"code\":424}\n");
}

TEST_F(DjlShapesTest, TgiCompatibleAnswersAreInLists) {
  serving::ModelOptions options;
  options.tgi_compat = true;
  StartWith(AnswerShape::kTokens, options);
  EXPECT_EQ(InvokeJson(R"({"inputs": "ab", "parameters": {"max_new_tokens": 1}})"),
            R"([{"generated_text":"a","details":{"finish_reason":"length","generated_tokens":1,)"
            R"("inputs":"ab","tokens":[{"id":97,"text":"a","logprob":-0.097}]}}])");
  EXPECT_EQ(InvokeJson(R"({"inputs": "a", "parameters": {"details": false}})"),
            R"([{"generated_text":"a"}])");
  const TestResponse stream =
      Invoke(R"({"inputs": "a", "stream": true, "parameters": {"details": false}})");
  EXPECT_EQ(stream.Header("Content-Type"), "text/event-stream");
  EXPECT_EQ(stream.body,
            "data: {\"token\":{\"id\":97,\"text\":\"a\",\"logprob\":-0.097}}\n\n"
            "data: {\"token\":{\"id\":256,\"text\":\"\",\"logprob\":-0.256,\"special\":true},"
            "\"generated_text\":\"a\"}\n\n");
}

TEST_F(DjlShapesTest, ThirdPartyFormatCountsTokens) {
  StartFormat(OutputFormat::kThirdParty);
  EXPECT_EQ(InvokeJson(R"({"inputs": "abc", "parameters": {"max_new_tokens": 2}})"),
            R"({"body":{"generation":"ab","prompt_token_count":3,"generation_token_count":2,)"
            R"("stop_reason":"length"},"metering":{"inputTokenCount":3,"outputTokenCount":2},)"
            R"("content_type":"application/json"})");
  const TestResponse stream = Invoke(
      R"({"inputs": "abc", "parameters": {"max_new_tokens": 2, "output_formatter": "3p_stream"}})");
  EXPECT_EQ(stream.Header("Content-Type"), "application/jsonlines");
  EXPECT_EQ(stream.body,
            R"({"body":{"generation":"a","prompt_token_count":3,"generation_token_count":1,)"
            R"("stop_reason":null},"metering":{"outputTokenCount":1,"inputTokenCount":3},)"
            "\"content_type\":\"application/jsonlines\"}\n"
            R"({"body":{"generation":"b","prompt_token_count":null,"generation_token_count":2,)"
            R"("stop_reason":"length"},"metering":{"outputTokenCount":2},)"
            "\"content_type\":\"application/jsonlines\"}\n");
}

TEST_F(DjlShapesTest, FormatsWithoutAPlaceForEachInputStreamOne) {
  StartStreaming(AnswerShape::kText);
  for (const char* format : {"3p_stream", "none"}) {
    const TestResponse response = Invoke(fmt::format(
        R"({{"inputs": ["ab", "c"], "parameters": {{"output_formatter": "{}"}}}})", format));
    EXPECT_EQ(response.status, 400) << format << response.body;
  }
  EXPECT_EQ(Invoke(R"({"inputs": ["ab", "c"]})").status, 200);
}

TEST_F(DjlShapesTest, NoFormatterSendsTheTextAlone) {
  StartFormat(OutputFormat::kPlainText);
  const TestResponse whole = Invoke(R"({"inputs": "abc"})");
  EXPECT_EQ(whole.Header("Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(whole.body, "abc");
  EXPECT_EQ(Invoke(R"({"inputs": "abc", "stream": true})").body, "abc");
}

TEST_F(DjlShapesTest, AStreamOfPlainTextThatFailsIsNotWhole) {
  FakeEngine::Options engine;
  engine.failure = Status(StatusCode::kInternal, "numbers went wrong");
  engine.failure_after = 1;
  serving::ModelOptions options;
  options.output_format = OutputFormat::kPlainText;
  Start(engine, options);
  const TestResponse response = Invoke(R"({"inputs": "abc", "stream": true})");
  // The connection's end may overtake what was sent before it.
  EXPECT_TRUE(response.body == "a" || response.body.empty()) << response.body;
  EXPECT_FALSE(response.complete);
}

class DjlSessionsTest : public DjlShapesTest {
 protected:
  TestResponse InvokeIn(std::string_view session, std::string_view json) {
    return Exchange(PostRequest("/invocations", json,
                                fmt::format("Content-Type: application/json\r\n"
                                            "X-Amzn-SageMaker-Session-Id: {}\r\n",
                                            session)));
  }
};

TEST_F(DjlSessionsTest, AreOpenedUsedAndClosed) {
  StartWith(AnswerShape::kAsync);
  const TestResponse opened = InvokeIn("NEW_SESSION", R"({"requestType": "NEW_SESSION"})");
  EXPECT_EQ(opened.status, 200);
  const std::string header(opened.Header("X-Amzn-SageMaker-Session-Id"));
  EXPECT_EQ(opened.Header("X-Amzn-SageMaker-New-Session-Id"), header);
  const std::string id = header.substr(0, header.find(';'));
  EXPECT_EQ(id.size(), 36U);
  EXPECT_EQ(header.substr(36, 10), "; Expires=");
  EXPECT_EQ(header.size(), 36U + 10 + 20);
  EXPECT_EQ(opened.body, fmt::format("{{\"result\":\"Session {} created\"}}\n", id));

  EXPECT_EQ(InvokeIn(id, R"({"inputs": "a", "parameters": {"do_sample": false}})").body,
            "{\"generated_text\":\"a\"}\n");
  const TestResponse closed = InvokeIn(id, R"({"requestType": "CLOSE"})");
  EXPECT_EQ(closed.Header("X-Amzn-SageMaker-Closed-Session-Id"), id);
  EXPECT_EQ(closed.body, fmt::format("{{\"result\":\"Session {} closed\"}}\n", id));
  EXPECT_EQ(InvokeIn(id, R"({"inputs": "a"})").status, 424);
  EXPECT_EQ(InvokeIn(id, R"({"requestType": "CLOSE"})").status, 424);
  EXPECT_EQ(InvokeIn(id, R"({"requestType": "OPEN"})").status, 424);
}

TEST_F(DjlSessionsTest, CanBeOff) {
  serving::ModelOptions options;
  options.stateful_sessions = false;
  StartWith(AnswerShape::kTokens, options);
  EXPECT_EQ(InvokeIn("x", R"({"inputs": "a"})").status, 400);
  EXPECT_EQ(InvokeIn("NEW_SESSION", R"({"requestType": "NEW_SESSION"})").status, 400);
}

}  // namespace
}  // namespace dray::api
