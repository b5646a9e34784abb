// The runtime API as its clients' bytes are; tests/program/aws_clients_test.cc has the clients themselves.
#include <string>
#include <string_view>

#include "api/sagemaker/event_stream.h"
#include "api/sagemaker/runtime_errors.h"
#include "api/sagemaker/runtime_responder.h"
#include "api/testing/djl_fixture.h"

namespace dray::api {
namespace {

using http::PostRequest;
using http::TestResponse;
using serving::FakeEngine;

constexpr std::string_view kJson = "Content-Type: application/json\r\n";

class RuntimeTest : public DjlTest {
 protected:
  TestResponse InvokeEndpoint(std::string_view endpoint, std::string_view json,
                              std::string_view headers = "") {
    return Exchange(PostRequest(fmt::format("/endpoints/{}/invocations", endpoint), json,
                                fmt::format("{}{}", kJson, headers)));
  }
  TestResponse InvokeStream(std::string_view json, std::string_view headers = "") {
    return Exchange(PostRequest("/endpoints/m/invocations-response-stream", json,
                                fmt::format("{}{}", kJson, headers)));
  }
  // A version of the model `name` that answers with its first token's byte.
  void AddVersion(const std::string& name, const std::string& version, char answer) {
    FakeEngine::Options engine;
    engine.next_token = [answer](const auto&, int, int64_t step) {
      return step == 0 ? answer : serving::ByteCodec::kEnd;
    };
    serving::ModelOptions options;
    options.version = version;
    AddModel(name, std::move(engine), std::move(options));
  }
  static std::string Message(std::string_view text) {
    return Json::MakeObject({{"Message", text}}).Dump();
  }
};

TEST_F(RuntimeTest, AnAnswerGoesOnAsItIs) {
  Start();
  const TestResponse response =
      InvokeEndpoint("m", R"({"inputs": "abc"})", "x-request-id: id-1\r\n");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"generated_text":"abc"})");
  EXPECT_EQ(response.Header("Content-Type"), "application/json");
  EXPECT_EQ(response.Header("x-Amzn-Invoked-Production-Variant"), "AllTraffic");
  EXPECT_EQ(response.Header("x-amzn-RequestId"), "id-1");
  // A stream, too.
  const std::string_view streamed =
      R"({"inputs": "ab", "stream": true, "parameters": {"max_new_tokens": 2}})";
  const TestResponse lines = InvokeEndpoint("m", streamed);
  EXPECT_EQ(lines.body, Invoke(streamed).body);
  EXPECT_EQ(lines.Header("Content-Type"), "application/jsonlines");
  EXPECT_EQ(lines.Header("x-Amzn-Invoked-Production-Variant"), "AllTraffic");
}

TEST_F(RuntimeTest, SignaturesAreIgnored) {
  Start();
  EXPECT_EQ(InvokeEndpoint("m", R"({"inputs": "a"})",
                           "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/"
                           "sagemaker/aws4_request, SignedHeaders=host, Signature=00\r\n"
                           "X-Amz-Security-Token: token\r\n")
                .status,
            200);
}

TEST_F(RuntimeTest, TheOnlyModelOfTheStartIsAnyEndpoint) {
  Start();
  EXPECT_EQ(InvokeEndpoint("my-endpoint", R"({"inputs": "abc"})").body,
            R"({"generated_text":"abc"})");
}

TEST_F(RuntimeTest, AnEndpointIsAModelAndAVariantIsAVersion) {
  AddVersion("a", "", 'x');
  AddVersion("b", "v1", 'y');
  AddVersion("b", "v2", 'z');
  Serve();
  struct Case {
    const char* endpoint;
    const char* headers;
    const char* answer;
    const char* variant;
  };
  for (const Case& c : {
           Case{"a", "", "x", "AllTraffic"},
           Case{"a", "X-Amzn-SageMaker-Target-Variant: AllTraffic\r\n", "x", "AllTraffic"},
           Case{"b", "X-Amzn-SageMaker-Target-Variant: v1\r\n", "y", "v1"},
           Case{"b", "X-Amzn-SageMaker-Target-Variant: v2\r\n", "z", "v2"},
           Case{"any", "X-Amzn-SageMaker-Target-Model: a\r\n", "x", "AllTraffic"},
           Case{"any", "X-Amzn-SageMaker-Target-Model: models/a.tar.gz\r\n", "x", "AllTraffic"},
           Case{"b", "X-Amzn-SageMaker-Inference-Component: a\r\n", "x", "AllTraffic"},
           Case{"b", "X-Amzn-SageMaker-Target-Container-Hostname: a\r\n", "x", "AllTraffic"},
       }) {
    const TestResponse response = InvokeEndpoint(c.endpoint, R"({"inputs": "abc"})", c.headers);
    EXPECT_EQ(response.body, fmt::format(R"({{"generated_text":"{}"}})", c.answer)) << c.headers;
    EXPECT_EQ(response.Header("x-Amzn-Invoked-Production-Variant"), c.variant) << c.headers;
  }
}

TEST_F(RuntimeTest, RefusesWhatTheServerDoesNotHave) {
  AddVersion("a", "", 'x');
  AddVersion("b", "v1", 'y');
  ASSERT_TRUE(models_.AddPending("soon", "").ok());
  Serve();
  struct Case {
    const char* endpoint;
    const char* headers;
    int status;
    const char* type;
    const char* message;
  };
  for (const Case& c : {
           Case{
               "none", "", 400, "ValidationError",
               "Endpoint none of account 000000000000 not found; it must be the name of a model of "
               "this server"},
           Case{"a", "X-Amzn-SageMaker-Target-Model: gone.tar.gz\r\n", 400, "ValidationError",
                "Model gone of endpoint a not found."},
           Case{"b", "X-Amzn-SageMaker-Target-Variant: v7\r\n", 400, "ValidationError",
                "Variant v7 of model b not found."},
           Case{"a", "X-Amzn-SageMaker-Enable-Explanations: `true`\r\n", 400, "ValidationError",
                "EnableExplanations is not accepted: the endpoint has no explainer"},
           Case{"soon", "", 429, "ModelNotReadyException", "Model is not ready: soon"},
       }) {
    const TestResponse response = InvokeEndpoint(c.endpoint, R"({"inputs": "abc"})", c.headers);
    EXPECT_EQ(response.status, c.status) << c.message;
    EXPECT_EQ(response.Header("x-amzn-ErrorType"), c.type) << c.message;
    EXPECT_EQ(response.Header("x-amzn-RequestId").size(), 36U) << c.message;
    EXPECT_EQ(response.body, Message(c.message));
  }
}

TEST_F(RuntimeTest, AnErrorOfTheModelIsAModelError) {
  Start();
  const std::string original =
      ErrorBody(400, "BadRequestException",
                "field \"input\" is not known; the fields are inputs, parameters, stream");
  for (const TestResponse& response :
       {InvokeEndpoint("m", R"({"input": "abc"})"), InvokeStream(R"({"input": "abc"})")}) {
    EXPECT_EQ(response.status, 424);
    EXPECT_EQ(response.Header("x-amzn-ErrorType"), "ModelError");
    EXPECT_EQ(response.Header("Content-Type"), "application/json");
    EXPECT_EQ(response.body,
              Json::MakeObject(
                  {{"ErrorCode", "CLIENT_ERROR_FROM_MODEL"},
                   {"LogStreamArn",
                    "arn:aws:logs:local:000000000000:log-group:/aws/sagemaker/Endpoints/m"},
                   {"Message", fmt::format("Received client error (400) from primary with message "
                                           "\"{}\". See the server's log for more information.",
                                           original)},
                   {"OriginalMessage", original},
                   {"OriginalStatusCode", 400}})
                  .Dump());
  }
}

TEST_F(RuntimeTest, AFailedModelIsAModelErrorToo) {
  FakeEngine::Options engine;
  engine.failure = Status(StatusCode::kInternal, "numbers went wrong");
  Start(engine);
  const TestResponse response = InvokeEndpoint("m", R"({"inputs": "abc"})");
  EXPECT_EQ(response.status, 424);
  const auto body = Json::Parse(response.body);
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(*body->Find("ErrorCode")->AsString(), "INTERNAL_FAILURE_FROM_MODEL");
  EXPECT_EQ(body->Find("OriginalStatusCode")->AsInt64(), 500);
}

TEST_F(RuntimeTest, AFullQueueMayBeTriedAgain) {
  FakeEngine::Options engine;
  engine.max_requests = 0;
  Start(engine);
  const TestResponse response = InvokeEndpoint("m", R"({"inputs": "abc"})");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.Header("x-amzn-ErrorType"), "ServiceUnavailable");
}

TEST_F(RuntimeTest, AStreamComesInFrames) {
  Start();
  const TestResponse response =
      InvokeStream(R"({"inputs": "ab", "stream": true, "parameters": {"max_new_tokens": 2}})");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("Content-Type"), "application/vnd.amazon.eventstream");
  EXPECT_EQ(response.Header("X-Amzn-SageMaker-Content-Type"), "application/jsonlines");
  EXPECT_EQ(response.Header("x-Amzn-Invoked-Production-Variant"), "AllTraffic");
  EXPECT_EQ(response.Header("Transfer-Encoding"), "chunked");
  EXPECT_TRUE(response.complete);
  EXPECT_EQ(response.body,
            EncodeParts("{\"token\":{\"id\":97,\"text\":\"a\",\"log_prob\":-0.097}}\n") +
                EncodeParts("{\"token\":{\"id\":98,\"text\":\"b\",\"log_prob\":-0.098},"
                            "\"generated_text\":\"ab\"}\n"));
}

TEST_F(RuntimeTest, AWholeAnswerComesInAFrame) {
  Start();
  const TestResponse response = InvokeStream(R"({"inputs": "ab"})");
  EXPECT_EQ(response.Header("Content-Type"), "application/vnd.amazon.eventstream");
  EXPECT_EQ(response.Header("X-Amzn-SageMaker-Content-Type"), "application/json");
  EXPECT_EQ(response.body, EncodeParts(R"({"generated_text":"ab"})"));
}

TEST_F(RuntimeTest, TheTypeThatAStreamShouldHaveReachesTheModel) {
  serving::ModelOptions options;
  options.answer_shape = settings::AnswerShape::kList;
  Start({}, options);
  const TestResponse response = InvokeStream(R"({"inputs": "ab"})",
                                             "Accept: application/json\r\n"
                                             "X-Amzn-SageMaker-Accept: text/plain\r\n");
  EXPECT_EQ(response.Header("X-Amzn-SageMaker-Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(response.body, EncodeParts("abab"));
}

// The format has no place for an error, so the container breaks the stream off.
TEST_F(RuntimeTest, AStreamThatBreaksOffEndsWithAnException) {
  FakeEngine::Options engine;
  engine.failure = Status(StatusCode::kInternal, "numbers went wrong");
  engine.failure_after = 1;
  serving::ModelOptions options;
  options.output_format = settings::OutputFormat::kPlainText;
  Start(engine, options);
  const TestResponse response = InvokeStream(R"({"inputs": "abc", "stream": true})");
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.complete);
  EXPECT_EQ(
      response.body,
      EncodeParts("a") +
          EncodeException(
              "ModelStreamError",
              R"({"Message":"StreamBroken: the model's answer broke off","ErrorCode":"StreamBroken"})"));
}

TEST_F(RuntimeTest, SessionsAreOpenedByInvokeEndpoint) {
  Start();
  constexpr std::string_view kNew = "X-Amzn-SageMaker-Session-Id: NEW_SESSION\r\n";
  constexpr std::string_view kOpen = R"({"requestType": "NEW_SESSION"})";
  const TestResponse opened = InvokeEndpoint("m", kOpen, kNew);
  const std::string session(opened.Header("X-Amzn-SageMaker-New-Session-Id"));
  const std::string id = session.substr(0, session.find(';'));
  const std::string header = fmt::format("X-Amzn-SageMaker-Session-Id: {}\r\n", id);
  EXPECT_EQ(InvokeStream(R"({"inputs": "ab"})", header).body,
            EncodeParts(R"({"generated_text":"ab"})"));
  EXPECT_EQ(InvokeEndpoint("m", R"({"requestType": "CLOSE"})", header)
                .Header("X-Amzn-SageMaker-Closed-Session-Id"),
            id);
  EXPECT_EQ(InvokeEndpoint("m", R"({"inputs": "ab"})", header).status, 424);
  const TestResponse refused = InvokeStream(kOpen, kNew);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body,
            Message("SessionId NEW_SESSION is not accepted by InvokeEndpointWithResponseStream; "
                    "open the session by InvokeEndpoint"));
}

TEST(RuntimeErrorsTest, TheServersOwnHaveNamesOfAws) {
  struct Case {
    int status;
    const char* type;
  };
  for (const Case& c : {Case{401, "AccessDeniedException"}, Case{404, "UnknownOperationException"},
                        Case{405, "UnknownOperationException"}, Case{413, "ValidationError"},
                        Case{503, "ServiceUnavailable"}, Case{500, "InternalFailure"}}) {
    const http::Response response = MakeRuntimeServerError(c.status, "why");
    EXPECT_EQ(response.head.status, c.status);
    EXPECT_EQ(*response.head.headers.Find("x-amzn-ErrorType"), c.type);
    EXPECT_EQ(response.body, R"({"Message":"why"})");
    EXPECT_EQ(response.head.persistence, http::Persistence::kClose);
  }
  EXPECT_TRUE(IsRuntimePath("/endpoints/m/invocations"));
  EXPECT_FALSE(IsRuntimePath("/invocations"));
}

// Keeps what a client is sent.
class RecordingResponder final : public http::Responder {
 public:
  void Send(http::Response response) override {
    status = response.head.status;
    body = std::move(response.body);
  }
  void BeginStream(http::ResponseHead head) override { status = head.status; }
  bool Write(std::string_view data) override {
    body += data;
    return true;
  }
  void End() override { ended = true; }
  void Abort() override { ended = false; }
  void OnCancel(std::function<void()> /*callback*/) override {}
  bool cancelled() const override { return false; }

  int status = 0;
  std::string body;
  bool ended = false;
};

TEST(RuntimeResponderTest, ARequestThatIsGivenUpGetsAnAnswer) {
  const auto client = std::make_shared<RecordingResponder>();
  MakeRuntimeResponder(client, {});
  EXPECT_EQ(client->status, 500);
  EXPECT_EQ(client->body, R"({"Message":"the request was given up"})");

  const auto stream = std::make_shared<RecordingResponder>();
  MakeEventStreamResponder(stream, {})->BeginStream({});
  EXPECT_EQ(stream->status, 200);
  EXPECT_TRUE(stream->ended);
  EXPECT_NE(stream->body.find("ModelStreamError"), std::string::npos);
}

}  // namespace
}  // namespace dray::api
