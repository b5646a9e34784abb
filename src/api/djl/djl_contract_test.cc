// The contract of DJLServing 0.36, row by row: statuses, where a request's model and properties are found, common
// headers, /ping, and the defaults of parameters. Each row is a request to a real server and the exact answer.
// djl_shapes_test.cc and djl_stream_test.cc have the shapes of answers, management_test.cc the management API.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/management/logging.h"
#include "api/metrics/no_metrics.h"
#include "api/testing/djl_fixture.h"

namespace dray::api {
namespace {

using http::PostRequest;
using http::TestClient;
using http::TestResponse;
using serving::FakeEngine;

constexpr std::string_view kBody = R"({"inputs": "x", "parameters": {"max_new_tokens": 1}})";
constexpr std::string_view kAnswer = R"({"generated_text":"x"})";

// A server with a model in every state.
class DjlContractTest : public DjlTest {
 protected:
  void SetUp() override {
    AddModel("m");
    serving::ModelOptions version;
    version.version = "v2";
    AddModel("m", {}, version);
    AddFailing("broken", Status(StatusCode::kInternal, "numbers went wrong"));
    AddFailing("small", Status(StatusCode::kResourceExhausted, "the cache is too small"));
    AddModel("stopped");
    ASSERT_TRUE(model_->Apply({.min_workers = 0, .max_workers = 0}).ok());
    // There is nothing to make a second worker of.
    AddModel("lacking");
    EXPECT_FALSE(model_->Apply({.min_workers = 2, .max_workers = 2}).ok());
    ASSERT_TRUE(models_.AddPending("pending", "").ok());
    serving::ModelOptions queue;
    queue.job_queue_size = 0;
    queue.pool.max_running = 0;
    AddModel("full", {}, queue);
    http_.limits.max_body_bytes = 1000;
    RegisterNoMetrics(router_);
    RegisterLogging(router_);
    Serve();
  }

  static std::string Post(std::string_view target, std::string_view headers = "") {
    return PostRequest(target, kBody, headers);
  }
  static std::string Bare(std::string_view method, std::string_view target) {
    return fmt::format("{} {} HTTP/1.1\r\nHost: h\r\n\r\n", method, target);
  }

 private:
  void AddFailing(const std::string& name, Status failure) {
    FakeEngine::Options engine;
    engine.failure = std::move(failure);
    AddModel(name, std::move(engine));
  }
};

TEST_F(DjlContractTest, EveryErrorHasItsStatusAndBody) {
  struct Row {
    std::string request;
    int status;
    const char* type;
    const char* message;
  };
  constexpr const char* kNoPath = "Requested resource is not found, please refer to API document.";
  constexpr const char* kNoMethod =
      "Requested method is not allowed, please refer to API document.";
  for (const Row& row : std::vector<Row>{
           {Bare("GET", "/nowhere"), 404, "ResourceNotFoundException", kNoPath},
           {Post("/predictions"), 404, "ResourceNotFoundException", kNoPath},
           {Bare("POST", "/server/metrics"), 405, "MethodNotAllowedException", kNoMethod},
           {Post("/invocations"), 400, "BadRequestException", "Parameter model_name is required."},
           {Post("/v1/chat/completions"), 400, "BadRequestException",
            "Parameter model_name is required."},
           {PostRequest("/v1/chat/completions?model_name=m", R"({"messages": []})"), 400,
            "BadRequestException",
            "field \"messages\" is of an API that is not in this build yet; send \"inputs\""},
           {Post("/predictions/gone"), 404, "ModelNotFoundException",
            "Model or workflow not found: gone"},
           {Post("/predictions/m/v9"), 404, "ModelNotFoundException",
            "Model or workflow not found: m"},
           {Post("/models/gone/invoke"), 404, "ModelNotFoundException",
            "Model or workflow not found: gone"},
           {Post("/predictions/m", "handler: mine\r\n"), 400, "BadRequestException",
            "The handler can't be overridden in a request"},
           {Post("/predictions/m", "x-starting-token: none\r\n"), 400, "BadRequestException",
            "Invalid x-starting-token: there is no such answer, or it has been forgotten"},
           {Post("/predictions/pending"), 503, "WlmException", "Model is not ready: pending"},
           {Post("/predictions/full"), 503, "WlmCapacityException",
            "Worker queue capacity exceeded for model: full"},
           {Post("/predictions/stopped"), 503, "WlmShutdownException",
            "All model workers has been shutdown: stopped"},
           {Post("/predictions/broken"), 500, "InternalServerException", "numbers went wrong"},
           {Post("/predictions/small"), 507, "WlmOutOfMemoryException", "the cache is too small"},
           {PostRequest("/predictions/m", std::string(1001, ' ')), 413, "BadRequestException",
            "the body is 1001 bytes; at most 1000 are accepted"},
           {Bare("GET", "/server/metrics"), 400, "BadRequestException",
            "Prometheus is not enabled, set SERVING_PROMETHEUS environment var to true to enable "
            "prometheus metrics"},
       }) {
    const TestResponse response = Exchange(row.request);
    EXPECT_EQ(response.status, row.status) << row.request;
    EXPECT_EQ(response.body, ErrorBody(row.status, row.type, row.message)) << row.request;
    EXPECT_EQ(response.Header("Content-Type"), "application/json") << row.request;
    EXPECT_EQ(response.Header("Connection"), "close") << row.request;
  }
}

TEST_F(DjlContractTest, EveryFullAnswerHasTheCommonHeaders) {
  for (const std::string& request :
       {Post("/predictions/m"), Post("/predictions/gone"), Bare("GET", "/ping"),
        Bare("GET", "/nowhere"), Bare("OPTIONS", "/"), Bare("OPTIONS", "/predictions/m")}) {
    const TestResponse response = Exchange(request);
    EXPECT_EQ(response.Header("x-request-id").size(), 36U) << request;
    EXPECT_EQ(response.Header("Pragma"), "no-cache") << request;
    EXPECT_EQ(response.Header("Cache-Control"), "no-cache; no-store, must-revalidate, private")
        << request;
    EXPECT_EQ(response.Header("Expires"), "Thu, 01 Jan 1970 00:00:00 UTC") << request;
    EXPECT_EQ(response.Header("Content-Length"), std::to_string(response.body.size())) << request;
    EXPECT_EQ(response.Header("Connection"), response.status < 400 ? "keep-alive" : "close")
        << request;
  }
}

TEST_F(DjlContractTest, BodiesThatAreNoTextAreRefusedByTheirType) {
  for (const char* type : {"image/png", "audio/wav", "tensor/ndlist", "tensor/npz",
                           "application/x-npy", "tensor/safetensors", "application/octet-stream"}) {
    const TestResponse response =
        Exchange(Post("/predictions/m", fmt::format("Content-Type: {}\r\n", type)));
    EXPECT_EQ(response.status, 415) << type;
    EXPECT_EQ(response.body,
              ErrorBody(415, "BadRequestException",
                        fmt::format("Content-Type \"{}\" is not accepted; send application/json, "
                                    "text/plain, text/csv or a form",
                                    type)));
  }
  EXPECT_EQ(Exchange(Post("/predictions/m", "Content-Type: application/jsonlines\r\n")).body,
            kAnswer);
}

TEST_F(DjlContractTest, AModelIsFoundWhereverItIsNamed) {
  constexpr std::string_view kForm = "Content-Type: application/x-www-form-urlencoded\r\n";
  for (const std::string& request : {
           Post("/predictions/m"),
           Post("/predictions/m/v2"),
           Post("/models/m/invoke"),
           Post("/models/m/v2/invoke"),
           Post("/invocations?model_name=m"),
           Post("/v1/chat/completions?model_name=m"),
           Post("/v1/chat/completions", "model_name: m\r\n"),
           Post("/invocations?model_name=m&model_version=v2"),
           Post("/invocations", "model_name: m\r\n"),
           Post("/invocations", "Model_Name: m\r\nMODEL_VERSION: v2\r\n"),
           Post("/invocations", "X-Amzn-SageMaker-Custom-Attributes: a=b;model_name=m\r\n"),
           Post("/invocations",
                "X-Amzn-SageMaker-Custom-Attributes: model_name = m ; model_version= v2\r\n"),
           Post("/invocations?model_name=m", "model_name: gone\r\n"),
           PostRequest("/invocations",
                       "model_name=m&inputs=x&parameters=%7B%22max_new_tokens%22%3A1%7D", kForm),
       }) {
    const TestResponse response = Exchange(request);
    EXPECT_EQ(response.status, 200) << request;
    EXPECT_EQ(response.body, kAnswer) << request;
  }
}

TEST_F(DjlContractTest, TheLogsLevelCanBeSet) {
  for (const std::string& request :
       {Bare("GET", "/server/logging?level=debug"), Bare("PUT", "/server/logging?level=ERROR"),
        Bare("GET", "/server/logging")}) {
    const TestResponse response = Exchange(request);
    EXPECT_EQ(response.status, 200) << request;
    EXPECT_EQ(response.body, "{\n  \"status\": \"OK\"\n}\n") << request;
  }
  EXPECT_EQ(Get("/server/logging?level=loud").body,
            ErrorBody(400, "BadRequestException",
                      "level must be one of trace, debug, info, warn, error, off"));
}

TEST_F(DjlTest, WithoutModelsThePingIsAnEmptyObject) {
  Serve();
  const TestResponse response = Get("/ping");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "{}\n");
}

TEST_F(DjlContractTest, AnAnswerMayBeFetchedLater) {
  const TestResponse begun = Exchange(Post("/predictions/m", "x-synchronous: false\r\n"));
  EXPECT_EQ(begun.status, 200);
  EXPECT_EQ(begun.body, "");
  const std::string token(begun.Header("x-next-token"));
  EXPECT_EQ(begun.Header("X-Amzn-SageMaker-Custom-Attributes"), "x-next-token=" + token);
  TestResponse page;
  ASSERT_TRUE(WaitFor([&] {
    page = Exchange(Post("/predictions/m", fmt::format("x-starting-token: {}\r\n", token)));
    return page.status != 202;
  }));
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body, kAnswer);
}

TEST_F(DjlContractTest, PingTellsTheStateOfEveryModel) {
  EXPECT_EQ(Get("/ping").body,
            "{\n"
            "  \"broken\": {\n    \"status\": \"Healthy\"\n  },\n"
            "  \"full\": {\n    \"status\": \"Healthy\"\n  },\n"
            "  \"lacking\": {\n    \"status\": \"Unhealthy\"\n  },\n"
            "  \"m\": {\n    \"status\": \"Healthy\"\n  },\n"
            "  \"pending\": {\n    \"status\": \"PENDING\"\n  },\n"
            "  \"small\": {\n    \"status\": \"Healthy\"\n  },\n"
            "  \"stopped\": {\n    \"status\": \"Healthy\"\n  }\n"
            "}\n");
  for (const char* method : {"GET", "POST", "PUT"}) {
    EXPECT_EQ(
        Exchange(fmt::format("{} /ping HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", method))
            .status,
        200)
        << method;
  }
  models_.SetFailed("pending", "", Status(StatusCode::kCorrupt, "damaged"));
  const TestResponse response = Get("/ping");
  EXPECT_EQ(response.status, 500);
  EXPECT_NE(response.body.find("  \"pending\": {\n    \"status\": \"FAILED\"\n  }"),
            std::string::npos)
      << response.body;
}

using Params = sampling::SamplingParams;
using DjlParametersTest = DjlTest;

TEST_F(DjlParametersTest, EveryParameterHasItsDefaultAndReachesTheEngine) {
  Start();
  const auto sent = [&](std::string_view parameters) {
    const TestResponse response =
        Invoke(fmt::format(R"({{"inputs": "a", "parameters": {{{}}}}})", parameters));
    EXPECT_EQ(response.status, 200) << parameters << response.body;
    return engine_->last_request().params;
  };
  struct Row {
    const char* parameter;
    std::function<double(const Params&)> value;
    double by_default;
    double when_given;
  };
  for (const Row& row : std::vector<Row>{
           {R"("do_sample": true)", [](const Params& p) { return p.do_sample; }, 0, 1},
           {R"("temperature": 0.5)", [](const Params& p) { return p.do_sample; }, 0, 1},
           {R"("temperature": 0)", [](const Params& p) { return p.do_sample; }, 0, 0},
           {R"("temperature": 0.5)", [](const Params& p) { return p.temperature; }, 1, 0.5},
           {R"("repetition_penalty": 1.5)", [](const Params& p) { return p.repetition_penalty; }, 1,
            1.5},
           {R"("top_k": 3)", [](const Params& p) { return static_cast<double>(p.top_k); }, 0, 3},
           {R"("top_p": 0.5)", [](const Params& p) { return p.top_p; }, 1, 0.5},
           {R"("min_p": 0.25)", [](const Params& p) { return p.min_p; }, 0, 0.25},
           {R"("typical_p": 0.5)", [](const Params& p) { return p.typical_p; }, 1, 0.5},
           {R"("presence_penalty": 1)", [](const Params& p) { return p.presence_penalty; }, 0, 1},
           {R"("frequency_penalty": 1)", [](const Params& p) { return p.frequency_penalty; }, 0, 1},
           {R"("min_new_tokens": 7)",
            [](const Params& p) { return static_cast<double>(p.min_new_tokens); }, 0, 7},
           {R"("min_length": 7)",
            [](const Params& p) { return static_cast<double>(p.min_new_tokens); }, 0, 7},
           {R"("max_new_tokens": 7)",
            [](const Params& p) { return static_cast<double>(p.max_new_tokens); }, 30, 7},
           {R"("seed": 5, "do_sample": true)",
            [](const Params& p) { return static_cast<double>(p.seed.value_or(0)); }, 0, 5},
           {R"("n": 2)", [](const Params& p) { return static_cast<double>(p.n); }, 1, 2},
           {R"("best_of": 3)", [](const Params& p) { return static_cast<double>(p.n); }, 1, 3},
           {R"("stop_sequences": ["q"])",
            [](const Params& p) { return static_cast<double>(p.stop_strings.size()); }, 0, 1},
           {R"("stop_token_ids": [7, 8])",
            [](const Params& p) { return static_cast<double>(p.stop_token_ids.size()); }, 0, 2},
           {R"("ignore_eos_token": true)",
            [](const Params& p) { return static_cast<double>(p.ignore_eos); }, 0, 1},
           {R"("num_beams": 1, "length_penalty": 1, "early_stopping": false)",
            [](const Params& p) { return static_cast<double>(p.n); }, 1, 1},
       }) {
    EXPECT_EQ(row.value(sent("")), row.by_default) << row.parameter;
    EXPECT_EQ(row.value(sent(row.parameter)), row.when_given) << row.parameter;
  }
}

}  // namespace
}  // namespace dray::api
