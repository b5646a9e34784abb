// Which texts of which requests the next pass computes: a pure state machine. Requests take turns, a
// text each, so that a small request is not kept waiting by a large one that came before it.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "base/ids.h"
#include "engine/encoder/encode_request.h"

namespace dray::engine {

struct EncodeJob {
  RequestId id{0};
  EncodeRequest request;
  std::shared_ptr<EncodeSink> sink;
  size_t num_taken = 0;  // texts that passes have taken
  // Of the engine: what the sink was told, and with which restart of the runner texts of the job were first
  // lost; 0: none was.
  bool started = false;
  bool ended = false;
  uint64_t lost_with = 0;
};

class EncodeQueue {
 public:
  // Every text of a job has at most `max_tokens` tokens.
  EncodeQueue(int64_t max_tokens, int64_t max_texts)
      : max_tokens_(max_tokens), max_texts_(max_texts) {}

  bool empty() const { return jobs_.empty(); }
  int64_t size() const { return static_cast<int64_t>(jobs_.size()); }
  void Add(EncodeJob job) { jobs_.push_back(std::make_shared<EncodeJob>(std::move(job))); }

  // A text of a pass. Jobs live as long as their places.
  struct Place {
    std::shared_ptr<EncodeJob> job;
    size_t text_idx = 0;

    const EncodeText& text() const { return job->request.texts[text_idx]; }
    bool is_last() const { return text_idx + 1 == job->request.texts.size(); }
  };
  // Takes the texts of the next pass: at most max_texts, with at most max_tokens tokens together. A
  // job whose last text is taken leaves the queue. Those of one job stand in their order.
  std::vector<Place> TakePass();
  // Takes back what passes have taken of a job from `text_idx` on. These texts are the next ones.
  void PutBack(const std::shared_ptr<EncodeJob>& job, size_t text_idx);
  // Removes the job of this id and returns it; null if the queue has none.
  std::shared_ptr<EncodeJob> Remove(RequestId id);
  // Removes all jobs and returns them.
  std::list<std::shared_ptr<EncodeJob>> RemoveAll();

 private:
  const int64_t max_tokens_, max_texts_;
  std::list<std::shared_ptr<EncodeJob>> jobs_;  // the next one to take a text from is the first
};

}  // namespace dray::engine
