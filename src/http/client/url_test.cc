#include "http/client/url.h"

#include <gtest/gtest.h>

#include "http/client/http_client.h"

namespace dray::http {
namespace {

TEST(UrlTest, PartsOfAnAddress) {
  struct Case {
    const char* text;
    const char* host;
    const char* port;
    const char* prefix;
    const char* authority;
    const char* whole;
    bool tls = false;
  };
  const Case cases[] = {
      {"http://localhost", "localhost", "80", "", "localhost", "http://localhost"},
      {"http://10.0.0.1:8080/", "10.0.0.1", "8080", "", "10.0.0.1:8080", "http://10.0.0.1:8080"},
      {"http://h:1/v3/", "h", "1", "/v3", "h:1", "http://h:1/v3"},
      {"http://[::1]:8000", "::1", "8000", "", "[::1]:8000", "http://[::1]:8000"},
      {"http://[fe80::1]", "fe80::1", "80", "", "[fe80::1]", "http://[fe80::1]"},
      {"https://h", "h", "443", "", "h", "https://h", true},
      {"https://h:443/a", "h", "443", "/a", "h", "https://h/a", true},
      {"https://h:80", "h", "80", "", "h:80", "https://h:80", true},
  };
  for (const Case& entry : cases) {
    const auto url = ParseUrl(entry.text);
    ASSERT_TRUE(url.ok()) << url.status().ToString();
    EXPECT_EQ(url->host, entry.host);
    EXPECT_EQ(url->port, entry.port);
    EXPECT_EQ(url->prefix, entry.prefix);
    EXPECT_EQ(url->Authority(), entry.authority);
    EXPECT_EQ(url->ToString(), entry.whole);
    EXPECT_EQ(url->tls, entry.tls);
  }
  for (const char* wrong :
       {"", "localhost:80", "ftp://h", "http://", "http://:80", "http://h:0", "http://h:65536",
        "http://h:x", "http://h/?a=b", "http://u@h", "http://h h", "https://", "https:/h"}) {
    const auto url = ParseUrl(wrong);
    ASSERT_FALSE(url.ok()) << wrong;
    EXPECT_EQ(url.status().code(), StatusCode::kInvalidArgument);
  }
}

TEST(HeaderLineTest, NameColonValue) {
  for (const char* line : {"Authorization: Bearer a:b", "x-key:", "a:b"}) {
    EXPECT_TRUE(CheckHeaderLine(line).ok()) << line;
  }
  for (const char* line : {"", "x", ": b", "a: b\r\nc: d"}) {
    EXPECT_EQ(CheckHeaderLine(line).code(), StatusCode::kInvalidArgument) << line;
  }
}

}  // namespace
}  // namespace dray::http
