// Forms as requests, from a whole server.
#include <gtest/gtest.h>

#include "api/testing/djl_fixture.h"

namespace dray::api {
namespace {

using http::PostRequest;

constexpr const char* kUrlEncoded = "Content-Type: application/x-www-form-urlencoded\r\n";
constexpr const char* kMultipart = "Content-Type: multipart/form-data; boundary=XX\r\n";

// A part of a multipart form.
std::string Part(std::string_view name, std::string_view value, std::string_view type = "") {
  const std::string header = type.empty() ? "" : fmt::format("Content-Type: {}\r\n", type);
  return fmt::format("--XX\r\nContent-Disposition: form-data; name=\"{}\"\r\n{}\r\n{}\r\n", name,
                     header, value);
}

class DjlFormTest : public DjlTest {
 protected:
  DjlFormTest() {
    serving::FakeEngine::Options engine;
    engine.next_token = [](const auto&, int, int64_t) { return 'z'; };
    AddModel("m", engine);
    AddModel("other", engine);
    Serve();
  }
  std::string Multipart(const std::string& parts, const char* path = "/predictions/m") {
    return Exchange(PostRequest(path, parts + "--XX--\r\n", kMultipart)).body;
  }
};

TEST_F(DjlFormTest, AFieldMayBeAWholeBody) {
  const std::string json = R"({"inputs": "a", "parameters": {"max_new_tokens": 3}})";
  const std::string one = R"({"generated_text":"zzz"})";
  EXPECT_EQ(Multipart(Part("data", json, "application/json")), one);
  EXPECT_EQ(Multipart(Part("data", json)), one);
  EXPECT_EQ(Multipart(Part("file", json, "application/json; charset=utf-8")), one);
  const std::string text = Multipart(Part("data", "some text", "text/plain"));
  EXPECT_EQ(text, "[{\"generated_text\":\"" + std::string(30, 'z') + "\"}]");
}

TEST_F(DjlFormTest, FieldsMayBeThoseOfTheBody) {
  EXPECT_EQ(
      Exchange(PostRequest("/predictions/m", "inputs=a+b&parameters=%7B%22max_new_tokens%22%3A2%7D",
                           kUrlEncoded))
          .body,
      R"({"generated_text":"zz"})");
  EXPECT_EQ(Multipart(Part("inputs", "a") + Part("inputs", "b") +
                      Part("parameters", R"({"max_new_tokens": 1})")),
            R"([{"generated_text":"z"},{"generated_text":"z"}])");
  const std::string stream = Multipart(Part("inputs", "a") + Part("stream", "true") +
                                       Part("parameters", R"({"max_new_tokens": 1})"));
  EXPECT_NE(stream.find("\"generated_text\":\"z\""), std::string::npos);
}

TEST_F(DjlFormTest, AFieldMayNameTheModel) {
  const std::string parameters = "&parameters=%7B%22max_new_tokens%22%3A1%7D";
  EXPECT_EQ(
      Exchange(PostRequest("/invocations", "model_name=other&inputs=a" + parameters, kUrlEncoded))
          .body,
      R"({"generated_text":"z"})");
  EXPECT_EQ(Exchange(PostRequest("/invocations", "model_name=none&inputs=a", kUrlEncoded)).body,
            ErrorBody(404, "ModelNotFoundException", "Model or workflow not found: none"));
  EXPECT_EQ(Exchange(PostRequest("/invocations", "inputs=a", kUrlEncoded)).body,
            ErrorBody(400, "BadRequestException", "Parameter model_name is required."));
}

TEST_F(DjlFormTest, WhatIsWrongIsNamed) {
  const auto error = [](const char* message) {
    return ErrorBody(400, "BadRequestException", message);
  };
  EXPECT_EQ(Multipart(Part("inputs", "a") + Part("stream", "maybe")),
            error("field \"stream\" of the form must be true or false"));
  EXPECT_EQ(Multipart(Part("inputs", "a") + Part("color", "red")),
            error("field \"color\" of the form is not known; the fields are data, or inputs, "
                  "parameters, stream"));
  EXPECT_EQ(Multipart(Part("data", "a") + Part("inputs", "b")),
            error("the form has a field \"data\", which is a whole body, and others beside it"));
  EXPECT_EQ(Multipart(Part("data", "a", "image/png")),
            error("field \"data\" of the form is of type image/png; it must be application/json "
                  "or text/plain"));
  const std::string no_utf8 = error("the text is not UTF-8");
  EXPECT_EQ(Multipart(Part("inputs", "a\xFF")), no_utf8);
  EXPECT_EQ(Multipart(Part("data", "a\xC3", "text/plain")), no_utf8);
  EXPECT_EQ(Exchange(PostRequest("/predictions/m", "inputs=%ED%A0%80", kUrlEncoded)).body, no_utf8);
  EXPECT_EQ(Exchange(PostRequest("/predictions/m", "\x80", "Content-Type: text/plain\r\n")).body,
            no_utf8);
  EXPECT_EQ(
      Exchange(PostRequest("/predictions/m", "inputs\n\xFF\n", "Content-Type: text/csv\r\n")).body,
      no_utf8);
  EXPECT_EQ(Exchange(PostRequest("/predictions/m", "--XX\r\n", kMultipart)).body,
            error("the form does not end with its boundary and two hyphens"));
}

}  // namespace
}  // namespace dray::api
