// Forms, and compressed bodies in both directions.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <array>

#include "http/encoding/body_decoder.h"
#include "http/encoding/content_coding.h"
#include "http/encoding/form.h"
#include "http/testing/server_fixture.h"

namespace dray::http {
namespace {

// In gzip's format (31) or zlib's (15).
std::string Deflate(std::string_view text, int window_bits) {
  z_stream stream = {};
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}
std::string Gzip(std::string_view text) { return Deflate(text, 31); }

std::string Inflate(std::string_view bytes, std::string_view coding) {
  auto decoder = BodyDecoder::Make(coding);
  std::string out;
  std::array<char, 100> block;
  while (true) {
    const auto progress = (*decoder)->Decode(bytes, block);
    if (!progress.ok()) return "error: " + progress.status().message();
    bytes.remove_prefix(progress->used_bytes);
    out.append(block.data(), progress->made_bytes);
    if (progress->made_bytes < block.size() && bytes.empty()) break;
  }
  return (*decoder)->complete() ? out : out + " (incomplete)";
}

TEST(BodyDecoderTest, ReadsItsFormats) {
  const std::string text(1000, 'x');
  EXPECT_EQ(Inflate(Gzip(text), "gzip"), text);
  EXPECT_EQ(Inflate(Gzip(text), "X-Gzip"), text);
  EXPECT_EQ(Inflate(Deflate(text, 15), "deflate"), text);
  EXPECT_EQ(Inflate(Gzip("one") + Gzip("two"), "gzip"), "onetwo");
  EXPECT_EQ(Inflate(Gzip(text).substr(0, 10), "gzip"), " (incomplete)");
  EXPECT_EQ(Inflate(Gzip(text), "deflate"),
            "error: the body is not compressed as its Content-Encoding says");
  EXPECT_EQ(Inflate(Deflate(text, 15) + "x", "deflate"),
            "error: the compressed body goes on after its end");
  EXPECT_EQ(BodyDecoder::Make("br").status().message(),
            "Content-Encoding \"br\" is not accepted; send gzip, deflate or the body as it is");
}

TEST(ContentCodingTest, FollowsTheClientsWeights) {
  const auto choose = [](const char* accept) {
    Headers headers;
    headers.Add("Accept-Encoding", accept);
    return ChooseCoding(headers);
  };
  using enum ContentCoding;
  EXPECT_EQ(ChooseCoding({}), kIdentity);
  for (const char* none : {"", "identity", "br, zstd", "gzip;q=0", "gzip;q=0.000, *;q=0",
                           "gzip;q=x", "gzip;level=9", "gzip;q=2", "gzip;q=0.1234"}) {
    EXPECT_EQ(choose(none), kIdentity) << none;
  }
  for (const char* gzip : {"gzip", "GZip", "deflate, gzip", "br;q=1, gzip;q=0.8", "*",
                           "gzip ; q=0.5", "deflate;q=0.5,gzip;q=0.501", "gzip;q=1.000"}) {
    EXPECT_EQ(choose(gzip), kGzip) << gzip;
  }
  for (const char* deflate : {"deflate", "gzip;q=0.5, deflate", "gzip;q=0, *"}) {
    EXPECT_EQ(choose(deflate), kDeflate) << deflate;
  }
}

constexpr std::string_view kType = "multipart/form-data; boundary=XX";

TEST(FormTest, ReadsTheFieldsOfMultipart) {
  const auto fields =
      ParseForm(kType,
                "preamble\r\n--XX\r\n"
                "Content-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n2"
                "\r\n--XX  \r\n"
                "content-type: application/json\r\n"
                "content-disposition: form-data; filename=\"f;x\"; name=\"b \\\"q\"\r\n"
                "\r\n"
                "\r\n--XX--\r\nepilogue");
  ASSERT_TRUE(fields.ok()) << fields.status().message();
  ASSERT_EQ(fields->size(), 2U);
  EXPECT_EQ(fields->at(0).name, "a");
  EXPECT_EQ(fields->at(0).value, "1\r\n2");
  EXPECT_EQ(fields->at(0).content_type, "");
  EXPECT_EQ(fields->at(1).name, "b \"q");
  EXPECT_EQ(fields->at(1).value, "");
  EXPECT_EQ(fields->at(1).content_type, "application/json");
  EXPECT_TRUE(ParseForm("Multipart/Form-Data; charset=utf-8; Boundary=\"X X\"", "--X X--").ok());
}

TEST(FormTest, RefusesWhatIsNoForm) {
  const std::string head = "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n";
  for (const std::string& body :
       {std::string(), std::string("--XX"), head, head + "1", head + "1\r\n--XX",
        head + "1\r\n--XX-", head + "1\r\n--XXY\r\n", head + "1\n--XX--",
        std::string("--XX\r\nContent-Disposition: form-data\r\n\r\n1\r\n--XX--"),
        std::string("--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--XX--"),
        std::string("--XX\r\nno colon\r\n\r\n1\r\n--XX--"),
        std::string("--XX\r\nContent-Transfer-Encoding: base64\r\n\r\n1\r\n--XX--"),
        "--XX\r\nX: " + std::string(kMaxPartHeaderBytes, 'x') + "\r\n\r\n1\r\n--XX--"}) {
    EXPECT_FALSE(ParseForm(kType, body).ok()) << body.substr(0, 100);
  }
  for (const char* type :
       {"multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"",
        "multipart/form-data; x; boundary=XX"}) {
    EXPECT_FALSE(ParseForm(type, "--XX--").ok()) << type;
  }
  std::string many;
  const std::string field = "\r\n--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1";
  for (size_t i = 0; i < kMaxFormFields; ++i) many += field;
  EXPECT_TRUE(ParseForm(kType, many + "\r\n--XX--").ok());
  EXPECT_EQ(ParseForm(kType, many + field + "\r\n--XX--").status().message(),
            "the form has more than 100 fields");
}

TEST(FormTest, ReadsUrlEncodedFields) {
  const auto fields = ParseForm("application/x-www-form-urlencoded", "a=1+2&b=%7B%7D&c");
  ASSERT_TRUE(fields.ok());
  ASSERT_EQ(fields->size(), 3U);
  EXPECT_EQ(fields->at(0).value, "1 2");
  EXPECT_EQ(fields->at(1).value, "{}");
  EXPECT_EQ(fields->at(2).name, "c");
  EXPECT_FALSE(ParseForm("application/x-www-form-urlencoded", "a=%7").ok());
}

class CompressionTest : public HttpServerTest {
 protected:
  TestResponse Ask(const std::string& request) {
    TestClient client(server_->port());
    client.Send(request);
    return client.Receive();
  }
};

TEST_F(CompressionTest, CompressedBodiesAreRead) {
  Start();
  const std::string text(100'000, 'y');
  EXPECT_EQ(Ask(PostRequest("/echo", Gzip(text), "Content-Encoding: gzip\r\n")).body, text);
  EXPECT_EQ(Ask(PostRequest("/echo", Deflate(text, 15), "Content-Encoding: deflate\r\n")).body,
            text);
  const std::string bytes = Gzip("in chunks");
  EXPECT_EQ(Ask(fmt::format("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\n"
                            "Transfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                            bytes.substr(0, 5), bytes.size() - 5, bytes.substr(5)))
                .body,
            "in chunks");
}

TEST_F(CompressionTest, BombsAndDamageAreRefused) {
  options_.limits.max_body_bytes = 1'000'000;
  Start();
  const auto status = [&](const std::string& body, const char* coding = "gzip") {
    return Ask(PostRequest("/echo", body, fmt::format("Content-Encoding: {}\r\n", coding))).status;
  };
  EXPECT_EQ(status(Gzip(std::string(1'000'000, 'z'))), 200);
  EXPECT_EQ(status(Gzip(std::string(1'000'001, 'z'))), 413);
  EXPECT_EQ(status(Gzip(std::string(100'000'000, 'z'))), 413);
  EXPECT_EQ(status(Gzip("whole").substr(0, 12)), 400);
  EXPECT_EQ(status("not gzip at all"), 400);
  EXPECT_EQ(status(Gzip("x"), "br"), 415);
  EXPECT_EQ(status(Gzip(Gzip("x")), "gzip, gzip"), 415);
  EXPECT_EQ(status("plain", "identity"), 200);
}

TEST_F(CompressionTest, BodiesThatBecomeMuchMoreThanTheyWereAreRefused) {
  Start();
  const auto ask = [&](const std::string& body) {
    return Ask(PostRequest("/echo", Gzip(body), "Content-Encoding: gzip\r\n"));
  };
  EXPECT_EQ(ask(std::string(1 << 20, 'z')).status, 200);  // up to 1 MiB, at any ratio
  for (const size_t size : {(size_t{1} << 20) + 1, size_t{2} << 20, size_t{60} << 20}) {
    EXPECT_EQ(ask(std::string(size, 'z')).status, 413) << size;
  }
  // Numbers become some five times as long, in many turns.
  std::string numbers;
  for (int i = 0; numbers.size() < 6'000'000; ++i) numbers += std::to_string(i) + " ";
  const TestResponse echoed = ask(numbers);
  EXPECT_EQ(echoed.status, 200);
  EXPECT_TRUE(echoed.body == numbers);
}

TEST_F(CompressionTest, WhatBodiesBecomeCountsAgainstTheBudget) {
  options_.max_total_body_bytes = 500'000;
  Start();
  EXPECT_EQ(
      Ask(PostRequest("/echo", Gzip(std::string(5'000'000, 'z')), "Content-Encoding: gzip\r\n"))
          .status,
      503);
}

TEST_F(CompressionTest, AnswersAreCompressedIfTheClientAsks) {
  router_.Add("GET", "/long", [](const Request&, const ResponderPtr& responder) {
    responder->Send(Text(std::string(5000, 'a')));
  });
  Start();
  TestResponse response =
      Ask("GET /long HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip, deflate\r\n\r\n");
  EXPECT_EQ(response.Header("Content-Encoding"), "gzip");
  EXPECT_EQ(response.Header("Vary"), "Accept-Encoding");
  EXPECT_LT(response.body.size(), 500U);
  EXPECT_EQ(Inflate(response.body, "gzip"), std::string(5000, 'a'));
  response = Ask("GET /long HTTP/1.1\r\nHost: h\r\nAccept-Encoding: deflate\r\n\r\n");
  EXPECT_EQ(Inflate(response.body, "deflate"), std::string(5000, 'a'));
  response = Ask("GET /long HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(response.Header("Content-Encoding"), "(none)");
  EXPECT_EQ(response.body.size(), 5000U);
  // Short ones are not worth it.
  response = Ask("GET /hello HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
  EXPECT_EQ(response.body, "hello\n");
}

}  // namespace
}  // namespace dray::http
