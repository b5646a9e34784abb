#include "parallel/memory/ring_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/checked_math.h"
#include "base/threads/spin.h"

namespace dray::parallel {
namespace {

constexpr int64_t kPageBytes = 4096;
constexpr int64_t kLineBytes = 64;
constexpr uint64_t kMagic =
    0x64726179'6c6e6b31;  // "draylnk1": the layout's version is the last digit

int64_t SlotBytes(const RingShape& shape) {
  return kLineBytes + RoundUp<int64_t>(shape.max_bytes, kLineBytes);
}

Status Corrupt(std::string_view what) {
  return {StatusCode::kCorrupt,
          fmt::format("{}: not the memory of a link of this version of dray; start all ranks of a "
                      "group with the same program",
                      what)};
}

}  // namespace

struct RingMemory::Header {
  uint64_t magic = kMagic;
  RingShape shape;
  SharedReason reason;
};

Status CheckShape(const RingShape& shape) {
  if (shape.max_bytes < 1 || shape.max_bytes > kMaxMessageBytes) {
    return {StatusCode::kInvalidArgument,
            fmt::format("a link whose messages have up to {} bytes: it must be 1 to {}",
                        shape.max_bytes, kMaxMessageBytes)};
  }
  if (shape.depth < 1 || shape.depth > kMaxDepth) {
    return {StatusCode::kInvalidArgument,
            fmt::format("a link with {} messages under way: it must be 1 to {}", shape.depth,
                        kMaxDepth)};
  }
  return OkStatus();
}

int64_t RingMemory::SizeBytes(const RingShape& shape) {
  return 2 * kPageBytes + shape.depth * SlotBytes(shape);
}

RingMemory::RingMemory(Region region, const RingShape& shape)
    : region_(std::move(region)), shape_(shape), slot_bytes_(SlotBytes(shape)) {
  const int64_t longest = std::chrono::microseconds(kSpinTime).count();
  shape_.spin_us = std::clamp<int64_t>(shape.spin_us, 0, longest);
}

RingMemory RingMemory::Format(Region region, const RingShape& shape) {
  static_assert(sizeof(Header) <= kPageBytes);
  DRAY_CHECK(CheckShape(shape).ok() && region.size_bytes() == SizeBytes(shape));
  RingMemory memory(std::move(region), shape);
  for (const LinkEnd end : {LinkEnd::kSender, LinkEnd::kReceiver}) {
    new (&memory.line(end)) EndLine;
  }
  auto* const header = new (memory.region_.data()) Header;
  header->shape = memory.shape_;
  return memory;
}

Result<RingMemory> RingMemory::Attach(Region region) {
  if (region.size_bytes() < 2 * kPageBytes) {
    return Corrupt(fmt::format("{} bytes of shared memory", region.size_bytes()));
  }
  const auto& header = *reinterpret_cast<const Header*>(region.data());
  if (header.magic != kMagic) return Corrupt("shared memory with another beginning");
  const RingShape shape = header.shape;  // checked and used is one copy
  if (!CheckShape(shape).ok() || SizeBytes(shape) != region.size_bytes()) {
    return Corrupt(fmt::format("{} bytes of shared memory for {} messages of {} bytes",
                               region.size_bytes(), shape.depth, shape.max_bytes));
  }
  return RingMemory(std::move(region), shape);
}

RingMemory::Header& RingMemory::header() const {
  return *reinterpret_cast<Header*>(region_.data());
}

EndLine& RingMemory::line(LinkEnd end) const {
  return reinterpret_cast<EndLine*>(region_.data() + kPageBytes)[static_cast<size_t>(end)];
}

RingSlot RingMemory::slot(int64_t message) const {
  std::byte* const begin = region_.data() + 2 * kPageBytes + message % shape_.depth * slot_bytes_;
  return {reinterpret_cast<std::atomic<uint64_t>*>(begin), begin + kLineBytes};
}

void RingMemory::End(const Status& reason, FutexScope scope) const {
  // Only the first caller ends the words, so whoever finds one ended finds the reason, too.
  if (!header().reason.Set(reason)) return;
  for (const LinkEnd end : {LinkEnd::kSender, LinkEnd::kReceiver}) {
    parallel::End(line(end).word, scope);
  }
}

Status RingMemory::Reason() const { return header().reason.Get(); }

}  // namespace dray::parallel
