// What a registration says about a model, in its query or its body, and the same models as workflows.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/parse/json.h"
#include "testing/managed_server.h"

namespace dray::testing {
namespace {

const std::string kJson = "Content-Type: application/json\r\n";

class RegistrationTest : public ::testing::Test {
 protected:
  // What GET says of the only version of a model.
  Json Described(const std::string& target) {
    const auto response = server_.Send("GET", target);
    EXPECT_EQ(response.status, 200) << response.body;
    auto json = Json::Parse(response.body);
    EXPECT_TRUE(json.ok()) << response.body;
    return json.ok() ? (*(*json->AsArray())[0].Find("models")->AsArray())[0] : Json();
  }
  void ExpectRegistered(const HttpResponse& response, const std::string& name) {
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "{\n  \"status\": \"Model \\\"" + name + "\\\" registered.\"\n}\n");
  }

  ManagedServer server_;
};

TEST_F(RegistrationTest, EveryParameterReachesTheModel) {
  const std::string model = ManagedServer::DemoModel();
  ExpectRegistered(
      server_.Send("POST", "/models?url=" + model +
                               "&model_name=query&job_queue_size=7&batch_size=2&max_batch_delay=5&"
                               "max_idle_time=9&min_worker=1&max_worker=2&engine=Python&device=-1&"
                               "synchronous=TRUE"),
      "query");
  ExpectRegistered(
      server_.Send("POST", "/models",
                   R"({"url": ")" + model +
                       R"(", "model_name": "body", "job_queue_size": 7, "batch_size": 2,
                       "max_batch_delay": 5, "max_idle_time": 9, "min_worker": 1, "max_worker": 2,
                       "engine": "Python", "device": "-1", "synchronous": true})",
                   kJson),
      "body");
  for (const char* name : {"query", "body"}) {
    const Json described = Described(std::string("/models/") + name);
    for (const auto& [field, value] :
         std::vector<std::pair<std::string, int64_t>>{{"queueSize", 7},
                                                      {"batchSize", 2},
                                                      {"maxBatchDelayMillis", 5},
                                                      {"maxIdleSeconds", 9}}) {
      EXPECT_EQ(described.Find(field)->AsInt64(), value) << name << field;
    }
    const Json& group = (*described.Find("workerGroups")->AsArray())[0];
    EXPECT_EQ(group.Find("minWorkers")->AsInt64(), 1) << name;
    EXPECT_EQ(group.Find("maxWorkers")->AsInt64(), 2) << name;
    EXPECT_EQ(described.Find("loadedAtStartup")->AsBool(), false);
  }
}

TEST_F(RegistrationTest, WithoutANameTheUrlNamesTheModel) {
  ExpectRegistered(server_.Send("POST", "/models?url=" + ManagedServer::DemoModel()), "demo");
  EXPECT_EQ(server_.Send("DELETE", "/models/demo").status, 200);
  ExpectRegistered(server_.Send("POST", "/models?url=file://" + ManagedServer::DemoModel() + "/"),
                   "demo");
}

TEST_F(RegistrationTest, AModelIsAWorkflow) {
  ExpectRegistered(
      server_.Send("POST", "/models?url=" + ManagedServer::DemoModel() + "&model_name=a"), "a");
  EXPECT_EQ(Described("/workflows/a").Dump(), Described("/models/a").Dump());
  EXPECT_EQ(server_.Send("GET", "/workflows").body,
            "{\n  \"workflows\": [\n    {\n      \"workflowName\": \"a\"\n    }\n  ]\n}\n");
  EXPECT_EQ(server_.Send("PUT", "/workflows/a?min_worker=1&max_worker=2&synchronous=false").body,
            "{\n  \"status\": \"Workflow \\\"a\\\" worker scaled. New Worker configuration min "
            "workers:1 max workers:2\"\n}\n");
  EXPECT_EQ(server_.Send("DELETE", "/workflows/a").body,
            "{\n  \"status\": \"Model or workflow \\\"a\\\" unregistered\"\n}\n");
  EXPECT_EQ(server_.Send("GET", "/workflows/a").status, 404);
}

}  // namespace
}  // namespace dray::testing
