// What this machine can do at most, measured: the yardstick that benchmarks print beside their own
// figures. On shared machines limits change from minute to minute, so measure them in turn with the
// thing that is judged.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/machine/cpu_info.h"
#include "base/threads/thread_pool.h"
#include "bench/statistics.h"
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

// All of it at one moment: bytes a second, and multiply-and-adds a second; zero for what there is
// no instruction for.
struct LimitsSample {
  double read_bandwidth = 0;
  double f32 = 0;
  double bf16 = 0;
  double int8 = 0;
};

// Reads memory as fast as all threads together can, with plain vector loads and the prefetch
// distance that suits this processor best.
class MachineLimits {
 public:
  // Far larger than the caches of any processor.
  static constexpr int64_t kBufferBytes = int64_t{512} << 20;

  // `num_threads` as ThreadPool takes it. Arithmetic is measured with the instructions of `isa`, as
  // Backend::isa names it; "": the best there are.
  explicit MachineLimits(int num_threads, std::string_view isa = {},
                         int64_t buffer_bytes = kBufferBytes);

  // Bytes a second, of one pass over the buffer.
  double ReadBandwidth();
  // Multiply-and-adds a second (each two operations) of f32, of products of bf16 pairs, or of 8-bit
  // integers, from registers; zero if there is no instruction of the kind.
  double F32Rate();
  double BF16Rate();
  double Int8Rate();
  // The best of three of each.
  LimitsSample Sample();

 private:
  ThreadPool pool_;
  CpuFeatures has_;
  int64_t buffer_bytes_;
  Buffer buffer_;
};

}  // namespace dray::bench
