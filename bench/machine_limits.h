// What this machine can do at most, measured: the yardstick that benchmarks print beside their own
// figures. On shared machines limits change from minute to minute, so measure them in turn with the
// thing that is judged.
#pragma once

#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "tensor/buffer.h"

namespace dray::bench {

// Seconds of the wall, or of this process's processor time: with one thread the latter also means
// something while others use the machine.
class Stopwatch {
 public:
  static void UseProcessorTime();
  Stopwatch() : start_(Now()) {}
  double Seconds() const { return Now() - start_; }

 private:
  static double Now();
  double start_;
};

// Calls `body`; what it throws becomes a message and exit status 1.
int GuardedMain(int argc, char** argv, int (*body)(int, char**)) noexcept;

double Median(std::vector<double> values);

// Reads memory as fast as all threads together can, with plain vector loads and the prefetch
// distance that suits this processor best.
class MachineLimits {
 public:
  // `num_threads` as ThreadPool takes it.
  explicit MachineLimits(int num_threads);

  // Bytes a second, of one pass over a buffer far larger than the caches.
  double ReadBandwidth();
  // Multiply-and-adds a second (each two operations) of f32 FMA, or of products of bf16
  // pairs or of four 8-bit integers, from registers; zero if the processor has none of the kind.
  double F32Rate();
  double BF16Rate();
  double Int8Rate();

 private:
  ThreadPool pool_;
  Buffer buffer_;
};

}  // namespace dray::bench
