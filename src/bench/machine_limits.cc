// Streaming reads, and arithmetic that uses only registers. Each loop is compiled for its
// instruction set by function attributes and chosen at run time. An empty asm statement keeps the
// compiler from computing a loop's products only once.
#include "bench/machine_limits.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <vector>

#include "base/machine/cpu_info.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dray::bench {
namespace {

constexpr int64_t kPageBytes = 4096;
// The buffer is this much larger than what is read, because the readers prefetch beyond the end.
constexpr int64_t kReadAhead = 16384;
constexpr int64_t kIterations = 4'000'000;
std::atomic<float> sink{0};

#if defined(__x86_64__)
#define DRAY_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define DRAY_AVX2 __attribute__((target("avx2,fma")))

// Reads with prefetches kAhead bytes ahead; 0: none.
template <int64_t kAhead>
DRAY_AVX512 float ReadAvx512(const char* p, int64_t bytes) {
  __m512i acc[4] = {};
  for (int64_t i = 0; i < bytes; i += 256) {
    for (int j = 0; j < 4; ++j) {
      if constexpr (kAhead > 0) _mm_prefetch(p + i + j * 64 + kAhead, _MM_HINT_T0);
      acc[j] = _mm512_xor_si512(acc[j], _mm512_load_si512(p + i + j * 64));
    }
  }
  alignas(64) float out[16];
  _mm512_store_si512(
      out, _mm512_or_si512(_mm512_or_si512(acc[0], acc[1]), _mm512_or_si512(acc[2], acc[3])));
  return out[0];
}

template <int64_t kAhead>
DRAY_AVX2 float ReadAvx2(const char* p, int64_t bytes) {
  __m256i acc[4] = {};
  for (int64_t i = 0; i < bytes; i += 128) {
    for (int j = 0; j < 4; ++j) {
      if constexpr (kAhead > 0) {
        if (j % 2 == 0) _mm_prefetch(p + i + j * 32 + kAhead, _MM_HINT_T0);
      }
      const auto* at = reinterpret_cast<const __m256i*>(p + i + j * 32);
      acc[j] = _mm256_xor_si256(acc[j], _mm256_load_si256(at));
    }
  }
  const __m256i all =
      _mm256_or_si256(_mm256_or_si256(acc[0], acc[1]), _mm256_or_si256(acc[2], acc[3]));
  return static_cast<float>(_mm256_extract_epi32(all, 0));
}

#endif

// A loop of `step`, which adds to `a`. It has twelve sums, so that no addition waits for the one
// before. This is a macro because a lambda would not be compiled for the function's instruction
// set.
#define DRAY_PEAK_LOOP(name, Vector, x_value, y_value, step) \
  float name() {                                             \
    Vector acc[12] = {}, x = x_value, y = y_value;           \
    for (int64_t i = 0; i < kIterations; ++i) {              \
      _Pragma("GCC unroll 12") for (auto& a : acc) {         \
        asm("" : "+x"(x));                                   \
        step;                                                \
      }                                                      \
    }                                                        \
    for (int i = 1; i < 12; ++i) acc[0] += acc[i];           \
    return static_cast<float>(acc[0][0]);                    \
  }

#if defined(__x86_64__)
#define DRAY_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define DRAY_AVX512_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define DRAY_AVX_VNNI __attribute__((target("avx2,fma,avxvnni")))

DRAY_AVX512 DRAY_PEAK_LOOP(FmaAvx512, __m512, _mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f),
                           a = _mm512_fmadd_ps(x, y, a));
DRAY_AVX2 DRAY_PEAK_LOOP(FmaAvx2, __m256, _mm256_set1_ps(0.5f), _mm256_set1_ps(0.25f),
                         a = _mm256_fmadd_ps(x, y, a));
DRAY_AVX512_BF16 DRAY_PEAK_LOOP(DotBF16Avx512, __m512, _mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f),
                                a = _mm512_dpbf16_ps(a, reinterpret_cast<__m512bh>(x),
                                                     reinterpret_cast<__m512bh>(y)));
DRAY_AVX512_VNNI DRAY_PEAK_LOOP(DotInt8Avx512, __m512i, _mm512_set1_epi32(3), _mm512_set1_epi32(5),
                                a = _mm512_dpbusd_epi32(a, x, y));
// In assembly because the intrinsic may become the instruction of AVX-512.
DRAY_AVX_VNNI DRAY_PEAK_LOOP(DotInt8AvxVnni, __m256i, _mm256_set1_epi32(3), _mm256_set1_epi32(5),
                             asm("%{vex%} vpdpbusd %2, %1, %0"
                                 : "+x"(a)
                                 : "x"(x), "x"(y)));
// 16-bit products in pairs, for 8-bit numbers. Byte products would take as many instructions.
DRAY_AVX512 DRAY_PEAK_LOOP(DotPairsAvx512, __m512i, _mm512_set1_epi16(3), _mm512_set1_epi16(5),
                           a = _mm512_add_epi32(a, _mm512_madd_epi16(x, y)));
// These two are in assembly, with a sum that is no element of the array, because g++ 12 spills sums around
// the intrinsics. That loses up to a third of the rate.
//
// Products of stored bytes with small activations, two of which are added in 16 bits
// (kernels/cpu/isa/avx2_integers/loud_quads_avx2_inl.h): 64 products.
DRAY_AVX2 DRAY_PEAK_LOOP(ByteProductsAvx2, __m256i, _mm256_set1_epi8(3), _mm256_set1_epi8(5),
                         __m256i t;
                         __m256i u; __m256i sum = a;
                         asm volatile("vpmaddubsw %3, %4, %0\n\tvpmaddubsw %3, %4, %1\n\t"
                                      "vpaddw %1, %0, %0\n\tvpmaddwd %5, %0, %0\n\t"
                                      "vpaddd %0, %2, %2"
                                      : "=&x"(t), "=&x"(u), "+x"(sum)
                                      : "x"(x), "x"(y), "xm"(_mm256_set1_epi16(1)));
                         a = sum);
// Products of 4-bit weights are summed in 16 bits: 32 products. The sums are widened too rarely to
// count.
DRAY_AVX2 DRAY_PEAK_LOOP(NibbleProductsAvx2, __m256i, _mm256_set1_epi8(3), _mm256_set1_epi8(5),
                         __m256i t;
                         __m256i sum = a; asm volatile("vpmaddubsw %2, %3, %0\n\tvpaddw %0, %1, %1"
                                                       : "=&x"(t), "+x"(sum)
                                                       : "x"(x), "x"(y));
                         a = sum);
#endif

typedef float Floats4 __attribute__((vector_size(16)));
constexpr Floats4 kHalves = {0.5f, 0.5f, 0.5f, 0.5f};
DRAY_PEAK_LOOP(MultiplyAddPortable, Floats4, kHalves, kHalves, a += x * y);

float ReadPortable(const char* p, int64_t bytes) {
  uint64_t acc = 0;
  const auto* words = reinterpret_cast<const uint64_t*>(p);
  for (int64_t i = 0; i < bytes / 8; ++i) acc ^= words[i];
  return static_cast<float>(acc);
}

bool use_processor_time = false;

}  // namespace

void Stopwatch::UseProcessorTime() { use_processor_time = true; }

double Stopwatch::Now() {
  timespec now{};
  clock_gettime(use_processor_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

int GuardedMain(int argc, char** argv, int (*body)(int, char**)) noexcept {
  try {
    return body(argc, argv);
  } catch (const std::exception& error) {
    std::fputs(error.what(), stderr);
    return 1;
  }
}

MachineLimits::MachineLimits(int num_threads, std::string_view isa, int64_t buffer_bytes)
    : pool_(num_threads),
      has_(DetectCpuFeatures()),
      buffer_bytes_(buffer_bytes / kPageBytes * kPageBytes),
      buffer_(std::move(HostAllocator().Allocate(static_cast<size_t>(buffer_bytes_ + kReadAhead)))
                  .value()) {
  has_.avx512_bf16 = has_.avx512_bf16 && (isa.empty() || isa == "avx512-bf16");
  has_.avx512_vnni =
      has_.avx512_vnni && (isa.empty() || isa == "avx512-bf16" || isa == "avx512-vnni");
  has_.avx512 = has_.avx512 && (isa.empty() || isa.starts_with("avx512"));
  has_.avx_vnni = has_.avx_vnni && (isa.empty() || isa == "avx-vnni");
  has_.avx2 = has_.avx2 && isa != "portable";
  pool_.Run([&](int thread_idx) {
    const auto [begin, end] = pool_.Share(buffer_bytes_, thread_idx);
    std::fill(buffer_.data() + begin, buffer_.data() + end, std::byte{1});
  });
}

namespace {

using Reader = float (*)(const char* p, int64_t bytes);

// Which is the fastest depends on the processor: on Zen 3 it is the one without prefetches.
std::vector<Reader> Readers() {
#if defined(__x86_64__)
  constexpr int64_t kAhead = 8 << 10;
  if (DetectCpuFeatures().avx512) return {&ReadAvx512<0>, &ReadAvx512<kAhead>};
  if (DetectCpuFeatures().avx2) return {&ReadAvx2<0>, &ReadAvx2<kAhead>};
#endif
  return {&ReadPortable};
}

}  // namespace

double MachineLimits::ReadBandwidth() {
  double best = 0;
  for (const Reader read : Readers()) {
    const Stopwatch watch;
    pool_.Run([&](int thread_idx) {
      const auto [begin, end] = pool_.Share(buffer_bytes_ / kPageBytes, thread_idx);
      sink = read(reinterpret_cast<const char*>(buffer_.data()) + begin * kPageBytes,
                  (end - begin) * kPageBytes);
    });
    best = std::max(best, static_cast<double>(buffer_bytes_) / watch.Seconds());
  }
  return best;
}

namespace {

double Rate(ThreadPool& pool, float (*loop)(), double per_iteration) {
  const Stopwatch watch;
  pool.Run([&](int) { sink = loop(); });
  return per_iteration * 12 * kIterations * pool.num_threads() / watch.Seconds();
}

}  // namespace

double MachineLimits::F32Rate() {
#if defined(__x86_64__)
  if (has_.avx512) return Rate(pool_, FmaAvx512, 16);
  if (has_.avx2) return Rate(pool_, FmaAvx2, 8);
#endif
  return Rate(pool_, MultiplyAddPortable, 4);
}

double MachineLimits::BF16Rate() {
#if defined(__x86_64__)
  if (has_.avx512_bf16) return Rate(pool_, DotBF16Avx512, 32);
#endif
  return 0;
}

double MachineLimits::Int8Rate() {
#if defined(__x86_64__)
  if (has_.avx512_vnni) return Rate(pool_, DotInt8Avx512, 64);
  if (has_.avx512) return Rate(pool_, DotPairsAvx512, 32);
  if (has_.avx_vnni) return Rate(pool_, DotInt8AvxVnni, 32);
  if (has_.avx2) return Rate(pool_, ByteProductsAvx2, 64);
#endif
  return 0;
}

double MachineLimits::Int4Rate() {
#if defined(__x86_64__)
  if (has_.avx2 && !has_.avx512 && !has_.avx_vnni) return Rate(pool_, NibbleProductsAvx2, 32);
#endif
  return Int8Rate();
}

std::vector<LimitsSample> MachineLimits::Measure(int count) {
  std::vector<LimitsSample> samples(static_cast<size_t>(count));
  for (LimitsSample& sample : samples) {
    sample = {.read_bandwidth = ReadBandwidth(),
              .f32 = F32Rate(),
              .bf16 = BF16Rate(),
              .int8 = Int8Rate(),
              .int4 = Int4Rate()};
  }
  return samples;
}

namespace {

// Each limit of the result is what `choose` makes of that limit of all samples.
template <typename Choose>
LimitsSample Combine(const std::vector<LimitsSample>& samples, const Choose& choose) {
  LimitsSample combined;
  for (double LimitsSample::*const limit :
       {&LimitsSample::read_bandwidth, &LimitsSample::f32, &LimitsSample::bf16, &LimitsSample::int8,
        &LimitsSample::int4}) {
    std::vector<double> values;
    values.reserve(samples.size());
    for (const LimitsSample& sample : samples) values.push_back(sample.*limit);
    combined.*limit = choose(values);
  }
  return combined;
}

}  // namespace

// Other programs that ran at that moment can only make a figure worse.
LimitsSample MachineLimits::Sample() {
  return Combine(Measure(3), [](const std::vector<double>& values) {
    return *std::max_element(values.begin(), values.end());
  });
}

LimitsSample MachineLimits::TypicalSample() {
  return Combine(Measure(7), [](const std::vector<double>& values) { return Median(values); });
}

}  // namespace dray::bench
