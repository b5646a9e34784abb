// Which requests need a key, and which keys are taken.
#include "http/auth/api_keys.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "http/testing/server_fixture.h"

namespace dray::http {
namespace {

Headers With(const std::string& name, const std::string& value) {
  Headers headers;
  headers.Add(name, value);
  return headers;
}

TEST(ApiKeysTest, AreShownInOneOfTwoHeaders) {
  const std::vector<std::string> list = {"alpha", "beta"};
  const ApiKeys keys(list);
  EXPECT_TRUE(keys.Accepts(With("Authorization", "Bearer alpha")));
  EXPECT_TRUE(keys.Accepts(With("authorization", "bearer beta")));
  EXPECT_TRUE(keys.Accepts(With("X-Api-Key", "beta")));
  for (const char* wrong : {"", "Bearer ", "Bearer alph", "Bearer alphaa", "Bearer  alpha", "alpha",
                            "Basic alpha", "Bearer Alpha"}) {
    EXPECT_FALSE(keys.Accepts(With("Authorization", wrong))) << wrong;
  }
  EXPECT_FALSE(keys.Accepts(With("x-api-key", "")));
  EXPECT_FALSE(keys.Accepts({}));
}

class ApiKeysServerTest : public HttpServerTest {
 protected:
  ApiKeysServerTest() {
    const auto answer = [](const Request&, const ResponderPtr& responder) {
      responder->Send(Text("done\n"));
    };
    router_.Add("GET", "/ping", answer, RouteKind::kHealthCheck);
    router_.Add("GET", "/models", answer, RouteKind::kManagement);
    router_.Add("OPTIONS", "/hello", answer);
    const std::vector<std::string> ordinary = {"user"};
    const std::vector<std::string> management = {"admin"};
    options_.required_keys = {.ordinary = std::make_shared<ApiKeys>(ordinary),
                              .management = std::make_shared<ApiKeys>(management)};
  }
  int StatusOf(std::string_view path, std::string_view headers, std::string_view method = "GET") {
    TestClient client(server_->port());
    client.Send(fmt::format("{} {} HTTP/1.1\r\nHost: h\r\n{}\r\n", method, path, headers));
    return client.Receive().status;
  }
};

TEST_F(ApiKeysServerTest, EachKindOfRouteHasItsKeys) {
  Start();
  EXPECT_EQ(StatusOf("/hello", "x-api-key: user\r\n"), 200);
  EXPECT_EQ(StatusOf("/hello", "x-api-key: admin\r\n"), 401);
  EXPECT_EQ(StatusOf("/hello", ""), 401);
  EXPECT_EQ(StatusOf("/models", "Authorization: Bearer admin\r\n"), 200);
  EXPECT_EQ(StatusOf("/models", "Authorization: Bearer user\r\n"), 401);
  EXPECT_EQ(StatusOf("/ping", ""), 200);
  // A stranger does not learn which paths there are.
  EXPECT_EQ(StatusOf("/nowhere", ""), 401);
  EXPECT_EQ(StatusOf("/nowhere", "x-api-key: user\r\n"), 404);
  // A browser's question whether a page may send a key comes without one.
  EXPECT_EQ(StatusOf("/hello", "", "OPTIONS"), 200);
  EXPECT_EQ(StatusOf("/models", "", "OPTIONS"), 401);
  EXPECT_EQ(StatusOf("/nowhere", "", "OPTIONS"), 401);
}

TEST_F(ApiKeysServerTest, AStrangersBodyIsNotRead) {
  Start();
  TestClient client(server_->port());
  client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nsecret");
  const TestResponse response = client.Receive();
  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(response.Header("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(response.Header("Connection"), "close");
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace dray::http
