// The measured limits of this machine, which benchmarks print beside their own figures. On shared
// machines the limits change from minute to minute, so measure them immediately before and after
// the run that they judge.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/machine/cpu_info.h"
#include "base/threads/thread_pool.h"
#include "bench/statistics.h"
#include "tensor/buffer.h"

namespace dray::bench {

// Measures wall time, or the processor time of this process. With one thread the latter is
// meaningful even while other programs use the machine.
class Stopwatch {
 public:
  static void UseProcessorTime();
  Stopwatch() : start_(Now()) {}
  double Seconds() const { return Now() - start_; }

 private:
  static double Now();
  double start_;
};

// Calls `body`. An exception is printed, and the exit status is 1.
int GuardedMain(int argc, char** argv, int (*body)(int, char**)) noexcept;

// All limits at one moment: bytes a second, and multiply-and-adds a second (zero if there is no
// instruction of that kind).
struct LimitsSample {
  double read_bandwidth = 0;
  double f32 = 0;
  double bf16 = 0;
  double int8 = 0;
  double int4 = 0;  // 4-bit weights with 8-bit activations; zero: at the rate of int8
  double f16 = 0;   // no processor that dray measures has it
};

// Reads memory as fast as all threads together can: plain vector loads, with the prefetch distance
// that suits this processor best.
class MachineLimits {
 public:
  // Far larger than any processor's caches.
  static constexpr int64_t kBufferBytes = int64_t{512} << 20;

  // `num_threads` has ThreadPool's meaning. Arithmetic is measured with the instructions of `isa`,
  // a name as Backend::isa returns it; "": the best that the processor has.
  explicit MachineLimits(int num_threads, std::string_view isa = {},
                         int64_t buffer_bytes = kBufferBytes);

  // Bytes a second in one pass over the buffer, by the fastest of the loops that read it.
  double ReadBandwidth();
  // Multiply-and-adds a second (each counts as two operations) between registers: of f32, of pairs
  // of bf16, of 8-bit integers, or of 4-bit with 8-bit integers. Zero if there is no instruction of
  // the kind. Integer sums are exact. Those of instruction sets that lack an instruction for them
  // are computed by the fastest sequence that is known.
  double F32Rate();
  double BF16Rate();
  double Int8Rate();
  double Int4Rate();
  // The best of three measurements of each limit.
  LimitsSample Sample();
  // The medians of seven measurements of each limit, half a second in all: what a pass may expect that lasts longer than
  // the machine is left alone. Processors that other machines share change their rate within milliseconds.
  LimitsSample TypicalSample();

 private:
  // [measurement]
  std::vector<LimitsSample> Measure(int count);

  ThreadPool pool_;
  CpuFeatures has_;
  int64_t buffer_bytes_;
  Buffer buffer_;
};

}  // namespace dray::bench
