#include "parallel/mpi/mpi_link.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "parallel/memory/region.h"
#include "parallel/memory/ring_memory.h"
#include "parallel/mpi/mpi_channel.h"

namespace dray::parallel {
namespace {

// Memory of messages that stays when MPI may still use it.
class MessageMemory {
 public:
  MessageMemory(Region region, int64_t max_bytes)
      : region_(std::move(region)), max_bytes_(max_bytes) {}
  std::byte* slot(int64_t index) const { return region_.data() + index * max_bytes_; }
  void Leave() { new Region(std::move(region_)); }

 private:
  Region region_;
  int64_t max_bytes_;
};

// In a channel of two members, 0 sends to 1.
constexpr int64_t kSender = 0;
constexpr int64_t kReceiver = 1;

class MpiSender final : public LinkSender {
 public:
  MpiSender(MpiChannelSpec channel, const LinkSpec& link, MessageMemory memory)
      : channel_(std::move(channel)),
        max_bytes_(link.max_bytes),
        memory_(std::move(memory)),
        requests_(static_cast<size_t>(link.depth)) {}
  ~MpiSender() override {
    if (!channel_.AwaitLast(requests_)) memory_.Leave();
  }

  Status Send(std::span<const std::byte> message) override {
    DRAY_CHECK(static_cast<int64_t>(message.size()) <= max_bytes_);
    DRAY_RETURN_IF_ERROR(channel_.CheckEnd());
    const MpiAwaited to{kReceiver, MpiKind::kMessage};
    const auto slot = static_cast<size_t>(traffic_.messages % requests_.size());
    DRAY_RETURN_IF_ERROR(channel_.Await(&requests_[slot], to).status());
    std::byte* const copy = memory_.slot(static_cast<int64_t>(slot));
    std::copy(message.begin(), message.end(), copy);
    DRAY_RETURN_IF_ERROR(
        channel_.Send(copy, static_cast<int64_t>(message.size()), to, &requests_[slot]));
    ++traffic_.messages;
    traffic_.bytes += message.size();
    return OkStatus();
  }
  void Abort(const Status& reason) override { channel_.Abort(reason); }
  LinkTraffic traffic() const override { return traffic_; }

 private:
  MpiChannel channel_;
  const int64_t max_bytes_;
  MessageMemory memory_;
  std::vector<DrayMpiRequest> requests_;  // [slot]
  LinkTraffic traffic_;
};

class MpiReceiver final : public LinkReceiver {
 public:
  MpiReceiver(MpiChannelSpec channel, const LinkSpec& link, MessageMemory memory)
      : channel_(std::move(channel)), link_(link), memory_(std::move(memory)) {}
  ~MpiReceiver() override {
    if (request_.in_use != 0) memory_.Leave();
  }

  Result<int64_t> Receive(std::span<std::byte> into) override {
    DRAY_RETURN_IF_ERROR(channel_.CheckEnd());
    const MpiAwaited from{kSender, MpiKind::kMessage};
    DRAY_RETURN_IF_ERROR(channel_.Receive(memory_.slot(0), link_.max_bytes, from, &request_));
    DRAY_ASSIGN_OR_RETURN(const int64_t size, channel_.Await(&request_, from));
    if (size > static_cast<int64_t>(into.size())) {
      return channel_.Fail(
          MessageTooLarge(link_.from, link_.to, size, static_cast<int64_t>(into.size())));
    }
    std::copy_n(memory_.slot(0), size, into.begin());
    ++traffic_.messages;
    traffic_.bytes += static_cast<uint64_t>(size);
    return size;
  }
  void Abort(const Status& reason) override { channel_.Abort(reason); }
  LinkTraffic traffic() const override { return traffic_; }

 private:
  MpiChannel channel_;
  const LinkSpec link_;
  MessageMemory memory_;
  DrayMpiRequest request_{};
  LinkTraffic traffic_;
};

struct EndParts {
  MpiChannelSpec channel;
  MessageMemory memory;
};

// What an end of the link is made of; `slots` messages fit into its memory.
Result<EndParts> MakeParts(const MpiLinkSpec& spec, int64_t end, int64_t slots) {
  const LinkSpec& link = spec.link;
  DRAY_RETURN_IF_ERROR(CheckShape(RingShape{.max_bytes = link.max_bytes, .depth = link.depth}));
  const auto member = [](int64_t rank) {
    return static_cast<int32_t>(std::clamp<int64_t>(rank, -1, INT32_MAX));
  };
  MpiChannelSpec channel{.library = spec.library,
                         .members = {member(link.from), member(link.to)},
                         .rank = end,
                         .channel = spec.channel,
                         .timeout = end == kSender ? link.send_timeout : link.receive_timeout,
                         .threads_per_rank = 1};
  DRAY_RETURN_IF_ERROR(CheckSpec(channel));
  if (link.max_bytes > kMaxMpiBytes || channel.members[end] != spec.library->job().rank) {
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("a link over MPI from rank {} to rank {} for messages of {} bytes, at "
                    "rank {} of the job: messages may have up to {}",
                    link.from, link.to, link.max_bytes, spec.library->job().rank, kMaxMpiBytes));
  }
  DRAY_ASSIGN_OR_RETURN(Region region, Region::Anonymous(slots * link.max_bytes));
  return EndParts{std::move(channel), MessageMemory(std::move(region), link.max_bytes)};
}

}  // namespace

Result<std::unique_ptr<LinkSender>> MakeMpiSender(const MpiLinkSpec& spec) {
  DRAY_ASSIGN_OR_RETURN(EndParts parts, MakeParts(spec, kSender, spec.link.depth));
  return std::unique_ptr<LinkSender>(
      std::make_unique<MpiSender>(std::move(parts.channel), spec.link, std::move(parts.memory)));
}

Result<std::unique_ptr<LinkReceiver>> MakeMpiReceiver(const MpiLinkSpec& spec) {
  DRAY_ASSIGN_OR_RETURN(EndParts parts, MakeParts(spec, kReceiver, 1));
  return std::unique_ptr<LinkReceiver>(
      std::make_unique<MpiReceiver>(std::move(parts.channel), spec.link, std::move(parts.memory)));
}

}  // namespace dray::parallel
