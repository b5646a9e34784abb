// A link carries messages from one rank to another, in their order: a pipeline's stage gives its
// activations to the next stage through it. Several messages may be under way, so the sender goes
// on with its next micro-batch while the receiver still computes the last one.
//
// The ends are threads of one process, or processes of one machine that share memory. Neither end
// allocates memory for a message.
//
// Threads: each end belongs to one thread. Abort may come from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"
#include "parallel/memory/memory_file.h"
#include "parallel/memory/ring_memory.h"
#include "parallel/rank_timeout.h"

namespace dray::parallel {

// What went through an end of a link since it was made.
struct LinkTraffic {
  uint64_t messages = 0;
  uint64_t bytes = 0;
};

class LinkSender {
 public:
  virtual ~LinkSender() = default;

  // Copies the message; waits if `depth` messages are under way that the receiver has not taken.
  // kUnavailable if the receiver takes none in time or its process has ended; then the link has
  // ended, and every later call at both ends fails alike.
  virtual Status Send(std::span<const std::byte> message) = 0;
  // Ends the link: both ends fail with `reason`, also those that wait.
  virtual void Abort(const Status& reason) = 0;
  virtual LinkTraffic traffic() const = 0;
};

class LinkReceiver {
 public:
  virtual ~LinkReceiver() = default;

  // Waits for the next message, copies it into `into` and returns its size in bytes.
  // kUnavailable as for Send; kResourceExhausted if the message is larger than `into`, which ends
  // the link, too. Messages that were sent before the sender's process ended still arrive.
  virtual Result<int64_t> Receive(std::span<std::byte> into) = 0;
  virtual void Abort(const Status& reason) = 0;
  virtual LinkTraffic traffic() const = 0;
};

struct LinkSpec {
  int64_t from = 0;  // ranks at the ends, for messages
  int64_t to = 1;
  int64_t max_bytes = 0;  // of a message, [1, kMaxMessageBytes]
  int64_t depth = 2;      // messages under way, [1, kMaxDepth]
  // How long an end waits for the other one. 0: without limit, as for a stage that has no work.
  std::chrono::milliseconds send_timeout = kRankTimeout;
  std::chrono::milliseconds receive_timeout{0};
  // Computing threads of all ranks of this machine: if there are more of them than processors,
  // waiters do not spin.
  int64_t threads = 2;
};

// The error of a receiver that has no room for a message.
Status MessageTooLarge(int64_t from, int64_t to, int64_t message_bytes, int64_t room_bytes);

struct Link {
  std::unique_ptr<LinkSender> sender;
  std::unique_ptr<LinkReceiver> receiver;
};
// Between two threads. kInvalidArgument names a value outside its limits; kResourceExhausted if the
// memory cannot be had.
Result<Link> MakeThreadLink(const LinkSpec& spec);

// Between two processes, which inherit the descriptor as those of a SharedMemoryGroup do.
class SharedMemoryLink {
 public:
  // Fails as MakeThreadLink does.
  static Result<SharedMemoryLink> Create(const LinkSpec& spec);

  int descriptor() const { return file_.descriptor(); }
  void Abort(const Status& reason) const { memory_.End(reason, FutexScope::kShared); }

 private:
  SharedMemoryLink(MemoryFile file, RingMemory memory);

  MemoryFile file_;
  RingMemory memory_;
};

// This process becomes an end of the link. kInvalidArgument if the descriptor is not that of a
// link, or another process is this end already; kCorrupt if the memory is not that of a link.
Result<std::unique_ptr<LinkSender>> JoinAsSender(int descriptor);
Result<std::unique_ptr<LinkReceiver>> JoinAsReceiver(int descriptor);

}  // namespace dray::parallel
