#include "management/random_sequences.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "base/parse/json.h"
#include "testing/managed_server.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 2> kNames = {"a", "b"};
constexpr std::array<const char*, 3> kVersions = {"", "1", "2"};
const std::string kPrompt =
    R"({"inputs": "One day", "parameters": {"max_new_tokens": 6, "ignore_eos_token": true}})";
const std::string kJson = "Content-Type: application/json\r\n";

std::optional<std::string> TextOf(const HttpResponse& response) {
  const auto json = Json::Parse(response.body);
  if (!json.ok() || json->Find("generated_text") == nullptr) return std::nullopt;
  return *json->Find("generated_text")->AsString();
}

size_t NumEntries(const char* folder) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

class Sequence {
 public:
  explicit Sequence(uint32_t seed) : random_(seed), server_(Options()) {
    model_ = server_.folder() / "model";
    fs::copy(ManagedServer::DemoModel(), model_);
    Call("POST", Url("first", ""), {200});
    expected_ = TextOf(Predict("first")).value_or("");
    Call("DELETE", "/models/first", {200});
  }

  SequenceResult Run(int num_calls) {
    std::vector<std::thread> clients;
    for (int i = 0; i < 3; ++i) clients.emplace_back([this, i] { KeepAsking(random_() + i); });
    for (int i = 0; i < num_calls; ++i) RandomCall();
    stop_ = true;
    for (std::thread& client : clients) client.join();
    for (const char* name : kNames) Call("DELETE", fmt::format("/models/{}", name), {200, 404});
    return result_;
  }

 private:
  static serving::ModelManager::Options Options() {
    serving::ModelManager::Options options;
    options.reload_interval = std::chrono::milliseconds(2);
    return options;
  }
  std::string Url(const std::string& name, const std::string& version) const {
    return fmt::format("/models?url={}&model_name={}&model_version={}", model_.string(), name,
                       version);
  }
  static std::string Path(const std::string& name, const std::string& version) {
    return "/models/" + name + (version.empty() ? "" : "/" + version);
  }
  HttpResponse Predict(const std::string& name) {
    return server_.Send("POST", "/predictions/" + name, kPrompt, kJson);
  }
  void Problem(std::string text) {
    const std::lock_guard lock(mutex_);
    result_.problems.push_back(std::move(text));
  }

  int Call(const std::string& method, const std::string& target, const std::vector<int>& expected) {
    const HttpResponse response = server_.Send(method, target);
    if (std::find(expected.begin(), expected.end(), response.status) == expected.end()) {
      Problem(fmt::format("{} {}: {} {}", method, target, response.status, response.body));
    }
    return response.status;
  }
  void RandomCall() {
    const std::string name = kNames.at(random_() % kNames.size());
    const std::string version = kVersions.at(random_() % kVersions.size());
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
        Call("POST", Url(name, version), {200, 409});
        break;
      case 3:
        Call("POST", Url(name, version) + "&synchronous=false", {202, 409});
        break;
      case 4:
        Call("DELETE", Path(name, version), {200, 404});
        break;
      case 5:
        Call("PUT",
             fmt::format("{}?min_worker={}&max_worker={}", Path(name, version), 1 + random_() % 2,
                         2 + random_() % 2),
             {200, 404, 503});
        break;
      case 6:
        // The same weights, but other files: the models are loaded anew.
        std::ofstream(model_ / "serving.properties")
            << "job_queue_size=" << 100 + random_() % 100 << "\n";
        break;
      default:
        Call("GET", "/models/" + name, {200, 404});
        Call("GET", "/models", {200});
    }
  }
  void KeepAsking(uint32_t seed) {
    std::mt19937 random(seed);
    while (!stop_) {
      const std::string name = kNames.at(random() % kNames.size());
      const HttpResponse response = Predict(name);
      const std::lock_guard lock(mutex_);
      if (response.status == 200 && TextOf(response) == expected_) {
        ++result_.answered;
      } else if (response.status == 404 || response.status == 503) {
        ++result_.refused;
      } else {
        result_.problems.push_back(
            fmt::format("a request to {}: {} {}", name, response.status, response.body));
      }
    }
  }

  std::mt19937 random_;
  ManagedServer server_;
  fs::path model_;
  std::string expected_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  SequenceResult result_;
};

}  // namespace

SequenceResult RunRandomSequence(uint32_t seed, int num_calls) {
  const size_t num_threads = NumEntries("/proc/self/task");
  const size_t num_descriptors = NumEntries("/proc/self/fd");
  SequenceResult result;
  {
    Sequence sequence(seed);
    result = sequence.Run(num_calls);
  }
  const std::pair<const char*, size_t> counts[] = {{"/proc/self/task", num_threads},
                                                   {"/proc/self/fd", num_descriptors}};
  for (const auto& [folder, before] : counts) {
    const size_t after = NumEntries(folder);
    if (after > before) {
      result.problems.push_back(
          fmt::format("{} has {} entries, before it had {}", folder, after, before));
    }
  }
  return result;
}

}  // namespace dray::testing
