// How a thread waits actively, before it goes to sleep.
#pragma once

#include <chrono>

namespace dray {

// How long a thread spins: the operations of one model step follow each other within tens of
// microseconds, and waking a sleeping thread costs about 50.
inline constexpr auto kSpinTime = std::chrono::microseconds(200);
// Pauses between two looks at the clock, which costs tens of nanoseconds.
inline constexpr int kPausesPerLook = 64;

// Lets the processor wait for some cycles, to the benefit of its other hardware thread.
inline void PauseProcessor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace dray
