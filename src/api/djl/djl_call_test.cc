// From JSON to a checked call: every parameter, and what is refused with which words.
#include "api/djl/djl_call.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "api/djl/djl_body.h"
#include "api/djl/djl_parameters.h"
#include "base/file.h"
#include "base/testing/source_dir.h"

namespace dray::api {
namespace {

GenerateCall Parse(std::string_view json) {
  auto call = CallReader(settings::AnswerShape::kTokens, Delivery::kWhole).ReadJson(json);
  EXPECT_TRUE(call.ok()) << call.status().message();
  return call.ok() ? *call : GenerateCall{};
}

GenerateCall With(std::string_view parameters) {
  return Parse(fmt::format(R"({{"inputs": "x", "parameters": {}}})", parameters));
}

std::string ErrorOf(std::string_view json) {
  const auto call = CallReader(settings::AnswerShape::kTokens, Delivery::kWhole).ReadJson(json);
  EXPECT_FALSE(call.ok()) << json;
  EXPECT_EQ(call.status().code(), StatusCode::kInvalidArgument);
  return call.status().message();
}

std::string ErrorWith(std::string_view parameters) {
  return ErrorOf(fmt::format(R"({{"inputs": "x", "parameters": {}}})", parameters));
}

TEST(DjlCallTest, DefaultsAreDjlServings) {
  const GenerateCall call = Parse(R"({"inputs": "Hello"})");
  EXPECT_EQ(call.inputs, std::vector<std::string>{"Hello"});
  EXPECT_EQ(call.shape, InputShape::kOne);
  EXPECT_FALSE(call.stream.has_value());
  const sampling::SamplingParams& params = call.request.params;
  EXPECT_FALSE(params.do_sample);
  EXPECT_FALSE(call.request.max_new_tokens.has_value());
  EXPECT_EQ(params.n, 1);
  EXPECT_EQ(params.num_logprobs, 0);
  EXPECT_FALSE(params.prompt_logprobs.has_value());
  EXPECT_FALSE(call.details.has_value());
}

TEST(DjlCallTest, ReadsEveryParameter) {
  const GenerateCall call = With(R"({"do_sample": true, "temperature": 0.7, "top_k": 5,
      "top_p": 0.9, "typical_p": 0.8, "min_p": 0.1, "repetition_penalty": 1.1,
      "presence_penalty": 0.2, "frequency_penalty": 0.3, "seed": 42, "max_new_tokens": 7,
      "min_new_tokens": 2, "max_length": 9, "truncate": 3, "stop_sequences": ["a", "b"], "stop": "c",
      "stop_token_ids": [1, 2], "include_stop_str_in_output": true, "bad_words": ["w"],
      "bad_sequences": ["v"], "ignore_eos_token": true, "best_of": 3, "n": 2, "details": true,
      "return_full_text": true, "decoder_input_details": true, "top_n_tokens": 4, "logprobs": 2,
      "skip_special_tokens": false, "output_formatter": "sse", "num_beams": 1, "length_penalty": 1.0,
      "early_stopping": false, "spaces_between_special_tokens": true})");
  const sampling::SamplingParams& params = call.request.params;
  EXPECT_TRUE(params.do_sample);
  EXPECT_EQ(params.temperature, 0.7);
  EXPECT_EQ(params.top_k, 5);
  EXPECT_EQ(params.top_p, 0.9);
  EXPECT_EQ(params.typical_p, 0.8);
  EXPECT_EQ(params.min_p, 0.1);
  EXPECT_EQ(params.repetition_penalty, 1.1);
  EXPECT_EQ(params.presence_penalty, 0.2);
  EXPECT_EQ(params.frequency_penalty, 0.3);
  EXPECT_EQ(params.seed, 42U);
  EXPECT_EQ(call.request.max_new_tokens, 7);
  EXPECT_EQ(params.min_new_tokens, 2);
  EXPECT_EQ(call.request.max_length, 9);
  EXPECT_EQ(call.request.truncate, 3);
  EXPECT_EQ(params.stop_strings, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(params.stop_token_ids, (std::vector<int32_t>{1, 2}));
  EXPECT_TRUE(params.include_stop_str_in_output);
  EXPECT_EQ(call.request.bad_words, (std::vector<std::string>{"w", "v"}));
  EXPECT_TRUE(params.ignore_eos);
  EXPECT_EQ(params.n, 3);
  EXPECT_EQ(call.num_returned, 2);
  EXPECT_EQ(call.details, true);
  EXPECT_TRUE(call.return_full_text);
  EXPECT_TRUE(call.decoder_input_details);
  EXPECT_EQ(params.prompt_logprobs, 0);
  EXPECT_EQ(params.num_logprobs, 4);
  EXPECT_EQ(call.request.special_tokens, serving::SpecialTokens::kKeep);
  EXPECT_EQ(call.output_format, settings::OutputFormat::kServerSentEvents);
}

TEST(DjlCallTest, SamplingIsDecidedAsDjlServingDoes) {
  EXPECT_FALSE(With("{}").request.params.do_sample);
  EXPECT_FALSE(With(R"({"top_p": 0.5, "top_k": 3})").request.params.do_sample);
  EXPECT_TRUE(With(R"({"temperature": 1.0})").request.params.do_sample);
  EXPECT_FALSE(With(R"({"temperature": 0})").request.params.do_sample);
  EXPECT_FALSE(With(R"({"temperature": 0.5, "do_sample": false})").request.params.do_sample);
  const GenerateCall sampled = With(R"({"do_sample": true})");
  EXPECT_TRUE(sampled.request.params.do_sample);
  EXPECT_EQ(sampled.request.params.temperature, 1.0);
}

TEST(DjlCallTest, NullsAndAliases) {
  EXPECT_TRUE(Parse(R"({"inputs": "x", "parameters": null, "stream": null})").inputs.size() == 1);
  EXPECT_FALSE(With(R"({"seed": null})").request.params.seed.has_value());
  EXPECT_EQ(With(R"({"manual_seed": 3})").request.params.seed, 3U);
  EXPECT_EQ(With(R"({"max_new_tokens": 5.0})").request.max_new_tokens, 5);
  EXPECT_EQ(With(R"({"top_k": 1, "top_k": 2})").request.params.top_k, 2);
  EXPECT_EQ(With(R"({"best_of": 2})").num_returned, 2);
  EXPECT_EQ(With(R"({"n": 2})").request.params.n, 2);
}

TEST(DjlCallTest, ListsOfInputs) {
  const GenerateCall call = Parse(R"({"inputs": ["a", "b"]})");
  EXPECT_EQ(call.shape, InputShape::kList);
  EXPECT_EQ(call.inputs.size(), 2U);
  const auto list = [](size_t size) {
    std::string json = R"({"inputs": ["x")";
    for (size_t i = 1; i < size; ++i) json += R"(,"x")";
    return json + "]}";
  };
  EXPECT_EQ(Parse(list(kMaxInputs)).inputs.size(), kMaxInputs);
  EXPECT_EQ(ErrorOf(list(kMaxInputs + 1)), "\"inputs\" has 65 entries; it must have 1 to 64");
  EXPECT_EQ(ErrorOf(R"({"inputs": []})"), "\"inputs\" has 0 entries; it must have 1 to 64");
}

TEST(DjlCallTest, RefusesWithTheFieldsName) {
  EXPECT_NE(ErrorOf("{").find("the request's body is not JSON"), std::string::npos);
  EXPECT_NE(ErrorOf(std::string(200, '[')).find("not JSON"), std::string::npos);
  EXPECT_EQ(ErrorOf("[]"),
            "the request's body must be a JSON object with the field \"inputs\", not array");
  EXPECT_EQ(ErrorOf("{}"), "the request has no \"inputs\"; send {\"inputs\": \"some text\"}");
  EXPECT_EQ(ErrorOf(R"({"inputs": ""})"), "\"inputs\" holds an empty string; send some text");
  EXPECT_EQ(ErrorOf(R"({"inputs": 5})"),
            "\"inputs\" must be a string or a list of strings, not number");
  EXPECT_EQ(ErrorOf(R"({"inputs": ["a", 1]})"), "\"inputs\" must hold strings, not number");
  EXPECT_EQ(ErrorOf(R"({"inputs": "x", "stream": "yes"})"),
            "\"stream\" must be true or false, not string");
  EXPECT_EQ(ErrorOf(R"({"inputs": "x", "parameters": []})"),
            "\"parameters\" must be an object, not array");
  EXPECT_EQ(ErrorOf(R"({"inputs": "x", "extra": 1})"),
            "field \"extra\" is not known; the fields are inputs, parameters, stream");
  EXPECT_NE(ErrorOf(R"({"messages": []})").find("not in this build yet"), std::string::npos);
  EXPECT_EQ(ErrorWith(R"({"max_new_token": 5})").substr(0, 70),
            "parameter \"max_new_token\" is not known; the parameters are do_sample, ");
  EXPECT_EQ(ErrorWith(R"({"max_new_tokens": 5.5})"),
            "parameter \"max_new_tokens\" must be a whole number, not 5.5");
  EXPECT_EQ(ErrorWith(R"({"max_new_tokens": "5"})"),
            "parameter \"max_new_tokens\" must be a whole number, not string");
  EXPECT_EQ(ErrorWith(R"({"do_sample": 1})"),
            "parameter \"do_sample\" must be true or false, not 1");
  EXPECT_EQ(ErrorWith(R"({"stop": [1]})"), "parameter \"stop\" must be a list of strings, not 1");
  EXPECT_EQ(ErrorWith(R"({"stop_token_ids": [-1]})"),
            "parameter \"stop_token_ids\" must be a list of token ids, not -1");
  EXPECT_EQ(ErrorWith(R"({"seed": -1})"), "parameter \"seed\" is -1; it must be at least 0");
  EXPECT_EQ(ErrorWith(R"({"n": 3, "best_of": 2})"),
            "parameter \"n\" is 3 and \"best_of\" is 2; n must be at least 1 and at most best_of");
  EXPECT_EQ(ErrorWith(R"({"early_stopping": "soon"})"),
            "parameter \"early_stopping\" must be true, false or \"never\", not string");
  EXPECT_EQ(ErrorWith(R"({"forced_eos_token_id": [2]})"),
            "parameter \"forced_eos_token_id\" must be a token id, not array");
  EXPECT_EQ(
      ErrorWith(R"({"num_beams": 4, "best_of": 3})"),
      "parameter \"best_of\" is 3 and \"num_beams\" is 4; beam search finds as many sequences as "
      "it has beams: leave out best_of");
  EXPECT_NE(ErrorWith(R"({"top_n_tokens": -1})").find("at least 0"), std::string::npos);
  EXPECT_NE(ErrorWith(R"({"output_formatter": "4p"})").find("one of json, jsonlines, sse, 3p"),
            std::string::npos);
}

TEST(DjlCallTest, ReadsTheParametersOfBeamSearch) {
  const GenerateCall call =
      With(R"({"num_beams": 4, "num_return_sequences": 3, "length_penalty": -0.5,
      "early_stopping": "never", "no_repeat_ngram_size": 3, "suppress_tokens": [5, 6],
      "begin_suppress_tokens": 7, "forced_bos_token_id": 8, "forced_eos_token_id": 9})");
  const sampling::SamplingParams& params = call.request.params;
  EXPECT_EQ(params.num_beams, 4);
  EXPECT_EQ(params.n, 3);
  EXPECT_EQ(call.num_returned, 3);
  EXPECT_FALSE(params.do_sample);
  EXPECT_EQ(params.length_penalty, -0.5);
  EXPECT_EQ(params.early_stopping, sampling::EarlyStopping::kNever);
  EXPECT_EQ(params.no_repeat_ngram_size, 3);
  EXPECT_EQ(params.suppress_tokens, (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(params.begin_suppress_tokens, (std::vector<int32_t>{7}));
  EXPECT_EQ(params.forced_bos_token_id, 8);
  EXPECT_EQ(params.forced_eos_token_id, 9);
  const sampling::SamplingParams groups =
      With(R"({"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5})").request.params;
  EXPECT_EQ(groups.num_beam_groups, 2);
  EXPECT_EQ(groups.diversity_penalty, 0.5);
  EXPECT_TRUE(sampling::UsesContrastiveSearch(
      With(R"({"penalty_alpha": 0.6, "top_k": 4})").request.params));
  EXPECT_EQ(With(R"({"early_stopping": true})").request.params.early_stopping,
            sampling::EarlyStopping::kYes);
  // Beam search returns one sequence unless more are asked for.
  EXPECT_EQ(With(R"({"num_beams": 4, "best_of": 4})").request.params.n, 1);
}

TEST(DjlCallTest, PlainTextIsAListOfOne) {
  const auto call = MakeDjlTextCall("hello", settings::AnswerShape::kTokens);
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(call->shape, InputShape::kList);
  EXPECT_EQ(call->request.params.num_logprobs, 0);
  EXPECT_FALSE(call->request.params.do_sample);
  EXPECT_FALSE(MakeDjlTextCall("", settings::AnswerShape::kTokens).ok());
  // The asynchronous handlers sample unless they are told not to.
  EXPECT_TRUE(MakeDjlTextCall("hello", settings::AnswerShape::kAsync)->request.params.do_sample);
}

// A request with a member of `name` that many times.
std::string Repeated(std::string_view name, std::string_view value, int count) {
  std::string parameters = "{";
  for (int i = 0; i < count; ++i) {
    parameters += fmt::format("{}\"{}\":{}", i == 0 ? "" : ",", name, value);
  }
  return fmt::format(R"({{"inputs": "x", "parameters": {}}}}})", parameters);
}

TEST(DjlCallTest, ManyMembersAreReadInOnePass) {
  // The body, "inputs" and "parameters" are three values more.
  constexpr int kMembers = static_cast<int>(kMaxJsonValues) - 3;
  EXPECT_EQ(Parse(Repeated("seed", "1", kMembers)).request.params.seed, 1U);
  EXPECT_EQ(Parse(Repeated("top_k", "7", kMembers)).request.params.top_k, 7);
  EXPECT_NE(ErrorOf(Repeated("seed", "1", kMembers + 1)).find("more than 8192 JSON values"),
            std::string::npos);
  // The last one counts, whatever those before it are.
  EXPECT_EQ(With(R"({"top_k": "x", "top_k": 2})").request.params.top_k, 2);
  EXPECT_FALSE(With(R"({"seed": 3, "seed": null})").request.params.seed.has_value());
}

TEST(DjlCallTest, ABodyOfTooManyValuesIsRefused) {
  std::string zeros = "[0";
  for (size_t i = 1; i < kMaxJsonValues; ++i) zeros += ",0";
  const std::string error =
      ErrorOf(fmt::format(R"({{"inputs": "x", "parameters": {{"stop": {}]}}}})", zeros));
  EXPECT_NE(error.find("the request's body is too large"), std::string::npos) << error;
}

TEST(DjlCallTest, HugeNumbersAreTakenForWhatTheyAre) {
  // Nothing is sized by them before they are checked.
  for (const char* number : {"10000000", "2147483647", "9223372036854775807"}) {
    EXPECT_GE(With(fmt::format(R"({{"n": {}}})", number)).request.params.n, 10'000'000);
    EXPECT_GE(With(fmt::format(R"({{"best_of": {}}})", number)).num_returned, 10'000'000);
    EXPECT_GE(With(fmt::format(R"({{"top_n_tokens": {}}})", number)).top_n_tokens, 10'000'000);
  }
  EXPECT_NE(ErrorWith(R"({"n": 1e300})").find("whole number"), std::string::npos);
}

// A row for each parameter, its other spellings in brackets.
std::string DocumentationTable(std::span<const ParameterSpelling> spellings) {
  std::string table = "| parameter | values | default | meaning |\n| --- | --- | --- | --- |\n";
  for (size_t i = 0; i < spellings.size(); ++i) {
    const auto& [spelling, name, default_text] = spellings[i];
    if (i > 0 && spellings[i - 1].name == name) continue;
    std::string names = fmt::format("`{}`", spelling);
    for (size_t j = i + 1; j < spellings.size() && spellings[j].name == name; ++j) {
      names += fmt::format(" (`{}`)", spellings[j].spelling);
    }
    const Parameter& parameter = FindParameter(name);
    table += fmt::format("| {} | {} | {} | {} |\n", names, parameter.values, default_text,
                         parameter.meaning);
  }
  return table;
}

void ExpectInPage(std::string_view name, const std::string& table) {
  const auto page = ReadFile(SourceDir() / "docs" / name, 1 << 20);
  ASSERT_TRUE(page.ok()) << page.status().message();
  EXPECT_NE(page->find("\n" + table + "\n"), std::string::npos)
      << "docs/" << name << " lacks this table; put it there:\n"
      << table;
}

TEST(DjlCallTest, TheDocumentationHasEveryParameterAsItIs) {
  ExpectInPage("http-api.md", DocumentationTable(DjlParameters()));
  ExpectInPage("answer-shapes.md", DocumentationTable(TransformersParameters()));
}

TEST(DjlCallTest, EveryParameterOfTheTableHasASpelling) {
  for (const Parameter& parameter : ParameterTable()) {
    const auto spells_it = [&](std::span<const ParameterSpelling> spellings) {
      return std::any_of(spellings.begin(), spellings.end(),
                         [&](const auto& spelling) { return spelling.name == parameter.name; });
    };
    EXPECT_TRUE(spells_it(DjlParameters()) || spells_it(TransformersParameters()))
        << parameter.name;
  }
}

}  // namespace
}  // namespace dray::api
