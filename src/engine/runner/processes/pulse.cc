#include "engine/runner/processes/pulse.h"

#include <unistd.h>

#include <cstddef>
#include <vector>

#include "engine/runner/processes/wire/rank_messages.h"

namespace dray::engine {
namespace {

// How often a rank gives a sign of life: several times within any limit that is set in seconds.
constexpr int kPulseMs = 200;

}  // namespace

Pulse::Pulse(const parallel::ControlSocket& front)
    : thread_([this, &front] {
        const std::vector<std::byte> alive = EncodeKind(RankMessageKind::kAlive);
        while (!stop_) {
          if (front.AwaitPeerEnd(kPulseMs)) ::_exit(kExitWithoutFront);
          static_cast<void>(front.TrySend(alive));
        }
      }) {}

Pulse::~Pulse() {
  stop_ = true;
  thread_.join();
}

}  // namespace dray::engine
