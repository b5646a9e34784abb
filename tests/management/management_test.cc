// The management API on a real server, with the demo model: exact answers, and what they do.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "base/parse/json.h"
#include "fetch/testing/pack_archive.h"
#include "testing/managed_server.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

const std::string kJson = "Content-Type: application/json\r\n";
const std::string kPrompt =
    R"({"inputs": "One day", "parameters": {"max_new_tokens": 6, "ignore_eos_token": true}})";

std::string Error(int code, const std::string& type, const std::string& message) {
  return "{\n  \"code\": " + std::to_string(code) + ",\n  \"type\": \"" + type +
         "\",\n  \"message\": " + Json(message).Dump() + "\n}\n";
}
std::string StatusBody(const std::string& text) {
  return "{\n  \"status\": " + Json(text).Dump() + "\n}\n";
}

class ManagementTest : public ::testing::Test {
 protected:
  std::string Url(const std::string& more = "") const {
    return "/models?url=" + ManagedServer::DemoModel() + more;
  }
  void Expect(const HttpResponse& response, int status, const std::string& body) {
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.body, body);
    EXPECT_EQ(response.headers.at("content-type"), "application/json");
    EXPECT_EQ(response.headers.at("pragma"), "no-cache");
    EXPECT_EQ(response.headers.count("x-request-id"), 1U);
  }
  void Register(const std::string& more) {
    const auto response = server_.Send("POST", Url(more));
    ASSERT_EQ(response.status, 200) << response.body;
  }
  std::string Ask(const std::string& target) {
    const auto response = server_.Send("POST", target, kPrompt, kJson);
    EXPECT_EQ(response.status, 200) << response.body;
    const auto json = Json::Parse(response.body);
    return json.ok() && json->Find("generated_text") ? *json->Find("generated_text")->AsString()
                                                     : "";
  }
  // Waits until the model is loaded or has failed; its status.
  std::string StatusOf(const std::string& name) {
    std::string status = "PENDING";
    while (status == "PENDING") {
      const auto json = *Json::Parse(server_.Send("GET", "/models/" + name).body);
      const Json& model = (*(*json.AsArray())[0].Find("models")->AsArray())[0];
      status = *model.Find("status")->AsString();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return status;
  }

  ManagedServer server_;
};

TEST_F(ManagementTest, AModelIsRegisteredServedAndUnregistered) {
  Expect(server_.Send("GET", "/models"), 200, "{\n  \"models\": []\n}\n");
  Expect(server_.Send("GET", "/ping"), 200, "{}\n");
  Expect(server_.Send("POST", Url("&model_name=a")), 200, StatusBody("Model \"a\" registered."));
  Expect(server_.Send("GET", "/ping"), 200, "{\n  \"a\": {\n    \"status\": \"Healthy\"\n  }\n}\n");
  Expect(server_.Send("POST", Url("&model_name=a")), 409,
         Error(409, "BadRequestException", "Workflow a is already registered."));
  const std::string text = Ask("/predictions/a");
  EXPECT_FALSE(text.empty());
  EXPECT_EQ(Ask("/models/a/invoke"), text);
  EXPECT_EQ(Ask("/invocations?model_name=a"), text);
  // A model that was registered later is not the one of the start.
  Expect(server_.Send("POST", "/invocations", kPrompt, kJson), 400,
         Error(400, "BadRequestException", "Parameter model_name is required."));
  Expect(server_.Send("DELETE", "/models/a"), 200,
         StatusBody("Model or workflow \"a\" unregistered"));
  const std::string not_found =
      Error(404, "ModelNotFoundException", "Model or workflow not found: a");
  Expect(server_.Send("DELETE", "/models/a"), 404, not_found);
  Expect(server_.Send("POST", "/predictions/a", kPrompt, kJson), 404, not_found);
  Expect(server_.Send("GET", "/models/a"), 404,
         Error(404, "ModelNotFoundException", "Workflow not found: a"));
}

TEST_F(ManagementTest, AnUnknownParameterChangesNothing) {
  Expect(server_.Send("POST", Url("&model_name=a&gpu_id=3&workers=2")), 200,
         StatusBody("Model \"a\" registered."));
  EXPECT_FALSE(Ask("/predictions/a").empty());
}

TEST_F(ManagementTest, DescribeHasEveryField) {
  Register("&model_name=a&model_version=v1&job_queue_size=7");
  const auto response = server_.Send("GET", "/models/a/v1");
  const std::regex time("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z");
  Expect(HttpResponse{response.status, response.headers,
                      std::regex_replace(response.body, time, "TIME")},
         200,
         R"([
  {
    "workflowName": "a",
    "version": "v1",
    "models": [
      {
        "modelName": "a",
        "modelUrl": ")" +
             ManagedServer::DemoModel() +
             R"(",
        "batchSize": 1,
        "maxBatchDelayMillis": 100,
        "maxIdleSeconds": 60,
        "queueSize": 7,
        "requestInQueue": 0,
        "status": "Healthy",
        "loadedAtStartup": false,
        "workerGroups": [
          {
            "device": {
              "deviceType": "cpu",
              "deviceId": -1
            },
            "minWorkers": 1,
            "maxWorkers": 1,
            "workers": [
              {
                "id": 1,
                "startTime": "TIME",
                "status": "READY"
              }
            ]
          }
        ]
      }
    ]
  }
]
)");
  Expect(server_.Send("GET", "/models/a/v2"), 404,
         Error(404, "ModelNotFoundException", "Workflow not found: a"));
}

TEST_F(ManagementTest, SageMakersMultiModelContract) {
  const std::string body =
      "{\"model_name\": \"f2a1\", \"url\": \"" + ManagedServer::DemoModel() + "\"}";
  Expect(server_.Send("POST", "/models", body, kJson), 200,
         StatusBody("Model \"f2a1\" registered."));
  EXPECT_EQ(server_.Send("POST", "/models", body, kJson).status, 409);
  const auto invoked = server_.Send("POST", "/models/f2a1/invoke", kPrompt,
                                    kJson + "X-Amzn-SageMaker-Target-Model: m.tar.gz\r\n");
  EXPECT_EQ(invoked.status, 200);
  Expect(server_.Send("GET", "/models"), 200,
         "{\n  \"models\": [\n    {\n      \"modelName\": \"f2a1\",\n      \"modelUrl\": \"" +
             ManagedServer::DemoModel() + "\",\n      \"status\": \"READY\"\n    }\n  ]\n}\n");
  EXPECT_EQ(server_.Send("GET", "/models/f2a1").status, 200);
  EXPECT_EQ(server_.Send("DELETE", "/models/f2a1").status, 200);
  EXPECT_EQ(server_.Send("DELETE", "/models/f2a1").status, 404);
  Expect(server_.Send("POST", "/models/f2a1/invoke", kPrompt, kJson), 404,
         Error(404, "ModelNotFoundException", "Model or workflow not found: f2a1"));
}

TEST_F(ManagementTest, ListsArePaged) {
  for (const char* name : {"c", "a", "b"}) Register(std::string("&model_name=") + name);
  Register("&model_name=a&model_version=v2");
  const auto names = [&](const std::string& query) {
    const auto json = *Json::Parse(server_.Send("GET", "/models" + query).body);
    std::string text;
    for (const Json& model : *json.Find("models")->AsArray()) {
      text += *model.Find("modelName")->AsString();
      if (const Json* version = model.Find("version")) text += *version->AsString();
    }
    if (const Json* token = json.Find("nextPageToken")) text += " then " + *token->AsString();
    return text;
  };
  EXPECT_EQ(names(""), "aav2bc");
  EXPECT_EQ(names("?limit=1"), "aav2 then 1");
  EXPECT_EQ(names("?limit=1&next_page_token=1"), "b then 2");
  EXPECT_EQ(names("?limit=1&next_page_token=2"), "c");
  EXPECT_EQ(names("?limit=0"), " then 0");
  EXPECT_EQ(names("?limit=-1&next_page_token=-5"), "aav2bc");
  EXPECT_EQ(names("?limit=9223372036854775807&next_page_token=9223372036854775807"), "");
  Expect(server_.Send("GET", "/models?limit=x"), 400,
         Error(400, "BadRequestException", "parameter is invalid number.For input string: \"x\""));
  const auto workflows = *Json::Parse(server_.Send("GET", "/workflows?limit=1").body);
  EXPECT_EQ(workflows.Dump(),
            "{\"nextPageToken\":\"1\",\"workflows\":[{\"workflowName\":\"a\"},"
            "{\"workflowName\":\"a\",\"version\":\"v2\"}]}");
}

TEST_F(ManagementTest, VersionsTakeTurnsAndGoOneByOne) {
  Register("&model_name=m&model_version=1");
  Register("&model_name=m&model_version=2");
  const std::string text = Ask("/predictions/m");
  EXPECT_EQ(Ask("/predictions/m/1"), text);
  EXPECT_EQ(Ask("/models/m/2/invoke"), text);
  EXPECT_EQ(Ask("/invocations?model_name=m&model_version=2"), text);
  for (int i = 0; i < 3; ++i) Ask("/predictions/m");
  const auto tokens = [&](const std::string& version) {
    return server_.repository().Versions("m", version)[0].model->stats().generated_tokens;
  };
  // An engine tells its counts before its next step, which may be after the answer.
  while (tokens("1") + tokens("2") < 7U * 6U) std::this_thread::yield();
  EXPECT_EQ(tokens("1"), 3U * 6U);
  Expect(server_.Send("POST", "/predictions/m/3", kPrompt, kJson), 404,
         Error(404, "ModelNotFoundException", "Model or workflow not found: m"));
  EXPECT_EQ(server_.Send("DELETE", "/models/m/1").status, 200);
  EXPECT_EQ(Ask("/predictions/m"), text);
  EXPECT_EQ(server_.Send("POST", "/predictions/m/1", kPrompt, kJson).status, 404);
  Register("&model_name=m&model_version=3");
  EXPECT_EQ(server_.Send("DELETE", "/models/m").status, 200);
  EXPECT_EQ(server_.Send("GET", "/models/m").status, 404);
}

TEST_F(ManagementTest, RegistrationMayBeAsynchronous) {
  Expect(server_.Send("POST", Url("&model_name=a&synchronous=false")), 202,
         StatusBody("Model \"a\" registration scheduled."));
  EXPECT_EQ(StatusOf("a"), "Healthy");
  EXPECT_FALSE(Ask("/predictions/a").empty());
  // What fails later stays, so that one can ask why.
  Expect(server_.Send("POST", "/models?url=/no/such&model_name=bad&synchronous=false"), 202,
         StatusBody("Model \"bad\" registration scheduled."));
  EXPECT_EQ(StatusOf("bad"), "FAILED");
  EXPECT_EQ(server_.Send("GET", "/ping").status, 500);
  const auto described = server_.Send("GET", "/models/bad");
  EXPECT_NE(described.body.find("\"failure\": \"there is no model at /no/such"), std::string::npos);
  Expect(server_.Send("POST", "/predictions/bad", kPrompt, kJson), 503,
         Error(503, "WlmException", "Model is not ready: bad"));
  EXPECT_EQ(server_.Send("DELETE", "/models/bad").status, 200);
  EXPECT_EQ(server_.Send("GET", "/ping").status, 200);
}

TEST_F(ManagementTest, WhatCannotBeRegisteredLeavesNothing) {
  const fs::path broken = server_.folder() / "broken";
  fs::create_directories(broken);
  std::ofstream(broken / "config.json") << "{ this is no JSON";
  const std::vector<std::pair<std::string, int>> cases = {{"/models", 400},
                                                          {"/models?url=", 400},
                                                          {"/models?url=/no/such/model", 404},
                                                          {"/models?url=s3://bucket/model", 404},
                                                          {"/models?url=" + broken.string(), 400},
                                                          {Url("&model_name=a%2Fb"), 400},
                                                          {Url("&model_name=.a"), 400},
                                                          {Url("&model_version=a%20b"), 400},
                                                          {Url("&job_queue_size=many"), 400},
                                                          {Url("&job_queue_size=-1"), 400},
                                                          {Url("&engine=TensorFlow"), 400}};
  for (const auto& [target, status] : cases) {
    const auto response = server_.Send("POST", target);
    EXPECT_EQ(response.status, status) << target << ": " << response.body;
  }
  for (const char* body : {"[]", "{", "{\"url\": {}}", "{\"url\": \"/no\", \"x\": 1}"}) {
    EXPECT_GE(server_.Send("POST", "/models", body, kJson).status, 400) << body;
  }
  Expect(server_.Send("POST", "/models"), 400,
         Error(400, "BadRequestException", "Parameter url is required."));
  Expect(server_.Send("POST", "/models?url=/no/such/model"), 404,
         Error(404, "ModelNotFoundException",
               "there is no model at /no/such/model: give a folder, a .gguf file, or an archive "
               "(.zip, .mar, .tar, .tar.gz, .tgz, .tar.z)"));
  Expect(server_.Send("GET", "/models"), 200, "{\n  \"models\": []\n}\n");
}

TEST_F(ManagementTest, AModelThatDoesNotFitIs507) {
  const fs::path large = server_.folder() / "large";
  fs::copy(ManagedServer::DemoModel(), large);
  std::ofstream(large / "serving.properties") << "required_memory_mb=1000000000\n";
  const auto response = server_.Send("POST", "/models?url=" + large.string());
  EXPECT_EQ(response.status, 507);
  EXPECT_NE(response.body.find("\"type\": \"WlmOutOfMemoryException\""), std::string::npos);
  EXPECT_NE(response.body.find("model \\\"large\\\" needs "), std::string::npos) << response.body;
  EXPECT_EQ(server_.Send("GET", "/models/large").status, 404);
  Register("&model_name=a");
}

TEST_F(ManagementTest, ArchivesAreUnpackedAndRemoved) {
  const std::string archive = (server_.folder() / "packed.tar.gz").string();
  fetch::PackArchive(archive, fetch::EntriesOf(ManagedServer::DemoModel(), "demo/"));
  Expect(server_.Send("POST", "/models?url=" + archive), 200,
         StatusBody("Model \"packed\" registered."));
  Register("&model_name=plain");
  EXPECT_EQ(Ask("/predictions/packed"), Ask("/predictions/plain"));
  EXPECT_EQ(server_.Send("DELETE", "/models/packed").status, 200);
  EXPECT_TRUE(fs::is_empty(server_.folder() / "unpacked"));
}

TEST_F(ManagementTest, WorkersAreScaled) {
  Register(
      "&model_name=a&min_worker=2&max_worker=3&batch_size=2&max_batch_delay=5&max_idle_time=9");
  const auto model = [&] { return server_.repository().Versions("a", "")[0].model; };
  EXPECT_EQ(model()->workers().workers.size(), 2U);
  const std::string text = Ask("/predictions/a");
  const auto described = server_.Send("GET", "/models/a").body;
  for (const char* field :
       {"\"batchSize\": 2", "\"maxBatchDelayMillis\": 5", "\"maxIdleSeconds\": 9",
        "\"minWorkers\": 2", "\"maxWorkers\": 3", "\"id\": 2"}) {
    EXPECT_NE(described.find(field), std::string::npos) << field;
  }
  Expect(server_.Send("PUT", "/models/a?min_worker=1&max_worker=1&batch_size=1"), 200,
         StatusBody("Workflow \"a\" worker scaled. New Worker configuration min workers:1 max "
                    "workers:1"));
  while (model()->workers().workers.size() > 1) std::this_thread::yield();
  EXPECT_EQ(Ask("/predictions/a"), text);
  Expect(server_.Send("PUT", "/models/a?min_worker=3"), 200,
         StatusBody("Workflow \"a\" worker scaled. New Worker configuration min workers:3 max "
                    "workers:3"));
  EXPECT_EQ(model()->workers().workers.size(), 3U);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(Ask("/predictions/a"), text);
  Expect(server_.Send("PUT", "/models/a?max_worker=0"), 200,
         StatusBody("Workflow \"a\" worker scaled. New Worker configuration min workers:0 max "
                    "workers:0"));
  Expect(server_.Send("POST", "/predictions/a", kPrompt, kJson), 503,
         Error(503, "WlmShutdownException", "All model workers has been shutdown: a"));
  Expect(server_.Send("PUT", "/models/b?min_worker=1"), 404,
         Error(404, "ModelNotFoundException", "Model or workflow not found: b"));
  Expect(server_.Send("PUT", "/models/a?min_worker=x"), 400,
         Error(400, "BadRequestException", "parameter is invalid number.For input string: \"x\""));
  Expect(server_.Send("PUT", "/models/a?max_worker=65"), 400,
         Error(400, "BadRequestException", "parameter \"max_worker\" is 65; it must be 0 to 64"));
  EXPECT_EQ(server_.Send("POST", "/models?url=/no&model_name=c&synchronous=false").status, 202);
  EXPECT_EQ(StatusOf("c"), "FAILED");
  Expect(server_.Send("PUT", "/models/c?min_worker=1"), 503,
         Error(503, "ServiceUnavailableException", "Model or workflow is not ready: c"));
}

TEST_F(ManagementTest, AFullQueueIsRefusedInDjlServingsWords) {
  const fs::path small = server_.folder() / "small";
  fs::copy(ManagedServer::DemoModel(), small);
  std::ofstream(small / "serving.properties")
      << "job_queue_size=0\noption.max_rolling_batch_size=1\n";
  ASSERT_EQ(server_.Send("POST", "/models?url=" + small.string()).status, 200);
  HttpResponse refused;
  while (refused.status != 503) {
    HttpClient busy(server_.port());
    busy.SendPost("/predictions/small",
                  R"({"inputs": "One day", "stream": true, "parameters": {"max_new_tokens": 100,)"
                  R"( "ignore_eos_token": true}})");
    // Once its first token is there, it has the only place. It may be over before the next request.
    std::string answer = busy.ReadSome(30'000);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 "));
    refused = server_.Send("POST", "/predictions/small", kPrompt, kJson);
    for (std::string more = answer; !more.empty() && !answer.ends_with("0\r\n\r\n");) {
      answer += more = busy.ReadSome(30'000);
    }
  }
  Expect(refused, 503,
         Error(503, "WlmCapacityException", "Worker queue capacity exceeded for model: small"));
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  Expect(server_.Send("POST", "/predictions/small?priority=0", kPrompt, kJson), 400,
         Error(400, "BadRequestException", "priority is \"0\"; it must be 1 (first) to 9"));
}

TEST(ManagementEnvironmentTest, TheServersOwnModelIsNotThatOfAUrl) {
  serving::ModelManager::Options options;
  options.sources.environment = {{"HF_MODEL_ID", "/no/such/model"},
                                 {"OPTION_MODEL_ID", "/no/such/model"},
                                 {"OPTION_TOKENIZER", "/no/such/tokenizer"}};
  const ManagedServer server(std::move(options));
  const auto response = server.Send("POST", "/models?url=" + ManagedServer::DemoModel());
  EXPECT_EQ(response.status, 200) << response.body;
}

TEST_F(ManagementTest, OtherMethodsAndWorkflowsAreRefusedByName) {
  const std::string method =
      Error(405, "MethodNotAllowedException",
            "Requested method is not allowed, please refer to API document.");
  Expect(server_.Send("PATCH", "/models"), 405, method);
  Expect(server_.Send("POST", "/models/a"), 405, method);
  Expect(server_.Send("POST", "/workflows?url=/w.json"), 400,
         Error(400, "BadWorkflowException",
               "workflows of several models cannot be served in this build; register each model by "
               "POST /models"));
}

TEST(ReloadTest, ChangedFilesAreServedAndNoRequestIsLost) {
  serving::ModelManager::Options options;
  options.reload_interval = std::chrono::milliseconds(2);
  ManagedServer server(options);
  const fs::path model = server.folder() / "model";
  fs::copy(ManagedServer::DemoModel(), model);
  ASSERT_EQ(server.Send("POST", "/models?url=" + model.string()).status, 200);
  const std::string answer = server.Send("POST", "/predictions/model", kPrompt, kJson).body;
  const auto old = server.repository().Versions("model", "")[0].model.get();
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&] {
      while (!stop) {
        const auto response = server.Send("POST", "/predictions/model", kPrompt, kJson);
        wrong += response.status != 200 || response.body != answer;
      }
    });
  }
  for (int size = 70; size < 73; ++size) {
    std::ofstream(model / "serving.properties") << "job_queue_size=" << size << "\n";
    const std::string field = "\"queueSize\": " + std::to_string(size);
    while (server.Send("GET", "/models/model").body.find(field) == std::string::npos) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  EXPECT_NE(server.repository().Versions("model", "")[0].model.get(), old);
  // Files that are no model leave the one that serves.
  std::ofstream(model / "config.json") << "{";
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(server.Send("GET", "/ping").status, 200);
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(server.Send("DELETE", "/models/model").status, 200);
}

TEST(LoadMissingTest, TheFirstRequestLoadsAPermittedModel) {
  ManagedServer server({}, ".*/models/[a-z]+");
  const std::string with_url = "?model_url=" + ManagedServer::DemoModel();
  std::vector<std::thread> clients;
  std::atomic<int> answered{0};
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      const auto response = server.Send("POST", "/predictions/lazy" + with_url, kPrompt, kJson);
      // The others come while it is being loaded, or later.
      answered += response.status == 200;
      EXPECT_TRUE(response.status == 200 || response.status == 503) << response.body;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_GE(answered, 1);
  EXPECT_EQ(server.Send("POST", "/predictions/lazy", kPrompt, kJson).status, 200);
  EXPECT_EQ(server.Send("POST", "/predictions/other", kPrompt, kJson).body,
            Error(404, "ModelNotFoundException", "Parameter model_url is required."));
  EXPECT_EQ(server.Send("POST", "/predictions/other?model_url=/etc/models", kPrompt, kJson).body,
            Error(404, "ModelNotFoundException", "Permission denied: /etc/models"));
  EXPECT_EQ(server.Send("POST", "/predictions/other?model_url=/models/no", kPrompt, kJson).status,
            404);
}

}  // namespace
}  // namespace dray::testing
