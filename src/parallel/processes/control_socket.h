// The socket over which the process that starts a rank and the rank's process tell each other what
// to do and how they are. Messages arrive whole and in order. A message may carry descriptors of
// memory files. When one process ends, the other one's next Receive fails.
//
// Threads: Send and Receive may be called by different threads.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "base/status.h"

namespace dray::parallel {

// A descriptor that is closed with this object.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();

  int value() const { return value_; }

 private:
  int value_ = -1;
};

struct ControlMessage {
  std::vector<std::byte> bytes;
  std::vector<Descriptor> descriptors;
};

class ControlSocket {
 public:
  // The most bytes and descriptors of one message.
  static constexpr size_t kMaxBytes = 65536;
  static constexpr size_t kMaxDescriptors = 8;

  // Both ends, which are closed when another program is executed.
  static Result<std::pair<ControlSocket, ControlSocket>> MakePair();
  // An end that this process has inherited.
  explicit ControlSocket(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  int descriptor() const { return descriptor_.value(); }

  // Waits while the other process has too many messages to read. kUnavailable if it has ended.
  Status Send(std::span<const std::byte> bytes, std::span<const int> descriptors = {}) const;
  // Sends the message if that needs no wait. False if it was not sent.
  bool TrySend(std::span<const std::byte> bytes) const;
  // Waits for the next message. kUnavailable if the other process has ended, kCorrupt if the message
  // is too large.
  Result<ControlMessage> Receive() const;
  // Waits for a message or the other process's end, for at most `timeout_ms`. Whether there is one.
  bool AwaitMessage(int timeout_ms) const;
  // Whether the other process has ended. Waits for that, for at most `timeout_ms`.
  bool AwaitPeerEnd(int timeout_ms) const;

 private:
  Descriptor descriptor_;
};

}  // namespace dray::parallel
