// CSV bodies and answers, from a whole server.
#include "api/djl/djl_csv.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "api/testing/djl_fixture.h"

namespace dray::api {
namespace {

using http::PostRequest;
using http::TestResponse;
using settings::AnswerShape;

TEST(CsvBodyTest, HasAnInputInEachRow) {
  for (const auto& [csv, body] : std::vector<std::pair<std::string, std::string>>{
           {"inputs\nabc\n", R"({"inputs":["abc"]})"},
           {"inputs\nabc", R"({"inputs":["abc"]})"},
           {"inputs\r\nabc\r\n\r\ndef\r\n", R"({"inputs":["abc","def"]})"},
           {"inputs\rabc\rdef\r", R"({"inputs":["abc","def"]})"},
           {"id,inputs,more\n1,abc,x\n2,def,\n", R"({"inputs":["abc","def"]})"},
           {"\"inputs\"\n\"a, \"\"b\"\"\r\nc\"\n", R"({"inputs":["a, \"b\"\r\nc"]})"},
           {"inputs,inputs\na,b\n", R"({"inputs":["a"]})"},
           {"inputs,x\n\"a\"b,c\n", R"({"inputs":["ab"]})"},
           {"x,inputs\n1,\n", R"({"inputs":[""]})"},
           {"inputs\n", R"({"inputs":[]})"},
       }) {
    const auto read = ReadCsvBody(csv);
    ASSERT_TRUE(read.ok()) << csv << read.status().message();
    EXPECT_EQ(read->Dump(), body) << csv;
  }
}

TEST(CsvBodyTest, WhatIsWrongIsNamed) {
  const std::string no_column = "the first row of a CSV body must name a column \"inputs\"";
  std::string many = "inputs\n";
  for (int i = 0; i < 65; ++i) many += "a\n";
  for (const auto& [csv, message] : std::vector<std::pair<std::string, std::string>>{
           {"", no_column},
           {"\n", no_column},
           {"abc\ndef\n", no_column},
           {"question,context\na,b\n", no_column},
           {"x,inputs\n1,a\n2\n", "row 2 of the CSV body ends before the column \"inputs\""},
           {"inputs\n\"abc", "a quoted cell of the CSV body does not end with a quotation mark"},
           {"\"inputs\n", "a quoted cell of the CSV body does not end with a quotation mark"},
           {many, "the CSV body has more than 64 rows below the names of its columns"},
       }) {
    EXPECT_EQ(ReadCsvBody(csv).status().message(), message) << csv;
  }
}

class DjlCsvTest : public DjlTest {
 protected:
  // The engine answers a prompt with its bytes.
  void StartWith(AnswerShape shape) {
    serving::ModelOptions options;
    options.answer_shape = shape;
    Start({}, options);
  }
  TestResponse Send(std::string_view body, std::string_view headers) {
    return Exchange(PostRequest("/invocations", body, headers));
  }
};

TEST_F(DjlCsvTest, IsAnsweredByAListOfJson) {
  StartWith(AnswerShape::kTokens);
  const TestResponse response = Send("inputs\nabc\n\"d,e\"\n", "Content-Type: text/csv\r\n");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("Content-Type"), "application/json");
  EXPECT_EQ(response.body, R"([{"generated_text":"abc"},{"generated_text":"d,e"}])");
  EXPECT_EQ(Send("text\nabc\n", "Content-Type: text/csv; charset=utf-8\r\n").body,
            ErrorBody(400, "BadRequestException",
                      "the first row of a CSV body must name a column \"inputs\""));
}

TEST_F(DjlCsvTest, IsAnsweredByCsvIfTheClientTakesNothingElse) {
  StartWith(AnswerShape::kTokens);
  const TestResponse response =
      Send(R"({"inputs": ["a", "b,\"c\"", "d\ne"]})", "Accept: text/csv\r\n");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("Content-Type"), "text/csv");
  EXPECT_EQ(response.body, "generated_text\r\na\r\n\"b,\"\"c\"\"\"\r\n\"d\ne\"\r\n");
  EXPECT_EQ(Send("inputs\nabc\n", "Content-Type: text/csv\r\nAccept: text/csv;q=0.9\r\n").body,
            "generated_text\r\nabc\r\n");
  // An answer without text is a row, too.
  EXPECT_EQ(Send(R"({"inputs": "ab", "parameters": {"stop": "a"}})", "Accept: text/csv\r\n").body,
            "generated_text\r\n\"\"\r\n");
  for (const char* accept : {"Accept: text/csv, application/json\r\n", "Accept: */*\r\n",
                             "Accept: text/csv, */*;q=0.1\r\n", "Accept: tensor/npz\r\n"}) {
    EXPECT_EQ(Send(R"({"inputs": "a"})", accept).body, R"({"generated_text":"a"})") << accept;
  }
  // What the request says about its answer goes first.
  EXPECT_EQ(
      Send(R"({"inputs": "a", "parameters": {"output_formatter": "json"}})", "Accept: text/csv\r\n")
          .Header("Content-Type"),
      "application/json");
  EXPECT_EQ(
      Send(R"({"inputs": "a", "stream": true})", "Accept: text/csv\r\n").Header("Content-Type"),
      "application/jsonlines");
}

TEST_F(DjlCsvTest, HandlersOf2023BeginWithThePrompt) {
  StartWith(AnswerShape::kList);
  EXPECT_EQ(Send("inputs\nabc\n", "Content-Type: text/csv\r\nAccept: text/csv\r\n").body,
            "generated_text\r\nabcabc\r\n");
  EXPECT_EQ(Send("none\nabc\n", "Content-Type: text/csv\r\n").status, 424);
}

TEST_F(DjlCsvTest, AsynchronousHandlersAnswerJson) {
  StartWith(AnswerShape::kAsync);
  EXPECT_EQ(Send("inputs\nabc\n", "Content-Type: text/csv\r\nAccept: text/csv\r\n")
                .Header("Content-Type"),
            "application/json");
}

}  // namespace
}  // namespace dray::api
