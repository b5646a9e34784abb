// Encoder-decoders over HTTP: a text-to-text model answers as a decoder does.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "api/djl/djl.h"
#include "base/file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "http/server.h"
#include "http/testing/test_client.h"
#include "serving/load/open_model.h"
#include "testing/golden_encoder_decoder.h"

namespace dray::api {
namespace {

using testing::GoldenSource;

class EncoderDecoderHttpTest : public ::testing::Test {
 protected:
  void SetUp() override { golden_ = testing::ReadGoldenEncoderDecoder("text"); }

  Result<std::shared_ptr<serving::ServedModel>> Open(settings::ModelSettings settings) const {
    settings.model_name = "t5";
    return serving::OpenModel(settings,
                              {.model = golden_.dir, .tokenizer = golden_.dir, .draft = {}});
  }

  void Serve(const settings::ModelSettings& settings = {}) {
    auto model = Open(settings);
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    ASSERT_TRUE(models_.AddPending("t5", "", serving::ModelOrigin::kStartUp).ok());
    models_.SetReady(*model);
    RegisterDjlRoutes(router_, models_, tasks_, {});
    auto server = http::Server::Start({}, {{.port = 0, .router = std::move(router_)}});
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(server).value();
  }
  http::TestResponse Post(const Json& body) {
    http::TestClient client(server_->port());
    client.Send(
        http::PostRequest("/invocations", body.Dump(), "Content-Type: application/json\r\n"));
    return client.Receive();
  }
  Json Answer(const Json& body) {
    const http::TestResponse response = Post(body);
    EXPECT_EQ(response.status, 200) << response.body;
    auto json = Json::Parse(response.body);
    EXPECT_TRUE(json.ok()) << response.body;
    return json.ok() ? *json : Json();
  }
  // As many tokens as transformers generated, whatever they are.
  static Json Greedy(const Json& inputs) {
    return Json::MakeObject(
        {{"inputs", inputs},
         {"parameters", Json::MakeObject({{"max_new_tokens", 40}, {"ignore_eos_token", true}})}});
  }
  static std::string TextOf(const Json& answer) {
    const Json* text = answer.Find("generated_text");
    EXPECT_NE(text, nullptr) << answer.Dump();
    return text == nullptr ? "" : *text->AsString();
  }

  // The text of the golden source with these tokens.
  std::string TextOfSource(const Json& ids) const {
    const auto found =
        std::find_if(golden_.sources.begin(), golden_.sources.end(), [&](const GoldenSource& one) {
          Json list = Json::MakeArray();
          for (const int32_t id : one.ids) list.Append(id);
          return list == ids;
        });
    EXPECT_NE(found, golden_.sources.end()) << ids.Dump();
    return found == golden_.sources.end() ? "" : found->text;
  }
  // Whether `details` of a sequence have these tokens and, unless it is null, this score.
  static void ExpectSequence(const Json& details, const Json& ids, const Json* score) {
    Json tokens = Json::MakeArray();
    for (const Json& token : *details.Find("tokens")->AsArray()) tokens.Append(*token.Find("id"));
    EXPECT_EQ(tokens, ids) << details.Dump();
    const Json* const got = details.Find("sequence_score");
    ASSERT_EQ(got != nullptr, score != nullptr) << details.Dump();
    if (score == nullptr) return;
    EXPECT_NEAR(*got->AsDouble(), *score->AsDouble(), 1e-4);
  }
  // Asks for what transformers was asked for in a case of tests/golden/beams/, and compares.
  void ExpectSearch(const Json& golden) {
    Json parameters = Json::MakeObject({{"details", true},
                                        {"ignore_eos_token", true},
                                        {"stop_token_ids", *golden.Find("ends")},
                                        {"do_sample", false}});
    for (const auto& [name, value] : *golden.AsObject()) {
      const bool is_parameter =
          name != "prompt" && name != "ends" && name != "sequences" && name != "scores";
      if (is_parameter) parameters.Set(name, value);
    }
    const Json answer = Answer(Json::MakeObject(
        {{"inputs", TextOfSource(*golden.Find("prompt"))}, {"parameters", parameters}}));
    const Json& details = *answer.Find("details");
    const Json::Array& sequences = *golden.Find("sequences")->AsArray();
    const Json::Array& scores = *golden.Find("scores")->AsArray();
    const auto score = [&](size_t i) { return scores.empty() ? nullptr : &scores[i]; };
    ExpectSequence(details, sequences.front(), score(0));
    if (sequences.size() == 1) return;
    const Json::Array& others = *details.Find("best_of_sequences")->AsArray();
    ASSERT_EQ(others.size() + 1, sequences.size()) << details.Dump();
    for (size_t i = 1; i < sequences.size(); ++i) {
      ExpectSequence(others[i - 1], sequences[i], score(i));
    }
  }

  testing::GoldenEncoderDecoder golden_;
  serving::ModelRepository models_;
  TaskQueue tasks_{2};
  http::Router router_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(EncoderDecoderHttpTest, TextsAreAnsweredAsByTransformers) {
  settings::ModelSettings settings;
  settings.task = settings::Task::kTextToText;
  Serve(settings);
  for (const GoldenSource& source : golden_.sources) {
    EXPECT_EQ(TextOf(Answer(Greedy(source.text))), source.answer) << source.text;
  }
}

TEST_F(EncoderDecoderHttpTest, ABatchOfTextsHasAnAnswerEach) {
  Serve();
  Json inputs = Json::MakeArray();
  for (const GoldenSource& source : golden_.sources) inputs.Append(source.text);
  const Json answers = Answer(Greedy(inputs));
  ASSERT_NE(answers.AsArray(), nullptr) << answers.Dump();
  ASSERT_EQ(answers.AsArray()->size(), golden_.sources.size());
  for (size_t i = 0; i < golden_.sources.size(); ++i) {
    EXPECT_EQ(TextOf((*answers.AsArray())[i]), golden_.sources[i].answer);
  }
}

// An answer does not continue its text, so it never comes with it, and lengths count the answer alone.
TEST_F(EncoderDecoderHttpTest, TheAnswerIsATextOfItsOwn) {
  Serve();
  const GoldenSource& source = golden_.sources[0];
  Json body = Greedy(source.text);
  Json parameters = *body.Find("parameters");
  parameters.Set("return_full_text", true);
  body.Set("parameters", parameters);
  EXPECT_EQ(TextOf(Answer(body)), source.answer);
  body.Set("parameters",
           Json::MakeObject({{"max_length", 6}, {"details", true}, {"ignore_eos_token", true}}));
  const Json answer = Answer(body);
  EXPECT_EQ(*answer.Find("details")->Find("generated_tokens"), Json(5)) << answer.Dump();
}

TEST_F(EncoderDecoderHttpTest, SearchesAnswerAsTransformers) {
  Serve();
  for (const char* name : {"models.json", "group_models.json", "contrastive_models.json"}) {
    const auto path = SourceDir() / "tests/golden/beams" / name;
    const Json goldens = *Json::Parse(*ReadFile(path, 1 << 24));
    const Json* const cases = goldens.Find("text");
    ASSERT_NE(cases, nullptr) << name;
    for (const Json& golden : *cases->AsArray()) {
      SCOPED_TRACE(golden.Dump());
      ExpectSearch(golden);
    }
  }
}

TEST_F(EncoderDecoderHttpTest, Refusals) {
  Serve();
  const http::TestResponse no_room = Post(
      Json::MakeObject({{"inputs", "a"}, {"parameters", Json::MakeObject({{"max_length", 1}})}}));
  EXPECT_NE(no_room.status, 200);
  EXPECT_NE(
      no_room.body.find("it counts the token that this model begins an answer with, so it must "
                        "be 2 or more"),
      std::string::npos)
      << no_room.body;
  const http::TestResponse scored = Post(Json::MakeObject(
      {{"inputs", "a"},
       {"parameters", Json::MakeObject({{"details", true}, {"decoder_input_details", true}})}}));
  EXPECT_NE(scored.status, 200);
  EXPECT_NE(scored.body.find("no log-probabilities"), std::string::npos) << scored.body;
  const http::TestResponse long_text =
      Post(Json::MakeObject({{"inputs", std::string(100'000, 'a')}}));
  EXPECT_NE(long_text.status, 200);
  for (const auto task : {settings::Task::kTextEmbedding, settings::Task::kTextClassification}) {
    settings::ModelSettings settings;
    settings.task = task;
    const auto model = Open(settings);
    ASSERT_FALSE(model.ok());
    EXPECT_NE(model.status().message().find("option.task does not fit the model"),
              std::string::npos)
        << model.status().message();
  }
}

}  // namespace
}  // namespace dray::api
