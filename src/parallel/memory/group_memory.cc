#include "parallel/memory/group_memory.h"

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
constexpr int64_t kBuffersPerRank = 3;  // two parts, one for Gather
constexpr uint64_t kMagic =
    0x64726179'67727031;  // "draygrp1": the layout's version is the last digit

int64_t LinesBytes(const GroupShape& shape) {
  return RoundUp<int64_t>(shape.world * static_cast<int64_t>(sizeof(RankLine)), kPageBytes);
}
int64_t FloatsBytes(const GroupShape& shape) {
  return RoundUp<int64_t>(shape.max_count * static_cast<int64_t>(sizeof(float)), kPageBytes);
}

Status Corrupt(std::string_view what) {
  return {StatusCode::kCorrupt,
          fmt::format("{}: not the memory of a group of this version of dray; start all ranks of a "
                      "group with the same program",
                      what)};
}

}  // namespace

struct GroupMemory::Header {
  uint64_t magic = kMagic;
  GroupShape shape;
  int64_t spin_us = 0;
  SharedReason reason;
};

Status CheckShape(const GroupShape& shape) {
  if (shape.world < 1 || shape.world > kMaxWorld) {
    return {StatusCode::kInvalidArgument,
            fmt::format("a group of {} ranks: it must have 1 to {}", shape.world, kMaxWorld)};
  }
  if (shape.max_count < 1 || shape.max_count > kMaxCount) {
    return {StatusCode::kInvalidArgument,
            fmt::format("a group whose calls have up to {} numbers: it must be 1 to {}",
                        shape.max_count, kMaxCount)};
  }
  return OkStatus();
}

int64_t GroupMemory::SizeBytes(const GroupShape& shape) {
  return kPageBytes + LinesBytes(shape) + shape.world * kBuffersPerRank * FloatsBytes(shape);
}

GroupMemory::GroupMemory(Region region, const GroupShape& shape, std::chrono::microseconds spin)
    : region_(std::move(region)),
      shape_(shape),
      spin_(std::clamp(spin, std::chrono::microseconds(0), kSpinTime)),
      lines_bytes_(LinesBytes(shape)),
      floats_bytes_(FloatsBytes(shape)) {}

GroupMemory GroupMemory::Format(Region region, const GroupShape& shape,
                                std::chrono::microseconds spin) {
  static_assert(sizeof(Header) <= kPageBytes);
  DRAY_CHECK(CheckShape(shape).ok() && region.size_bytes() == SizeBytes(shape));
  GroupMemory memory(std::move(region), shape, spin);
  for (int64_t rank = 0; rank < shape.world; ++rank) new (&memory.line(rank)) RankLine;
  auto* const header = new (memory.region_.data()) Header;
  header->shape = shape;
  header->spin_us = spin.count();
  return memory;
}

Result<GroupMemory> GroupMemory::Attach(Region region) {
  if (region.size_bytes() < kPageBytes) {
    return Corrupt(fmt::format("{} bytes of shared memory", region.size_bytes()));
  }
  const auto& header = *reinterpret_cast<const Header*>(region.data());
  if (header.magic != kMagic) return Corrupt("shared memory with another beginning");
  const GroupShape shape = header.shape;  // checked and used is one copy
  if (!CheckShape(shape).ok() || SizeBytes(shape) != region.size_bytes()) {
    return Corrupt(fmt::format("{} bytes of shared memory for {} ranks and {} numbers",
                               region.size_bytes(), shape.world, shape.max_count));
  }
  const std::chrono::microseconds spin(header.spin_us);
  return GroupMemory(std::move(region), shape, spin);
}

GroupMemory::Header& GroupMemory::header() const {
  return *reinterpret_cast<Header*>(region_.data());
}

RankLine& GroupMemory::line(int64_t rank) const {
  return reinterpret_cast<RankLine*>(region_.data() + kPageBytes)[rank];
}

float* GroupMemory::Floats(int64_t rank, int64_t index) const {
  const int64_t offset =
      kPageBytes + lines_bytes_ + (rank * kBuffersPerRank + index) * floats_bytes_;
  return reinterpret_cast<float*>(region_.data() + offset);
}

void GroupMemory::End(const Status& reason, FutexScope scope) const {
  // Only the first caller ends the words, so whoever finds one ended finds the reason, too.
  if (!header().reason.Set(reason)) return;
  for (int64_t rank = 0; rank < shape_.world; ++rank) parallel::End(line(rank).word, scope);
}

Status GroupMemory::Reason() const { return header().reason.Get(); }

}  // namespace dray::parallel
