// The responder that a connection hands out: it lives as long as a handler keeps it, the connection
// may go before. Threads: any; its mutex is never held while a handler's callback runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "http/responder.h"

namespace dray::http {

class Connection;

class Exchange final : public Responder {
 public:
  struct Setup {
    // Names this exchange among those of its connection.
    uint64_t id = 0;
    BodyFraming stream_framing = BodyFraming::kChunked;
    // A HEAD request: streamed data is dropped.
    bool head_only = false;
    size_t max_unsent_bytes = 0;
  };
  Exchange(std::shared_ptr<Connection> connection, const Setup& setup);
  // Answers 500, or breaks off a stream, if the handler let go before the end.
  ~Exchange() override;

  void Send(Response response) override;
  void BeginStream(ResponseHead head) override;
  bool Write(std::string_view data) override;
  void End() override;
  void Abort() override;
  void OnCancel(std::function<void()> callback) override;
  bool cancelled() const override { return cancelled_.load(std::memory_order_relaxed); }

  // For the connection, on its thread.
  enum class Outcome { kSent, kCancelled };
  // Lets go of the connection; runs the callback if cancelled.
  void Finish(Outcome outcome);
  void AddUnsent(size_t bytes) { unsent_bytes_ += bytes; }
  void OnSent(size_t bytes);

 private:
  enum class Stage { kOpen, kStreaming, kEnded };

  const Setup setup_;
  std::mutex mutex_;
  // Null once the exchange is over.
  std::shared_ptr<Connection> connection_;
  Stage stage_ = Stage::kOpen;
  std::function<void()> on_cancel_;
  std::atomic<bool> cancelled_{false};
  std::atomic<size_t> unsent_bytes_{0};
};

}  // namespace dray::http
