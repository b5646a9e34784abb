#include "parallel/link.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"

namespace dray::parallel {
namespace {

// What both ends have in common.
struct EndParts {
  std::shared_ptr<const RingMemory> memory;
  LinkEnd end = LinkEnd::kSender;
  FutexScope scope = FutexScope::kProcess;
  std::shared_ptr<const Liveness> liveness;  // null between threads
};

class RingEnd {
 public:
  explicit RingEnd(EndParts parts)
      : parts_(std::move(parts)), memory_(*parts_.memory), rules_(Rules()) {}

  // Waits until the other end has advanced `messages` times; `what` it would have done then.
  Status AwaitOther(int64_t messages, std::string_view what) {
    DRAY_RETURN_IF_ERROR(failure_);
    const LinkEnd other = is_sender() ? LinkEnd::kReceiver : LinkEnd::kSender;
    const Mark mark = kFirstMark + static_cast<Mark>(messages);
    const WaitOutcome outcome =
        AwaitMark(memory_.line(other).word, mark, rules_, static_cast<int64_t>(other));
    if (outcome == WaitOutcome::kReached) return OkStatus();
    if (outcome == WaitOutcome::kEnded) return failure_ = memory_.Reason();
    const int64_t rank = is_sender() ? memory_.shape().to : memory_.shape().from;
    return Fail(
        {StatusCode::kUnavailable,
         outcome == WaitOutcome::kGone
             ? fmt::format("rank {} has ended: its process is gone", rank)
             : fmt::format("rank {} did not {} within {} ms", rank, what, rules_.timeout.count())});
  }

  // This end is through with a message of that size.
  Status Done(int64_t size_bytes) {
    ++traffic_.messages;
    traffic_.bytes += static_cast<uint64_t>(size_bytes);
    if (Advance(memory_.line(parts_.end).word, parts_.scope)) return OkStatus();
    return failure_ = memory_.Reason();
  }

  Status Fail(const Status& reason) {
    memory_.End(reason, parts_.scope);
    return failure_ = reason;
  }

  void Abort(const Status& reason) { memory_.End(reason, parts_.scope); }
  const RingMemory& memory() const { return memory_; }
  LinkTraffic traffic() const { return traffic_; }
  int64_t num_messages() const { return static_cast<int64_t>(traffic_.messages); }

 private:
  bool is_sender() const { return parts_.end == LinkEnd::kSender; }
  WaitRules Rules() const {
    const RingShape& shape = memory_.shape();
    return {.scope = parts_.scope,
            .spin = std::chrono::microseconds(shape.spin_us),
            .timeout = std::chrono::milliseconds(is_sender() ? shape.send_timeout_ms
                                                             : shape.receive_timeout_ms),
            .liveness = parts_.liveness.get()};
  }

  const EndParts parts_;
  const RingMemory& memory_;
  const WaitRules rules_;
  Status failure_;  // of a call that failed: all later ones fail alike
  LinkTraffic traffic_;
};

class RingSender final : public LinkSender {
 public:
  explicit RingSender(EndParts parts) : ring_(std::move(parts)) {}

  Status Send(std::span<const std::byte> message) override {
    const RingShape& shape = ring_.memory().shape();
    DRAY_CHECK(static_cast<int64_t>(message.size()) <= shape.max_bytes);
    const int64_t taken = std::max<int64_t>(0, ring_.num_messages() + 1 - shape.depth);
    DRAY_RETURN_IF_ERROR(ring_.AwaitOther(taken, "take a message"));
    const RingSlot slot = ring_.memory().slot(ring_.num_messages());
    slot.size_bytes->store(message.size(), std::memory_order_relaxed);
    std::copy(message.begin(), message.end(), slot.data);
    return ring_.Done(static_cast<int64_t>(message.size()));
  }
  void Abort(const Status& reason) override { ring_.Abort(reason); }
  LinkTraffic traffic() const override { return ring_.traffic(); }

 private:
  RingEnd ring_;
};

class RingReceiver final : public LinkReceiver {
 public:
  explicit RingReceiver(EndParts parts) : ring_(std::move(parts)) {}

  Result<int64_t> Receive(std::span<std::byte> into) override {
    DRAY_RETURN_IF_ERROR(ring_.AwaitOther(ring_.num_messages() + 1, "send a message"));
    const RingSlot slot = ring_.memory().slot(ring_.num_messages());
    const uint64_t size = slot.size_bytes->load(std::memory_order_relaxed);
    const RingShape& shape = ring_.memory().shape();
    if (size > static_cast<uint64_t>(shape.max_bytes)) {
      return ring_.Fail({StatusCode::kUnavailable,
                         fmt::format("rank {} sent a message of {} bytes over a link for {}: its "
                                     "memory is damaged",
                                     shape.from, size, shape.max_bytes)});
    }
    if (size > into.size()) {
      return ring_.Fail(MessageTooLarge(shape.from, shape.to, static_cast<int64_t>(size),
                                        static_cast<int64_t>(into.size())));
    }
    std::copy_n(slot.data, size, into.begin());
    DRAY_RETURN_IF_ERROR(ring_.Done(static_cast<int64_t>(size)));
    return static_cast<int64_t>(size);
  }
  void Abort(const Status& reason) override { ring_.Abort(reason); }
  LinkTraffic traffic() const override { return ring_.traffic(); }

 private:
  RingEnd ring_;
};

RingShape ShapeOf(const LinkSpec& spec) {
  return {.from = spec.from,
          .to = spec.to,
          .max_bytes = spec.max_bytes,
          .depth = spec.depth,
          .send_timeout_ms = spec.send_timeout.count(),
          .receive_timeout_ms = spec.receive_timeout.count(),
          .spin_us = SpinTime(spec.threads).count()};
}

// Claims an end of the link behind the descriptor.
Result<EndParts> Join(int descriptor, LinkEnd end) {
  DRAY_ASSIGN_OR_RETURN(MemoryFile file, MemoryFile::Open(descriptor));
  DRAY_ASSIGN_OR_RETURN(Region region, file.Map());
  DRAY_ASSIGN_OR_RETURN(RingMemory mapped, RingMemory::Attach(std::move(region)));
  const auto memory = std::make_shared<const RingMemory>(std::move(mapped));
  // An end whose process has ended stays attached: another one would not know where it stopped.
  if (!file.Claim(static_cast<int64_t>(end)) ||
      memory->line(end).attached.exchange(1, std::memory_order_acq_rel) != 0) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("the {} of the link from rank {} to rank {} is, or was, another "
                              "process; make a new link",
                              end == LinkEnd::kSender ? "sender" : "receiver", memory->shape().from,
                              memory->shape().to));
  }
  std::vector<const std::atomic<uint32_t>*> attached = {&memory->line(LinkEnd::kSender).attached,
                                                        &memory->line(LinkEnd::kReceiver).attached};
  return EndParts{memory, end, FutexScope::kShared,
                  std::make_shared<const ClaimLiveness>(std::move(file), std::move(attached))};
}

}  // namespace

Status MessageTooLarge(int64_t from, int64_t to, int64_t message_bytes, int64_t room_bytes) {
  return {StatusCode::kResourceExhausted,
          fmt::format("rank {} sent a message of {} bytes where rank {} has room for {}: the ranks "
                      "have gone apart",
                      from, message_bytes, to, room_bytes)};
}

Result<Link> MakeThreadLink(const LinkSpec& spec) {
  const RingShape shape = ShapeOf(spec);
  DRAY_RETURN_IF_ERROR(CheckShape(shape));
  DRAY_ASSIGN_OR_RETURN(Region region, Region::Anonymous(RingMemory::SizeBytes(shape)));
  const auto memory =
      std::make_shared<const RingMemory>(RingMemory::Format(std::move(region), shape));
  const auto parts = [&](LinkEnd end) {
    return EndParts{memory, end, FutexScope::kProcess, nullptr};
  };
  return Link{std::make_unique<RingSender>(parts(LinkEnd::kSender)),
              std::make_unique<RingReceiver>(parts(LinkEnd::kReceiver))};
}

SharedMemoryLink::SharedMemoryLink(MemoryFile file, RingMemory memory)
    : file_(std::move(file)), memory_(std::move(memory)) {}

Result<SharedMemoryLink> SharedMemoryLink::Create(const LinkSpec& spec) {
  const RingShape shape = ShapeOf(spec);
  DRAY_RETURN_IF_ERROR(CheckShape(shape));
  DRAY_ASSIGN_OR_RETURN(MemoryFile file,
                        MemoryFile::Create("dray-link", RingMemory::SizeBytes(shape)));
  DRAY_ASSIGN_OR_RETURN(Region region, file.Map());
  return SharedMemoryLink(std::move(file), RingMemory::Format(std::move(region), shape));
}

Result<std::unique_ptr<LinkSender>> JoinAsSender(int descriptor) {
  DRAY_ASSIGN_OR_RETURN(EndParts parts, Join(descriptor, LinkEnd::kSender));
  return std::unique_ptr<LinkSender>(std::make_unique<RingSender>(std::move(parts)));
}

Result<std::unique_ptr<LinkReceiver>> JoinAsReceiver(int descriptor) {
  DRAY_ASSIGN_OR_RETURN(EndParts parts, Join(descriptor, LinkEnd::kReceiver));
  return std::unique_ptr<LinkReceiver>(std::make_unique<RingReceiver>(std::move(parts)));
}

}  // namespace dray::parallel
