// What a stranger may give to a process that attaches to a group: the first message on the front's socket,
// which admits nobody without the secret, and memory files of groups and links with any bytes in them,
// which are refused or joined without access beyond their ends.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/check.h"
#include "engine/runner/processes/admission.h"
#include "fuzz/support/touch.h"
#include "parallel/link.h"
#include "parallel/shared_memory_group.h"

namespace {

using namespace dray;
using Bytes = std::span<const std::byte>;

constexpr int64_t kWorld = 3;
constexpr int64_t kMaxCount = 16;

void SayHello(Bytes message) {
  if (message.empty()) return;
  static const parallel::FrontListener front = parallel::FrontListener::Make().value();
  // Nothing else has the secret, which is new in each run.
  DRAY_CHECK(!engine::RankOfHello(message, parallel::SecretOf(front.address()), kWorld));
  const auto stranger = parallel::ConnectToFront(front.address());
  DRAY_CHECK(stranger.ok() && stranger->Send(message).ok());
  DRAY_CHECK(!engine::AdmitRank(front, kWorld));
}

// Writes to a memory file: three bytes of `changes` are an offset and a value.
void Change(int descriptor, Bytes changes) {
  const parallel::MemoryFile file = parallel::MemoryFile::Open(descriptor).value();
  const parallel::Region region = file.Map().value();
  for (; changes.size() >= 3; changes = changes.subspan(3)) {
    uint16_t offset = 0;
    std::memcpy(&offset, changes.data(), sizeof(offset));
    region.data()[offset % file.size_bytes()] = changes[2];
  }
}

void JoinGroup(Bytes changes) {
  const auto group =
      parallel::SharedMemoryGroup::Create({.world = kWorld, .max_count = kMaxCount}).value();
  Change(group.descriptor(), changes);
  const auto rank = parallel::JoinSharedMemoryGroup(
      {.descriptor = group.descriptor(), .rank = 1, .timeout = std::chrono::milliseconds(1)});
  if (!rank.ok()) return;
  // The other ranks do not come, but the memory may say that they have.
  std::array<float, kMaxCount> x = {};
  const auto count = std::min<int64_t>((*rank)->max_count(), kMaxCount);
  static_cast<void>((*rank)->AddParts(x.data(), count));
}

void JoinLink(Bytes changes) {
  const auto link = parallel::SharedMemoryLink::Create({.max_bytes = 100}).value();
  Change(link.descriptor(), changes);
  static_cast<void>(parallel::JoinAsSender(link.descriptor()));
  static_cast<void>(parallel::JoinAsReceiver(link.descriptor()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto bytes = dray::fuzz::AsBytes(data, size).subspan(1);
  if (data[0] % 3 == 0) SayHello(bytes);
  if (data[0] % 3 == 1) JoinGroup(bytes);
  if (data[0] % 3 == 2) JoinLink(bytes);
  return 0;
}
