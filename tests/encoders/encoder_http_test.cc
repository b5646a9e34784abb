// Encoders over HTTP: the requests and answers of OpenAI, of DJLServing and of Text Embeddings Inference,
// and what each refuses.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "api/djl/djl.h"
#include "api/openai/embeddings.h"
#include "api/tei/tei.h"
#include "http/server.h"
#include "http/testing/test_client.h"
#include "testing/sentence_golden.h"

namespace dray::api {
namespace {

using testing::OpenSentenceModel;
using testing::ReadSentenceGolden;

class EncoderHttpTest : public ::testing::Test {
 protected:
  void Add(const std::string& name, const settings::ModelSettings& of_model = {}) {
    settings::ModelSettings settings = of_model;
    settings.model_name = name;
    const auto model = OpenSentenceModel(name, settings);
    ASSERT_NE(model, nullptr);
    ASSERT_TRUE(models_.AddPending(name, "", serving::ModelOrigin::kStartUp).ok());
    models_.SetReady(model);
  }
  void Serve() {
    RegisterDjlRoutes(router_, models_, tasks_, {});
    RegisterEmbeddingsRoute(router_, models_, tasks_);
    RegisterTeiRoutes(router_, models_, tasks_);
    auto server = http::Server::Start({}, {{.port = 0, .router = std::move(router_)}});
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(server).value();
  }
  http::TestResponse Post(std::string_view path, std::string_view body,
                          std::string_view type = "application/json") {
    http::TestClient client(server_->port());
    client.Send(http::PostRequest(path, body, fmt::format("Content-Type: {}\r\n", type)));
    return client.Receive();
  }
  // The answer's JSON; the status must be 200.
  Json Answer(std::string_view path, std::string_view body,
              std::string_view type = "application/json") {
    const http::TestResponse response = Post(path, body, type);
    EXPECT_EQ(response.status, 200) << response.body;
    auto json = Json::Parse(response.body);
    EXPECT_TRUE(json.ok()) << response.body;
    return json.ok() ? *json : Json();
  }
  void ExpectRefused(std::string_view path, std::string_view body, int status,
                     std::string_view part) {
    const http::TestResponse response = Post(path, body);
    EXPECT_EQ(response.status, status) << path << " " << body << ": " << response.body;
    EXPECT_NE(response.body.find(part), std::string::npos) << response.body;
  }

  serving::ModelRepository models_;
  TaskQueue tasks_{2};
  http::Router router_;
  std::unique_ptr<http::Server> server_;
};

void ExpectVector(const Json& json, const std::vector<float>& expected) {
  const Json::Array* list = json.AsArray();
  ASSERT_NE(list, nullptr) << json.Dump();
  ASSERT_EQ(list->size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(*(*list)[i].AsDouble(), expected[i], 1e-5);
  }
}

TEST_F(EncoderHttpTest, OpenAiEmbeddings) {
  Add("mean");
  Serve();
  const auto golden = ReadSentenceGolden("mean");
  Json answer =
      Answer("/v1/embeddings", R"({"model": "mean", "input": ["the cat sat on the mat", "word"]})");
  EXPECT_EQ(*answer.Find("object"), Json("list"));
  EXPECT_EQ(*answer.Find("model"), Json("mean"));
  const Json::Array& data = *answer.Find("data")->AsArray();
  ASSERT_EQ(data.size(), 2u);
  EXPECT_EQ(*data[1].Find("index"), Json(1));
  EXPECT_EQ(*data[1].Find("object"), Json("embedding"));
  ExpectVector(*data[0].Find("embedding"), golden.numbers[0]);
  ExpectVector(*data[1].Find("embedding"), golden.numbers[6]);
  const int64_t tokens = *answer.Find("usage")->Find("prompt_tokens")->AsInt64();
  EXPECT_GT(tokens, 4);
  EXPECT_EQ(answer.Find("usage")->Find("total_tokens")->AsInt64(), tokens);
  // The only model need not be named; "dimensions" may say what there is.
  answer = Answer("/v1/embeddings",
                  R"({"input": "word", "encoding_format": "base64", "dimensions": 24})");
  const std::string text = *(*answer.Find("data")->AsArray())[0].Find("embedding")->AsString();
  EXPECT_EQ(text.size(), 24u * 4 / 3 * 4);
}

TEST_F(EncoderHttpTest, OpenAiTokens) {
  Add("mean");
  Serve();
  const Json one = Answer("/v1/embeddings", R"({"input": [5, 6, 7]})");
  EXPECT_EQ(one.Find("data")->AsArray()->size(), 1u);
  EXPECT_EQ(*one.Find("usage")->Find("prompt_tokens"), Json(3));
  const Json two = Answer("/v1/embeddings", R"({"input": [[5, 6, 7], [8]]})");
  EXPECT_EQ(two.Find("data")->AsArray()->size(), 2u);
  EXPECT_EQ((*two.Find("data")->AsArray())[0].Find("embedding")->Dump(),
            (*one.Find("data")->AsArray())[0].Find("embedding")->Dump());
}

TEST_F(EncoderHttpTest, OpenAiRefusals) {
  Add("mean");
  Add("ranker");
  Serve();
  const auto refused = [&](std::string_view body, int status, std::string_view part) {
    ExpectRefused("/v1/embeddings", body, status, part);
  };
  refused("", 400, "has no body");
  refused("[", 400, "invalid_request_error");
  refused("[]", 400, "JSON object");
  refused(R"({"model": "mean"})", 400, "\\\"input\\\" is missing");
  refused(R"({"input": "a"})", 400, "model");
  refused(R"({"model": "none", "input": "a"})", 404, "model_not_found");
  refused(R"({"model": "mean", "input": ""})", 400, "must not be empty");
  refused(R"({"model": "mean", "input": []})", 400, "has 0 texts");
  refused(R"({"model": "mean", "input": [""]})", 400, "must not be empty");
  refused(R"({"model": "mean", "input": [1, "a"]})", 400, "token id");
  refused(R"({"model": "mean", "input": [[]]})", 400, "no tokens");
  refused(R"({"model": "mean", "input": [[1], "a"]})", 400, "lists of token ids");
  refused(R"({"model": "mean", "input": [99999999]})", 400, "vocabulary");
  refused(R"({"model": "mean", "input": {"a": 1}})", 400, "a string or a list");
  refused(R"({"model": "mean", "input": "a", "encoding_format": "hex"})", 400, "encoding_format");
  refused(R"({"model": "mean", "input": "a", "dimensions": 8})", 400, "have 24 numbers");
  refused(R"({"model": "mean", "input": "a", "dimensions": "8"})", 400, "dimensions");
  std::string text;
  for (int i = 0; i < 50; ++i) text += "cat ";
  refused(fmt::format(R"({{"model": "mean", "input": "{}"}})", text), 400,
          "context_length_exceeded");
}

TEST_F(EncoderHttpTest, DjlVectors) {
  Add("mean");
  Serve();
  const auto golden = ReadSentenceGolden("mean");
  ExpectVector(Answer("/invocations", R"({"inputs": "word"})"), golden.numbers[6]);
  ExpectVector(Answer("/predictions/mean", "word", "text/plain"), golden.numbers[6]);
  const Json list = Answer("/predictions/mean", R"({"inputs": ["word", ""]})");
  ASSERT_EQ(list.AsArray()->size(), 2u);
  ExpectVector((*list.AsArray())[1], golden.numbers[2]);
  // Texts are cut as sentence-transformers cuts them, unless the request says otherwise.
  std::string text;
  for (int i = 0; i < 60; ++i) text += "one ";
  ExpectVector(Answer("/invocations", fmt::format(R"({{"inputs": "{}"}})", text)),
               golden.numbers[5]);
  ExpectRefused("/invocations",
                fmt::format(R"({{"inputs": "{}", "parameters": {{"truncation": false}}}})", text),
                400, "takes at most 20");
  ExpectRefused("/invocations", R"({"inputs": 5})", 400, "must be a string");
  ExpectRefused("/invocations", R"({"inputs": []})", 400, "has 0 texts");
  ExpectRefused("/invocations", R"({"parameters": {}})", 400, "missing");
  ExpectRefused("/invocations", R"({"inputs": "a", "parameters": {"max_new_tokens": 3}})", 400,
                "max_new_tokens");
}

TEST_F(EncoderHttpTest, DjlClasses) {
  Add("classes");
  Serve();
  const Json one = Answer("/invocations", R"({"inputs": "a cat"})");
  ASSERT_EQ(one.AsArray()->size(), 1u);
  EXPECT_TRUE((*one.AsArray())[0].Find("label")->is_string());
  const Json many =
      Answer("/invocations", R"({"inputs": ["a cat", {"text": "a", "text_pair": "b"}]})");
  ASSERT_EQ(many.AsArray()->size(), 2u);
  EXPECT_EQ((*many.AsArray())[0], (*one.AsArray())[0]);
  const Json all = Answer("/invocations", R"({"inputs": "a cat", "parameters": {"top_k": null}})");
  ASSERT_EQ(all.AsArray()->size(), 3u);
  double sum = 0;
  for (const Json& label : *all.AsArray()) sum += *label.Find("score")->AsDouble();
  EXPECT_NEAR(sum, 1, 1e-5);
  EXPECT_EQ((*all.AsArray())[0], (*one.AsArray())[0]);
  const Json two = Answer("/invocations", R"({"inputs": ["a cat"], "parameters": {"top_k": 2}})");
  ASSERT_EQ(two.AsArray()->size(), 1u);
  EXPECT_EQ((*two.AsArray())[0].AsArray()->size(), 2u);
  ExpectRefused("/invocations", R"({"inputs": "a", "parameters": {"top_k": 0}})", 400, "top_k");
  ExpectRefused("/invocations", R"({"inputs": "a", "parameters": {"function_to_apply": "relu"}})",
                400, "function_to_apply");
}

TEST_F(EncoderHttpTest, DjlTokenStates) {
  settings::ModelSettings settings;
  settings.task = settings::Task::kFeatureExtraction;
  Add("mean", settings);
  Serve();
  const Json one = Answer("/invocations", R"({"inputs": "word"})");
  ASSERT_EQ(one.AsArray()->size(), 1u);
  const Json::Array& tokens = *(*one.AsArray())[0].AsArray();
  EXPECT_GE(tokens.size(), 3u);
  EXPECT_EQ(tokens[0].AsArray()->size(), 24u);
  const Json two = Answer("/invocations", R"({"inputs": ["word", "a"]})");
  EXPECT_EQ((*two.AsArray())[0].Dump(), one.Dump());
}

TEST_F(EncoderHttpTest, TeiEmbed) {
  Add("mean");
  Serve();
  const auto golden = ReadSentenceGolden("mean");
  const Json one = Answer("/embed", R"({"inputs": "word"})");
  ASSERT_EQ(one.AsArray()->size(), 1u);
  ExpectVector((*one.AsArray())[0], golden.numbers[6]);
  EXPECT_EQ(Answer("/embed", R"({"inputs": ["word", "a"], "normalize": false})").AsArray()->size(),
            2u);
  std::string text;
  for (int i = 0; i < 60; ++i) text += "one ";
  ExpectRefused("/embed", fmt::format(R"({{"inputs": "{}"}})", text), 422, "takes at most 20");
  const Json cut = Answer("/embed", fmt::format(R"({{"inputs": "{}", "truncate": true}})", text));
  ExpectVector((*cut.AsArray())[0], golden.numbers[5]);
  ExpectRefused("/embed", R"({"inputs": ""})", 422, "must not be empty");
  ExpectRefused("/embed", R"({"inputs": "a", "truncate": 1})", 422, "validation");
  ExpectRefused("/embed", R"({"inputs": "a", "truncate": true, "truncation_direction": "Left"})",
                422, "truncation_direction");
  ExpectRefused("/predict", R"({"inputs": "a"})", 424, "no classes");
  ExpectRefused("/rerank", R"({"query": "a", "texts": ["b"]})", 424, "not a re-ranker");
}

TEST_F(EncoderHttpTest, TeiPredict) {
  Add("classes");
  Serve();
  const Json one = Answer("/predict", R"({"inputs": "a cat"})");
  ASSERT_EQ(one.AsArray()->size(), 3u);
  EXPECT_GE(*(*one.AsArray())[0].Find("score")->AsDouble(),
            *(*one.AsArray())[1].Find("score")->AsDouble());
  EXPECT_EQ(Answer("/predict", R"({"inputs": ["a", "b"]})").AsArray()->size(), 3u) << "a pair";
  const Json batch =
      Answer("/predict", R"({"inputs": [["a cat"], ["a", "b"]], "raw_scores": true})");
  ASSERT_EQ(batch.AsArray()->size(), 2u);
  EXPECT_EQ((*batch.AsArray())[0].AsArray()->size(), 3u);
  ExpectRefused("/predict", R"({"inputs": [["a", "b", "c"]]})", 422, "inputs");
}

TEST_F(EncoderHttpTest, TeiRerank) {
  Add("ranker");
  Serve();
  const auto golden = ReadSentenceGolden("ranker");
  const Json ranks =
      Answer("/rerank",
             R"({"query": "what is a cat", "texts": ["the cat is an animal", "it rains"],
          "raw_scores": true, "return_text": true})");
  ASSERT_EQ(ranks.AsArray()->size(), 2u);
  const bool first_is_best = golden.numbers[0][0] >= golden.numbers[1][0];
  const Json& best = (*ranks.AsArray())[0];
  EXPECT_EQ(*best.Find("index"), Json(first_is_best ? 0 : 1));
  EXPECT_EQ(*best.Find("text"), Json(first_is_best ? "the cat is an animal" : "it rains"));
  EXPECT_NEAR(*best.Find("score")->AsDouble(), std::max(golden.numbers[0][0], golden.numbers[1][0]),
              1e-5);
  const Json scores = Answer("/rerank", R"({"query": "q", "texts": ["a"]})");
  const double score = *(*scores.AsArray())[0].Find("score")->AsDouble();
  EXPECT_TRUE(score > 0 && score < 1);
  EXPECT_EQ((*scores.AsArray())[0].Find("text"), nullptr);
  ExpectRefused("/rerank", R"({"query": "q", "texts": "a"})", 422, "texts");
  ExpectRefused("/rerank", R"({"texts": ["a"]})", 422, "query");
}

TEST_F(EncoderHttpTest, ADecoderMakesNoVectors) {
  const auto demo = SourceDir() / "models/demo";
  settings::ModelSettings settings;
  settings.model_name = "demo";
  auto model = serving::OpenModel(settings, {.model = demo, .tokenizer = demo, .draft = {}});
  ASSERT_TRUE(model.ok());
  ASSERT_TRUE(models_.AddPending("demo", "", serving::ModelOrigin::kStartUp).ok());
  models_.SetReady(*model);
  Serve();
  ExpectRefused("/v1/embeddings", R"({"input": "a"})", 400, "is a decoder");
  ExpectRefused("/embed", R"({"inputs": "a"})", 424, "is a decoder");
  ExpectRefused("/rerank", R"({"query": "q", "texts": ["a"]})", 424, "is a decoder");
}

}  // namespace
}  // namespace dray::api
