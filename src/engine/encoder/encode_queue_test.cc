// Which texts go into a pass, and in which order requests take turns.
#include "engine/encoder/encode_queue.h"

#include <gtest/gtest.h>

#include <string>

namespace dray::engine {
namespace {

class NoSink final : public EncodeSink {
 public:
  void OnText(size_t, std::vector<float>) override {}
  void OnEnd(const Status&) override {}
};

EncodeJob Job(uint64_t id, const std::vector<size_t>& lengths) {
  EncodeJob job;
  job.id = RequestId(id);
  job.sink = std::make_shared<NoSink>();
  for (const size_t length : lengths) {
    job.request.texts.push_back({.ids = std::vector<int32_t>(length, 1), .types = {}});
  }
  return job;
}

// "1.0 1.1 2.0": the texts of a pass.
std::string Pass(EncodeQueue& queue) {
  std::string text;
  for (const EncodeQueue::Place& place : queue.TakePass()) {
    text += (text.empty() ? "" : " ") + std::to_string(place.job->id.value()) + "." +
            std::to_string(place.text_idx);
  }
  return text;
}

TEST(EncodeQueueTest, RequestsTakeTurns) {
  EncodeQueue queue(100, 4);
  queue.Add(Job(1, {1, 1, 1, 1, 1}));
  queue.Add(Job(2, {1}));
  queue.Add(Job(3, {1, 1}));
  EXPECT_EQ(Pass(queue), "1.0 2.0 3.0 1.1");
  EXPECT_EQ(queue.size(), 2);
  EXPECT_EQ(Pass(queue), "3.1 1.2 1.3 1.4");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(Pass(queue), "");
}

TEST(EncodeQueueTest, APassEndsAtTheFirstTextThatDoesNotFit) {
  EncodeQueue queue(10, 8);
  queue.Add(Job(1, {6}));
  queue.Add(Job(2, {5}));
  queue.Add(Job(3, {1}));
  EXPECT_EQ(Pass(queue), "1.0");
  EXPECT_EQ(Pass(queue), "2.0 3.0");
}

TEST(EncodeQueueTest, OneTextMayFillAPass) {
  EncodeQueue queue(10, 8);
  queue.Add(Job(1, {10, 10}));
  EXPECT_EQ(Pass(queue), "1.0");
  EXPECT_EQ(Pass(queue), "1.1");
}

TEST(EncodeQueueTest, WhatIsPutBackIsNext) {
  EncodeQueue queue(100, 4);
  queue.Add(Job(1, {1, 1, 1, 1}));
  queue.Add(Job(2, {1}));
  queue.Add(Job(3, {1}));
  const auto lost = queue.TakePass();
  EXPECT_EQ(queue.size(), 1);
  for (auto place = lost.rbegin(); place != lost.rend(); ++place) {
    queue.PutBack(place->job, place->text_idx);
  }
  EXPECT_EQ(queue.size(), 3);
  EXPECT_EQ(Pass(queue), "1.0 2.0 3.0 1.1");
  EXPECT_EQ(Pass(queue), "1.2 1.3");
  EXPECT_TRUE(queue.empty());
}

TEST(EncodeQueueTest, WhatIsRemovedIsNotComputed) {
  EncodeQueue queue(10, 8);
  queue.Add(Job(1, {4, 4, 4}));
  queue.Add(Job(2, {1}));
  EXPECT_EQ(Pass(queue), "1.0 2.0 1.1");
  EXPECT_EQ(queue.Remove(RequestId(2)), nullptr);
  ASSERT_NE(queue.Remove(RequestId(1)), nullptr);
  EXPECT_TRUE(queue.empty());
  queue.Add(Job(3, {1}));
  queue.Add(Job(4, {1}));
  EXPECT_EQ(queue.RemoveAll().size(), 2u);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace dray::engine
