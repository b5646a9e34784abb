// A model is removed while it and another one serve: the other's answers stay what they were, and
// the memory comes back.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/testing/source_dir.h"
#include "serving/load/open_model.h"
#include "serving/repository.h"
#include "testing/large_model.h"

namespace dray::serving {
namespace {

using Clock = std::chrono::steady_clock;

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

// The text of one request, and its end.
class TextCollector final : public TextSink {
 public:
  void OnEvent(TextEvent event) override {
    const std::lock_guard lock(mutex_);
    if (const auto* some = std::get_if<SequenceTextEvent>(&event)) {
      for (const TextToken& token : some->tokens) text_ += token.text;
      text_ += some->tail_text;
    }
    if (const auto* end = std::get_if<EndEvent>(&event)) end_ = end->status();
    changed_.notify_all();
  }
  Status Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return end_.has_value(); });
    return *end_;
  }
  const std::string& text() const { return text_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  std::optional<Status> end_;
};

// Asks a model by name; nothing if it was refused or did not end well.
std::optional<std::string> Ask(const ModelRepository& repository, const std::string& name) {
  TextRequest request;
  request.text = "Once upon a time";
  request.max_new_tokens = 12;
  request.params.ignore_eos = true;
  auto sink = std::make_shared<TextCollector>();
  {
    const auto model = repository.Find(name, "");
    if (!model.ok() || !(*model)->Submit(request, sink).ok()) return std::nullopt;
  }
  if (!sink->Wait().ok()) return std::nullopt;
  return sink->text();
}

void Load(ModelRepository& repository, const std::string& name, const std::filesystem::path& dir,
          engine::LoadFormat load_format) {
  settings::ModelSettings settings;
  settings.model_name = name;
  settings.load_format = load_format;
  settings.dtype = kernels::WeightFormat::kBF16;
  settings.max_model_len = 64;
  settings.max_rolling_batch_size = 4;
  settings.threads = 2;
  ASSERT_TRUE(repository.AddPending(name, "").ok());
  repository.SetLoading(name, "");
  auto model = OpenModel(settings, {.model = dir, .tokenizer = dir, .draft = {}});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  repository.SetReady(std::move(*model));
}

TEST(RemoveModelTest, TheOtherModelDoesNotNotice) {
  SetLogLevel(LogLevel::kWarning);
  const testing::LargeModelFolder folder(6);  // about 200 MB in bf16
  ModelRepository repository;
  Load(repository, "kept", SourceDir() / "models/demo", engine::LoadFormat::kCheckpoint);
  const auto expected = Ask(repository, "kept");
  ASSERT_TRUE(expected.has_value());
  const int64_t before = ResidentBytes();
  Load(repository, "gone", folder.dir(), engine::LoadFormat::kDummy);
  ASSERT_TRUE(Ask(repository, "gone").has_value());
  const int64_t loaded = ResidentBytes() - before;
  EXPECT_GT(loaded, 150'000'000);

  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0}, answered{0}, gone_answered{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([&] {
      while (!stop) {
        ++(Ask(repository, "kept") == expected ? answered : wrong);
      }
    });
    clients.emplace_back([&] {
      while (Ask(repository, "gone").has_value()) ++gone_answered;
    });
  }
  while (answered < 4 || gone_answered < 2) std::this_thread::yield();
  const int answered_before = answered;
  EXPECT_TRUE(repository.Remove("gone", "", Clock::now() + std::chrono::seconds(60)).ok());
  const int answered_until_removed = answered;
  EXPECT_LT(ResidentBytes() - before, loaded / 10);
  EXPECT_FALSE(Ask(repository, "gone").has_value());
  while (answered < answered_until_removed + 4) std::this_thread::yield();
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(answered, answered_before);
  EXPECT_EQ(repository.List().size(), 1U);
}

}  // namespace
}  // namespace dray::serving
