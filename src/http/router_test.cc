#include "http/router.h"

#include <gtest/gtest.h>

namespace dray::http {
namespace {

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    const Handler handler = [](const Request&, const ResponderPtr&) {};
    router_.Add("*", "/ping", handler);
    router_.Add("POST", "/predictions/{model}", handler);
    router_.Add("POST", "/predictions/{model}/{version}", handler);
    router_.Add("GET", "/models", handler);
    router_.Add("POST", "/models", handler);
  }
  Router router_;
};

TEST_F(RouterTest, FindsByMethodAndPath) {
  EXPECT_NE(router_.Find("GET", "/models").handler, nullptr);
  EXPECT_NE(router_.Find("GET", "/models").handler, router_.Find("POST", "/models").handler);
  EXPECT_NE(router_.Find("BREW", "/ping").handler, nullptr);
  EXPECT_EQ(router_.Find("GET", "/models//").handler, router_.Find("GET", "/models").handler);
}

TEST_F(RouterTest, TellsAWrongMethodFromAWrongPath) {
  const Router::Match wrong_method = router_.Find("PUT", "/models");
  EXPECT_EQ(wrong_method.handler, nullptr);
  EXPECT_EQ(wrong_method.allow, "GET, POST");
  for (const char* path : {"/", "/model", "/models/x", "/predictions", "//models"}) {
    EXPECT_EQ(router_.Find("POST", path).handler, nullptr) << path;
    EXPECT_EQ(router_.Find("POST", path).allow, "") << path;
  }
}

TEST_F(RouterTest, DecodesParametersWithinTheirSegment) {
  const Router::Match match = router_.Find("POST", "/predictions/a%2Fb%20c/2");
  ASSERT_NE(match.handler, nullptr);
  EXPECT_EQ(match.parameters,
            (std::vector<Request::Parameter>{{"model", "a/b c"}, {"version", "2"}}));
  EXPECT_EQ(router_.Find("POST", "/predictions//2").handler, nullptr);
}

}  // namespace
}  // namespace dray::http
