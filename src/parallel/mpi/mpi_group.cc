#include "parallel/mpi/mpi_group.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "parallel/memory/region.h"
#include "parallel/rank_order_sum.h"

namespace dray::parallel {
namespace {

constexpr int64_t kFloatBytes = static_cast<int64_t>(sizeof(float));
// What messages carry while ranks wait for each other once: over 10 Gbit/s Ethernet some 30
// microseconds at 1.2 bytes a nanosecond, over faster networks a tenth of the time at ten times the
// speed. Between processes of one machine it is about 16 KiB.
constexpr int64_t kBytesPerWait = 32 * 1024;

// The floats of a rank: two parts in turn, those for Gather, and what each other rank sends.
class Buffers {
 public:
  Buffers(Region region, int64_t max_count) : region_(std::move(region)), max_count_(max_count) {}

  static int64_t SizeBytes(int64_t world, int64_t max_count) {
    return (kOwn + world) * max_count * kFloatBytes;
  }
  float* part(int64_t buffer) const { return At(buffer); }
  float* gathered() const { return At(2); }
  float* received(int64_t rank) const { return At(kOwn + rank); }
  // MPI may still use the memory: it stays until the process ends.
  void Leave() { new Region(std::move(region_)); }

 private:
  static constexpr int64_t kOwn = 3;
  float* At(int64_t index) const {
    return reinterpret_cast<float*>(region_.data()) + index * max_count_;
  }

  Region region_;
  int64_t max_count_;
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(MpiGroupSpec spec, Buffers buffers)
      : channel_(std::move(spec.channel)),
        max_count_(spec.max_count),
        rank_(channel_.rank()),
        buffers_(std::move(buffers)),
        receives_(static_cast<size_t>(rank_.world)),
        sends_(static_cast<size_t>(4 * rank_.world)) {}
  ~MpiCommunicator() override {
    if (!IsDone()) buffers_.Leave();
  }

  Rank rank() const override { return rank_; }
  int64_t max_count() const override { return max_count_; }
  float* part() override { return buffers_.part(buffer_); }
  Status AddParts(float* x, int64_t count) override;
  Status Gather(const float* mine, int64_t count, float* all) override;
  void Abort(const Status& reason) override { channel_.Abort(reason); }
  Traffic traffic() const override { return traffic_; }

 private:
  Status Begin(int64_t count);
  MpiAwaited Awaited(int64_t rank, MpiKind kind) const { return {rank, kind, count_}; }
  // Begins to receive a message of floats from each other rank, into received(rank).
  Status ReceiveFromAll(MpiKind kind);
  Status AwaitFloats(int64_t rank, MpiKind kind, int64_t count);
  Status SendFloats(const float* numbers, int64_t count, MpiAwaited to);
  // Waits for the share of all ranks' parts, and adds it to x.
  Status AddReceived(float* x, Share share);
  Status SumAll(float* x);
  Status SumByShares(float* x);
  // Takes the other part in turn, which the messages of the sum before this one have left.
  Status TakeNextPart();
  // The other ranks, for i in [1, world): each rank begins with another one.
  int64_t Other(int64_t i) const { return (rank_.index + i) % rank_.world; }
  // Whether MPI has done with the buffers. Waits a short time for the last messages.
  bool IsDone();

  MpiChannel channel_;
  const int64_t max_count_;
  const Rank rank_;
  Buffers buffers_;
  int64_t buffer_ = 0;                    // of the next part, 0 or 1
  int64_t count_ = 0;                     // of the present call
  std::vector<DrayMpiRequest> receives_;  // [rank]
  std::vector<DrayMpiRequest> sends_;     // [buffer][part or result][rank]
  DrayMpiRequest gather_send_{};
  Traffic traffic_;
};

Status MpiCommunicator::Begin(int64_t count) {
  DRAY_CHECK(count >= 0 && count <= max_count_);
  count_ = count;
  return channel_.CheckEnd();
}

Status MpiCommunicator::SendFloats(const float* numbers, int64_t count, MpiAwaited to) {
  const int64_t is_result = to.kind == MpiKind::kResult ? 1 : 0;
  const auto index = static_cast<size_t>((buffer_ * 2 + is_result) * rank_.world + to.rank);
  return channel_.Send(numbers, count * kFloatBytes, to, &sends_[index]);
}

Status MpiCommunicator::AwaitFloats(int64_t rank, MpiKind kind, int64_t count) {
  traffic_.received_bytes += static_cast<uint64_t>(count * kFloatBytes);
  return channel_.AwaitBytes(&receives_[static_cast<size_t>(rank)], Awaited(rank, kind),
                             count * kFloatBytes);
}

Status MpiCommunicator::AddReceived(float* x, Share share) {
  for (int64_t i = 1; i < rank_.world; ++i) {
    DRAY_RETURN_IF_ERROR(AwaitFloats(Other(i), MpiKind::kPart, share.count()));
  }
  AddInRankOrder(x + share.begin, share.count(), rank_.world, [&](int64_t rank) -> const float* {
    return rank == rank_.index ? part() + share.begin : buffers_.received(rank);
  });
  return OkStatus();
}

Status MpiCommunicator::ReceiveFromAll(MpiKind kind) {
  for (int64_t i = 1; i < rank_.world; ++i) {
    const int64_t other = Other(i);
    DRAY_RETURN_IF_ERROR(channel_.Receive(buffers_.received(other), max_count_ * kFloatBytes,
                                          Awaited(other, kind),
                                          &receives_[static_cast<size_t>(other)]));
  }
  return OkStatus();
}

Status MpiCommunicator::SumAll(float* x) {
  DRAY_RETURN_IF_ERROR(ReceiveFromAll(MpiKind::kPart));
  for (int64_t i = 1; i < rank_.world; ++i) {
    DRAY_RETURN_IF_ERROR(SendFloats(part(), count_, Awaited(Other(i), MpiKind::kPart)));
  }
  return AddReceived(x, {0, count_});
}

Status MpiCommunicator::SumByShares(float* x) {
  const auto share_of = [&](int64_t rank) { return ShareOf(count_, {rank, rank_.world}); };
  DRAY_RETURN_IF_ERROR(ReceiveFromAll(MpiKind::kPart));
  for (int64_t i = 1; i < rank_.world; ++i) {
    const Share share = share_of(Other(i));
    DRAY_RETURN_IF_ERROR(
        SendFloats(part() + share.begin, share.count(), Awaited(Other(i), MpiKind::kPart)));
  }
  const Share mine = share_of(rank_.index);
  DRAY_RETURN_IF_ERROR(AddReceived(x, mine));
  DRAY_RETURN_IF_ERROR(ReceiveFromAll(MpiKind::kResult));
  // This share of the part went to nobody. Results are sent from there, since x may change soon.
  std::copy(x + mine.begin, x + mine.end, part() + mine.begin);
  for (int64_t i = 1; i < rank_.world; ++i) {
    DRAY_RETURN_IF_ERROR(
        SendFloats(part() + mine.begin, mine.count(), Awaited(Other(i), MpiKind::kResult)));
  }
  for (int64_t i = 1; i < rank_.world; ++i) {
    const Share share = share_of(Other(i));
    DRAY_RETURN_IF_ERROR(AwaitFloats(Other(i), MpiKind::kResult, share.count()));
    std::copy_n(buffers_.received(Other(i)), share.count(), x + share.begin);
  }
  return OkStatus();
}

Status MpiCommunicator::TakeNextPart() {
  buffer_ = 1 - buffer_;
  const int64_t of_buffer = 2 * rank_.world;
  for (int64_t i = 0; i < of_buffer; ++i) {
    // A short wait: the other rank has received it before it came to the present sum.
    DrayMpiRequest* const send = &sends_[static_cast<size_t>(buffer_ * of_buffer + i)];
    DRAY_RETURN_IF_ERROR(channel_.Await(send, Awaited(i % rank_.world, MpiKind::kPart)).status());
  }
  return OkStatus();
}

Status MpiCommunicator::AddParts(float* x, int64_t count) {
  DRAY_RETURN_IF_ERROR(Begin(count));
  DRAY_RETURN_IF_ERROR(SharesPay(rank_.world, count, kBytesPerWait) ? SumByShares(x) : SumAll(x));
  DRAY_RETURN_IF_ERROR(TakeNextPart());
  ++traffic_.sums;
  traffic_.sum_numbers += static_cast<uint64_t>(count);
  return OkStatus();
}

Status MpiCommunicator::Gather(const float* mine, int64_t count, float* all) {
  DRAY_RETURN_IF_ERROR(Begin(count));
  if (rank_.index != 0) {
    // Rank 0 may not have received what this rank gave to the last gather.
    const MpiAwaited first = Awaited(0, MpiKind::kGathered);
    DRAY_RETURN_IF_ERROR(channel_.Await(&gather_send_, first).status());
    std::copy_n(mine, count, buffers_.gathered());
    DRAY_RETURN_IF_ERROR(
        channel_.Send(buffers_.gathered(), count * kFloatBytes, first, &gather_send_));
  } else {
    DRAY_RETURN_IF_ERROR(ReceiveFromAll(MpiKind::kGathered));
    std::copy_n(mine, count, all);
    for (int64_t other = 1; other < rank_.world; ++other) {
      DRAY_RETURN_IF_ERROR(AwaitFloats(other, MpiKind::kGathered, count));
      std::copy_n(buffers_.received(other), count, all + other * count);
    }
  }
  ++traffic_.gathers;
  traffic_.gather_numbers += static_cast<uint64_t>(count);
  return OkStatus();
}

bool MpiCommunicator::IsDone() {
  // A receive is under way only after a failure.
  const bool receives = std::any_of(receives_.begin(), receives_.end(),
                                    [](const DrayMpiRequest& one) { return one.in_use != 0; });
  return !receives && channel_.AwaitLast(sends_) && channel_.AwaitLast({&gather_send_, 1});
}

}  // namespace

MpiChannelSpec WholeJob(std::shared_ptr<MpiLibrary> library) {
  MpiChannelSpec spec;
  spec.members.resize(static_cast<size_t>(library->job().world));
  std::iota(spec.members.begin(), spec.members.end(), 0);
  spec.rank = library->job().rank;
  spec.library = std::move(library);
  return spec;
}

Result<std::unique_ptr<Communicator>> MakeMpiGroup(MpiGroupSpec spec) {
  DRAY_RETURN_IF_ERROR(CheckSpec(spec.channel));
  if (spec.max_count < 1 || spec.max_count > kMaxMpiBytes / kFloatBytes) {
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("a group whose calls have up to {} numbers: over MPI it must be 1 to {}",
                    spec.max_count, kMaxMpiBytes / kFloatBytes));
  }
  const auto world = static_cast<int64_t>(spec.channel.members.size());
  DRAY_ASSIGN_OR_RETURN(Region region,
                        Region::Anonymous(Buffers::SizeBytes(world, spec.max_count)));
  Buffers buffers(std::move(region), spec.max_count);
  return std::unique_ptr<Communicator>(
      std::make_unique<MpiCommunicator>(std::move(spec), std::move(buffers)));
}

}  // namespace dray::parallel
