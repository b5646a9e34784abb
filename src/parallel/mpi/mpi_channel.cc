#include "parallel/mpi/mpi_channel.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "base/machine/cpu_info.h"
#include "base/threads/spin.h"

namespace dray::parallel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int32_t kKinds = 5;  // of MpiKind
// MPI cannot wake a sleeping thread, so a waiter looks for messages between short sleeps: of a
// tenth of the time that it has waited, within these limits. The upper one bounds what an idle
// rank costs.
constexpr auto kShortestSleep = std::chrono::microseconds(50);
constexpr auto kLongestSleep = std::chrono::microseconds(1000);

// How long the last messages may take when a group or link ends as planned.
constexpr auto kLastMessages = std::chrono::seconds(1);

// As SpinTime of parallel/memory/sync_word.h. mpirun may bind each rank to some processors, so
// these say nothing about the others' ranks.
std::chrono::microseconds MpiSpinTime(const MpiChannelSpec& spec) {
  const int64_t on_machine = spec.library->job().local_world * spec.threads_per_rank;
  const bool fits =
      spec.threads_per_rank <= UsableCpuCount() && on_machine <= ::sysconf(_SC_NPROCESSORS_ONLN);
  return fits ? kSpinTime : std::chrono::microseconds(0);
}

void SleepAfter(Clock::duration waited) {
  const auto tenth = std::chrono::duration_cast<std::chrono::microseconds>(waited / 10);
  std::this_thread::sleep_for(std::clamp(tenth, kShortestSleep, kLongestSleep));
}

// What a rank does that brings such a message.
std::string Describe(const MpiAwaited& awaited) {
  if (awaited.kind == MpiKind::kMessage) return "take or send a message";
  return fmt::format("come to a {} of {} numbers",
                     awaited.kind == MpiKind::kGathered ? "gather" : "sum", awaited.amount);
}

}  // namespace

Status CheckSpec(const MpiChannelSpec& spec) {
  if (spec.channel < 0 || spec.channel >= kMaxMpiChannels) {
    return {StatusCode::kInvalidArgument,
            fmt::format("channel {}: it must be 0 to {}", spec.channel, kMaxMpiChannels - 1)};
  }
  const DrayMpiJob& job = spec.library->job();
  for (const int32_t member : spec.members) {
    if (member >= 0 && member < job.world) continue;
    return {StatusCode::kInvalidArgument,
            fmt::format("rank {} of the job: mpirun has started 0 to {}", member, job.world - 1)};
  }
  if (spec.rank < 0 || spec.rank >= static_cast<int64_t>(spec.members.size())) {
    return {StatusCode::kInvalidArgument,
            fmt::format("process {} of the job is no member of the group of {}", job.rank,
                        spec.members.size())};
  }
  return OkStatus();
}

MpiChannel::MpiChannel(MpiChannelSpec spec)
    : spec_(std::move(spec)),
      api_(spec_.library->api()),
      rank_{spec_.rank, static_cast<int64_t>(spec_.members.size())},
      spin_(MpiSpinTime(spec_)),
      end_sends_(spec_.members.size()) {
  api_.receive(&end_received_, sizeof(end_received_), kDrayMpiAnySource, TagOf(MpiKind::kEnd),
               &end_receive_);
}

MpiChannel::~MpiChannel() { api_.cancel(&end_receive_); }

int32_t MpiChannel::TagOf(MpiKind kind) const {
  return spec_.channel * kKinds + static_cast<int32_t>(kind);
}

Status MpiChannel::Send(const void* data, int64_t bytes, const MpiAwaited& to,
                        DrayMpiRequest* request) {
  // A link counts on it that a message which the receiver has not asked for is under way.
  const int32_t until_received = to.kind == MpiKind::kMessage ? 1 : 0;
  const Status status =
      spec_.library->Check(api_.send(data, bytes, spec_.members[static_cast<size_t>(to.rank)],
                                     TagOf(to.kind), until_received, request),
                           "sending a message fails");
  return status.ok() ? status : Fail(status);
}

Status MpiChannel::Receive(void* data, int64_t bytes, const MpiAwaited& from,
                           DrayMpiRequest* request) {
  const Status status =
      spec_.library->Check(api_.receive(data, bytes, spec_.members[static_cast<size_t>(from.rank)],
                                        TagOf(from.kind), request),
                           "receiving a message fails");
  return status.ok() ? status : Fail(status);
}

Result<int64_t> MpiChannel::Await(DrayMpiRequest* request, const MpiAwaited& awaited) {
  Clock::time_point start{};  // set at the first look at the clock
  bool sleeps = spin_.count() == 0;
  for (int i = 1;; ++i) {
    int32_t done = 0;
    int64_t bytes = 0;
    const Status status =
        spec_.library->Check(api_.test(request, &done, &bytes), "waiting for a message fails");
    if (!status.ok()) return Fail(status);
    if (done != 0) return bytes;
    if (!sleeps && i % kPausesPerLook != 0) continue;
    DRAY_RETURN_IF_ERROR(CheckEnd());
    const auto now = Clock::now();
    if (start == Clock::time_point{}) start = now;
    const auto waited = now - start;
    if (spec_.timeout.count() > 0 && waited > spec_.timeout) return Fail(Unavailable(awaited));
    if (sleeps) SleepAfter(waited);
    sleeps = waited >= spin_;
  }
}

Status MpiChannel::AwaitBytes(DrayMpiRequest* request, const MpiAwaited& awaited, int64_t bytes) {
  DRAY_ASSIGN_OR_RETURN(const int64_t got, Await(request, awaited));
  if (got == bytes) return OkStatus();
  return Fail({StatusCode::kUnavailable,
               fmt::format("rank {} of {} sent {} bytes where rank {} waits for {}: the ranks have "
                           "gone apart",
                           awaited.rank, rank_.world, got, rank_.index, bytes)});
}

bool MpiChannel::AwaitLast(std::span<DrayMpiRequest> sends) const {
  const auto until = Clock::now() + kLastMessages;
  for (;;) {
    bool idle = true;
    for (DrayMpiRequest& send : sends) {
      int32_t done = 0;
      int64_t bytes = 0;
      idle = api_.test(&send, &done, &bytes) == 0 && done != 0 && idle;
    }
    const bool ended = ended_.load(std::memory_order_acquire);
    if (idle || ended || Clock::now() > until) return idle;
    std::this_thread::sleep_for(kShortestSleep);
  }
}

Status MpiChannel::Unavailable(const MpiAwaited& awaited) const {
  // The ends of a link are named as ranks of the job.
  const std::string rank =
      awaited.kind == MpiKind::kMessage
          ? fmt::format("rank {}", spec_.members[static_cast<size_t>(awaited.rank)])
          : fmt::format("rank {} of {}", awaited.rank, rank_.world);
  return {StatusCode::kUnavailable,
          fmt::format("{} did not {} within {} ms: it hangs, or takes longer for a step than the "
                      "time limit allows",
                      rank, Describe(awaited), spec_.timeout.count())};
}

Status MpiChannel::CheckEnd() {
  int32_t done = 0;
  int64_t bytes = 0;
  if (end_receive_.in_use != 0 && api_.test(&end_receive_, &done, &bytes) == 0 && done != 0) {
    auto code = static_cast<StatusCode>(end_received_.code);
    if (code == StatusCode::kOk || code > StatusCode::kInternal) code = StatusCode::kUnavailable;
    const size_t length = std::min<size_t>(end_received_.length, end_received_.text.size());
    KeepReason({code, std::string(end_received_.text.data(), length)});
  }
  return ended_.load(std::memory_order_acquire) ? Reason() : OkStatus();
}

Status MpiChannel::Fail(const Status& reason) {
  Abort(reason);
  return Reason();
}

void MpiChannel::Abort(const Status& reason) {
  if (!KeepReason(reason)) return;
  end_sent_.code = static_cast<uint32_t>(reason.code());
  end_sent_.length =
      static_cast<uint32_t>(std::min(reason.message().size(), end_sent_.text.size()));
  std::copy_n(reason.message().begin(), end_sent_.length, end_sent_.text.begin());
  for (size_t other = 0; other < end_sends_.size(); ++other) {
    if (static_cast<int64_t>(other) == rank_.index) continue;
    // If it cannot be sent, the others find out by their time limits, or by the end of the job.
    api_.send(&end_sent_, sizeof(end_sent_), spec_.members[other], TagOf(MpiKind::kEnd), 0,
              &end_sends_[other]);
  }
}

bool MpiChannel::KeepReason(const Status& reason) {
  const std::lock_guard lock(mutex_);
  if (ended_.load(std::memory_order_relaxed)) return false;
  reason_ = reason;
  spec_.library->SetFailed();
  ended_.store(true, std::memory_order_release);
  return true;
}

Status MpiChannel::Reason() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

}  // namespace dray::parallel
