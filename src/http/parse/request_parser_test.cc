// The request grammar: what is read, what is refused, at every split, and that an outside parser
// reads the same.
#include "http/parse/request_parser.h"

#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <random>

namespace dray::http {
namespace {

constexpr std::string_view kGet = "GET /ping?a=1&b=%20+x HTTP/1.1\r\nHost: h\r\nX-A:  b \r\n\r\n";
constexpr std::string_view kPost =
    "POST /invocations HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
constexpr std::string_view kChunked =
    "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: v\r\n\r\n";

constexpr std::string_view kExtended =
    "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3;a=b;c\r\nabc\r\n2;d=\"e;\\\"f\"\r\nde\r\n0;g\r\n\r\n";

RequestParser Parse(std::string_view bytes, const ParserLimits& limits = {}) {
  RequestParser parser(limits);
  parser.Consume(bytes);
  return parser;
}

int StatusOf(std::string_view bytes, const ParserLimits& limits = {}) {
  RequestParser parser = Parse(bytes, limits);
  return parser.failed() ? parser.error_status() : parser.done() ? 200 : 0;
}

std::string WithHeaders(std::string_view headers) {
  return "POST / HTTP/1.1\r\n" + std::string(headers) + "\r\n";
}

TEST(RequestParserTest, ReadsARequestWithQueryAndHeaders) {
  RequestParser parser = Parse(kGet);
  ASSERT_TRUE(parser.done());
  EXPECT_TRUE(parser.keep_alive());
  const Request request = parser.Take();
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.target, "/ping?a=1&b=%20+x");
  EXPECT_EQ(request.path, "/ping");
  ASSERT_NE(request.QueryParameter("b"), nullptr);
  EXPECT_EQ(*request.QueryParameter("b"), "  x");
  EXPECT_EQ(*request.headers.Find("x-a"), "b");
  EXPECT_TRUE(parser.idle());
}

TEST(RequestParserTest, ReadsChunkedBodiesAndDropsTrailers) {
  RequestParser parser = Parse(kChunked);
  ASSERT_TRUE(parser.done());
  const Request request = parser.Take();
  EXPECT_EQ(request.body, "abc0123456789");
  EXPECT_EQ(request.headers.Find("X-T"), nullptr);
}

TEST(RequestParserTest, EverySplitGivesTheSame) {
  for (const std::string_view whole : {kGet, kPost, kChunked, kExtended}) {
    const Request expected = Parse(whole).Take();
    for (size_t i = 0; i <= whole.size(); ++i) {
      RequestParser parser(ParserLimits{});
      size_t used = parser.Consume(whole.substr(0, i));
      used += parser.Consume(whole.substr(i));
      ASSERT_TRUE(parser.done()) << whole << " split at " << i;
      EXPECT_EQ(used, whole.size());
      const Request request = parser.Take();
      EXPECT_EQ(request.body, expected.body);
      EXPECT_EQ(request.headers.fields(), expected.headers.fields());
    }
    RequestParser parser(ParserLimits{});
    for (const char& c : whole) EXPECT_EQ(parser.Consume({&c, 1}), 1U);
    ASSERT_TRUE(parser.done());
    EXPECT_EQ(parser.Take().body, expected.body);
  }
}

TEST(RequestParserTest, StopsAtTheEndOfARequest) {
  RequestParser parser(ParserLimits{});
  const std::string two = std::string(kPost) + std::string(kGet);
  EXPECT_EQ(parser.Consume(two), kPost.size());
  EXPECT_EQ(parser.Take().body, "hello");
  EXPECT_EQ(parser.Consume(std::string_view(two).substr(kPost.size())), kGet.size());
  EXPECT_EQ(parser.Take().method, "GET");
}

struct Refusal {
  std::string_view what;
  std::string bytes;
  int status;
};

TEST(RequestParserTest, RefusesWhatIsAmbiguous) {
  const std::string chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  const Refusal refusals[] = {
      {"bare LF after the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", 400},
      {"bare LF after a header", "GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400},
      {"CR without LF", "GET / HTTP/1.1\r\nHost: h\rA: b\r\n\r\n", 400},
      {"folded header", WithHeaders("Host: h\r\nA: b\r\n c\r\n"), 400},
      {"folded header with a tab", WithHeaders("Host: h\r\nA: b\r\n\tc\r\n"), 400},
      {"space before the colon", WithHeaders("Host: h\r\nContent-Length : 5\r\n"), 400},
      {"no colon", WithHeaders("Host: h\r\nnonsense\r\n"), 400},
      {"empty name", WithHeaders("Host: h\r\n: x\r\n"), 400},
      {"NUL in a value", WithHeaders(std::string("Host: h\r\nA: b\0c\r\n", 17)), 400},
      {"control character in a value", WithHeaders("Host: h\r\nA: b\x01\r\n"), 400},
      {"no Host", WithHeaders("A: b\r\n"), 400},
      {"two Hosts", WithHeaders("Host: h\r\nHost: h\r\n"), 400},
      {"a Host with a space", WithHeaders("Host: a b\r\n"), 400},
      {"a Host with a slash", WithHeaders("Host: a/b\r\n"), 400},
      {"two lengths", WithHeaders("Host: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n"), 400},
      {"a list of lengths", WithHeaders("Host: h\r\nContent-Length: 1, 1\r\n"), 400},
      {"a negative length", WithHeaders("Host: h\r\nContent-Length: -1\r\n"), 400},
      {"a signed length", WithHeaders("Host: h\r\nContent-Length: +1\r\n"), 400},
      {"a hexadecimal length", WithHeaders("Host: h\r\nContent-Length: 0x1\r\n"), 400},
      {"an empty length", WithHeaders("Host: h\r\nContent-Length:\r\n"), 400},
      {"a length beyond 64 bits",
       WithHeaders("Host: h\r\nContent-Length: 99999999999999999999999\r\n"), 413},
      {"length and coding",
       WithHeaders("Host: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400},
      {"two codings",
       WithHeaders("Host: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
      {"a list of codings", WithHeaders("Host: h\r\nTransfer-Encoding: gzip, chunked\r\n"), 501},
      {"an unknown coding", WithHeaders("Host: h\r\nTransfer-Encoding: xchunked\r\n"), 501},
      {"coding in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"unknown compression", WithHeaders("Host: h\r\nContent-Encoding: br\r\n"), 415},
      {"an unknown expectation", WithHeaders("Host: h\r\nExpect: tea\r\n"), 417},
      {"space after a chunk size", chunked + "3 \r\n", 400},
      {"chunk extension without a name", chunked + "3;\r\n", 400},
      {"chunk extension of a value alone", chunked + "3;=b\r\n", 400},
      {"chunk extension without its value", chunked + "3;a=\r\n", 400},
      {"chunk extension with two values", chunked + "3;a=b=c\r\n", 400},
      {"chunk extension after a space", chunked + "3 a=b\r\n", 400},
      {"chunk extensions without a semicolon between", chunked + "3;a=b c=d\r\n", 400},
      {"chunk extension with an open quote", chunked + "3;a=\"b\r\n", 400},
      {"chunk extension that ends in a backslash", chunked + "3;a=\"b\\\r\n", 400},
      {"chunk extension with text behind the quote", chunked + "3;a=\"b\"c\r\n", 400},
      {"line end in a quoted chunk extension", chunked + "3;a=\"b\r\n\"\r\nabc\r\n", 400},
      {"bare LF in a quoted chunk extension", chunked + "3;a=\"b\n\"\r\n", 400},
      {"control character in a chunk extension", chunked + "3;a=\"\x01\"\r\n", 400},
      {"comma in a chunk extension", chunked + "3;a,b\r\n", 400},
      {"semicolon before a chunk size", chunked + ";a=b\r\n", 400},
      {"signed chunk size", chunked + "-3\r\n", 400},
      {"prefixed chunk size", chunked + "0x3\r\n", 400},
      {"empty chunk size", chunked + "\r\n", 400},
      {"chunk size of 17 digits", chunked + "00000000000000001\r\n", 400},
      {"chunk size beyond the limit", chunked + "FFFFFFFFFFFFFFFF\r\n", 413},
      {"chunk longer than its size", chunked + "3\r\nabcd\r\n", 400},
      {"chunk ended by a bare LF", chunked + "3\r\nabc\n", 400},
      {"chunk size ended by a bare LF", chunked + "3\nabc\r\n", 400},
      {"folded trailer", chunked + "0\r\n a: b\r\n\r\n", 400},
      {"two spaces", "GET  / HTTP/1.1\r\n", 400},
      {"space in the target", "GET /a b HTTP/1.1\r\n", 400},
      {"no version", "GET /\r\n", 400},
      {"tab for a space", "GET\t/ HTTP/1.1\r\n", 400},
      {"small letters", "GET / http/1.1\r\n", 400},
      {"another version", "GET / HTTP/2.0\r\n", 505},
      {"not a path", "GET ping HTTP/1.1\r\n", 400},
      {"asterisk", "GET * HTTP/1.1\r\n", 400},
      {"fragment", "GET /#x HTTP/1.1\r\n", 400},
      {"broken escape", "GET /%2 HTTP/1.1\r\n", 400},
      {"NUL escape", "GET /%00 HTTP/1.1\r\n", 400},
      {"byte above ASCII", "GET /\xc3\xa4 HTTP/1.1\r\n", 400},
      {"method with a colon", "G:T / HTTP/1.1\r\n", 400},
      {"a second empty line", "\r\n\r\nGET / HTTP/1.1\r\n", 400},
  };
  for (const Refusal& refusal : refusals) {
    EXPECT_EQ(StatusOf(refusal.bytes), refusal.status) << refusal.what;
    RequestParser slow(ParserLimits{});
    for (const char& c : refusal.bytes) slow.Consume({&c, 1});
    EXPECT_EQ(slow.error_status(), refusal.status) << refusal.what << ", byte by byte";
  }
}

TEST(RequestParserTest, IgnoresChunkExtensions) {
  const std::string head = WithHeaders("Host: h\r\nTransfer-Encoding: chunked\r\n");
  const std::string data = "\r\nabc\r\n0\r\n\r\n";
  for (const std::string extension :
       {";a", ";a=b", ";name=value", ";a=\"b\"", ";a=\"\"", ";a=\"b;c=d\"", ";a=\"\\\"\\\\\"",
        ";a=\"\xc3\xa4\t\"", ";a;b=c;d=\"e\"", " ; a = b ; c", "\t;\ta\t=\t\"b\"",
        ";chunk-signature=0123456789abcdef", ";1=2", ";!#$%&'*+-.^_`|~=!"}) {
    const std::string bytes = head + "3" + extension + data;
    RequestParser parser = Parse(bytes);
    ASSERT_TRUE(parser.done()) << extension << ": " << parser.error_message();
    EXPECT_EQ(parser.Take().body, "abc") << extension;
    RequestParser slow(ParserLimits{});
    for (const char& c : bytes) slow.Consume({&c, 1});
    ASSERT_TRUE(slow.done()) << extension;
    EXPECT_EQ(slow.Take().body, "abc") << extension;
  }
  // Of the last chunk too, before trailers.
  RequestParser parser = Parse(head + "33;name=value\r\n" + std::string(51, 'x') +
                               "\r\n0;last=\"1\"\r\nX-T: v\r\n\r\n");
  ASSERT_TRUE(parser.done()) << parser.error_message();
  EXPECT_EQ(parser.Take().body, std::string(51, 'x'));
}

TEST(RequestParserTest, AcceptsWhatIsOnlyUnusual) {
  EXPECT_EQ(StatusOf("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
  EXPECT_EQ(StatusOf("GET / HTTP/1.0\r\n\r\n"), 200);
  EXPECT_EQ(StatusOf("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), 200);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 200);
  EXPECT_EQ(StatusOf(WithHeaders("Host: h\r\nContent-Encoding: identity\r\n")), 200);
  RequestParser parser = Parse("GET http://a:1/x?y=1 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(parser.Take().path, "/x");
}

TEST(RequestParserTest, SaysWhetherTheConnectionLasts) {
  const auto keeps = [](std::string_view bytes) { return Parse(bytes).keep_alive(); };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
}

TEST(RequestParserTest, LimitsHoldUnderAtAndOver) {
  const ParserLimits limits;
  const auto target = [](size_t size) {
    return "GET /" + std::string(size - 1, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n";
  };
  EXPECT_EQ(StatusOf(target(limits.max_target_bytes - 1)), 200);
  EXPECT_EQ(StatusOf(target(limits.max_target_bytes)), 200);
  EXPECT_EQ(StatusOf(target(limits.max_target_bytes + 1)), 414);
  EXPECT_EQ(StatusOf("GET /" + std::string(1 << 20, 'a')), 414);

  const auto line = [](size_t size) {
    return WithHeaders("Host: h\r\nA: " + std::string(size - 3, 'a') + "\r\n");
  };
  EXPECT_EQ(StatusOf(line(limits.max_header_line_bytes)), 200);
  EXPECT_EQ(StatusOf(line(limits.max_header_line_bytes + 1)), 431);

  const auto count = [](size_t size) {
    std::string headers = "Host: h\r\n";
    for (size_t i = 1; i < size; ++i) headers += "A: b\r\n";
    return WithHeaders(headers);
  };
  EXPECT_EQ(StatusOf(count(limits.max_headers)), 200);
  EXPECT_EQ(StatusOf(count(limits.max_headers + 1)), 431);

  std::string block = "Host: h\r\n";
  for (int i = 0; i < 4; ++i) block += "A: " + std::string(8000, 'a') + "\r\n";
  EXPECT_EQ(StatusOf(WithHeaders(block)), 200);
  EXPECT_EQ(StatusOf(WithHeaders(block + "A: " + std::string(800, 'a') + "\r\n")), 431);

  ParserLimits small;
  small.max_body_bytes = 10;
  small.max_chunks = 3;
  EXPECT_EQ(StatusOf(WithHeaders("Host: h\r\nContent-Length: 10\r\n") + "0123456789", small), 200);
  EXPECT_EQ(StatusOf(WithHeaders("Host: h\r\nContent-Length: 11\r\n"), small), 413);
  const std::string chunked = WithHeaders("Host: h\r\nTransfer-Encoding: chunked\r\n");
  EXPECT_EQ(StatusOf(chunked + "5\r\n01234\r\n5\r\n01234\r\n0\r\n\r\n", small), 200);
  EXPECT_EQ(StatusOf(chunked + "5\r\n01234\r\n6\r\n", small), 413);
  EXPECT_EQ(StatusOf(chunked + "1\r\n0\r\n1\r\n0\r\n1\r\n0\r\n0\r\n\r\n", small), 200);
  EXPECT_EQ(StatusOf(chunked + "1\r\n0\r\n1\r\n0\r\n1\r\n0\r\n1\r\n", small), 413);

  small.max_chunk_line_bytes = 8;
  small.max_chunk_lines_bytes = 20;
  EXPECT_EQ(StatusOf(chunked + "1;abcdef\r\n0\r\n0\r\n\r\n", small), 200);
  EXPECT_EQ(StatusOf(chunked + "1;abcdefg", small), 400);
  EXPECT_EQ(StatusOf(chunked + "1;abcdef\r\n0\r\n1;abcdef\r\n0\r\n0;ab\r\n\r\n", small), 200);
  EXPECT_EQ(StatusOf(chunked + "1;abcdef\r\n0\r\n1;abcdef\r\n0\r\n0;abc", small), 413);
  EXPECT_EQ(StatusOf(chunked + "1;" + std::string(1 << 20, 'a')), 400);
}

// What Boost.Beast's parser makes of the same bytes; nothing if it refuses them.
struct BeastReading {
  std::string method;
  std::string target;
  std::string body;
  bool operator==(const BeastReading&) const = default;
};
std::optional<BeastReading> ReadWithBeast(std::string_view bytes) {
  namespace http = boost::beast::http;
  http::request_parser<http::string_body> parser;
  parser.eager(true);
  boost::beast::error_code error;
  while (!bytes.empty() && !parser.is_done()) {
    const size_t used = parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
    if (error || used == 0) return std::nullopt;
    bytes.remove_prefix(used);
  }
  if (!parser.is_done()) return std::nullopt;
  const auto& message = parser.get();
  return BeastReading{std::string(message.method_string()), std::string(message.target()),
                      message.body()};
}

// Random damage to good requests: whatever we accept, the other parser accepts and reads alike.
TEST(RequestParserTest, WhatIsAcceptedIsReadAlikeByAnotherParser) {
  std::mt19937 random(7);
  const std::string_view alphabet = "\r\n \t:;,0123456789abcdefGHTP/.%-\x01\x80";
  int accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    const std::string_view seeds[] = {kGet, kPost, kChunked, kExtended};
    std::string bytes(seeds[random() % 4]);
    const int edits = static_cast<int>(random() % 3);
    for (int i = 0; i < edits; ++i) {
      const size_t at = random() % bytes.size();
      const char c = alphabet[random() % alphabet.size()];
      const auto kind = random() % 3;
      if (kind == 0) bytes[at] = c;
      if (kind == 1) bytes.insert(at, 1, c);
      if (kind == 2) bytes.erase(at, 1);
    }
    RequestParser parser(ParserLimits{});
    const size_t used = parser.Consume(bytes);
    if (!parser.done() || bytes.starts_with("\r\n")) continue;
    ++accepted;
    const Request request = parser.Take();
    const auto other = ReadWithBeast(std::string_view(bytes).substr(0, used));
    ASSERT_TRUE(other.has_value()) << bytes;
    EXPECT_EQ(*other, (BeastReading{request.method, request.target, request.body})) << bytes;
  }
  EXPECT_GT(accepted, 50'000);
}

}  // namespace
}  // namespace dray::http
