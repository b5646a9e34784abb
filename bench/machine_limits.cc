// Streaming reads and register-only arithmetic; each loop is compiled for its instruction set by
// function attributes and chosen at run time.
#include "machine_limits.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>

#include "base/cpu_info.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace dray::bench {
namespace {

constexpr int64_t kBufferBytes = int64_t{512} << 20;
constexpr int64_t kIterations = 4'000'000;
std::atomic<float> sink{0};

#if defined(__x86_64__)
#define DRAY_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))

DRAY_AVX512 float ReadAvx512(const char* p, int64_t bytes) {
  __m512i acc[4] = {};
  for (int64_t i = 0; i < bytes; i += 256) {
    for (int j = 0; j < 4; ++j) {
      _mm_prefetch(p + i + j * 64 + 8192, _MM_HINT_T0);
      acc[j] = _mm512_xor_si512(acc[j], _mm512_load_si512(p + i + j * 64));
    }
  }
  alignas(64) float out[16];
  _mm512_store_si512(
      out, _mm512_or_si512(_mm512_or_si512(acc[0], acc[1]), _mm512_or_si512(acc[2], acc[3])));
  return out[0];
}

DRAY_AVX512 float FmaAvx512() {
  __m512 acc[12], x = _mm512_set1_ps(0.5f), y = _mm512_set1_ps(0.25f);
  for (auto& a : acc) a = x;
  for (int64_t i = 0; i < kIterations; ++i) {
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm512_fmadd_ps(x, y, a);
  }
  for (int i = 1; i < 12; ++i) acc[0] = _mm512_add_ps(acc[0], acc[i]);
  return acc[0][0];
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"))) float DotBF16Avx512() {
  __m512 acc[12], x = _mm512_set1_ps(0.5f), y = _mm512_set1_ps(0.25f);
  for (auto& a : acc) a = x;
  for (int64_t i = 0; i < kIterations; ++i) {
#pragma GCC unroll 12
    for (auto& a : acc)
      a = _mm512_dpbf16_ps(a, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y));
  }
  for (int i = 1; i < 12; ++i) acc[0] = _mm512_add_ps(acc[0], acc[i]);
  return acc[0][0];
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))) float DotInt8Avx512() {
  __m512i acc[12], x = _mm512_set1_epi32(3), y = _mm512_set1_epi32(5);
  for (auto& a : acc) a = x;
  for (int64_t i = 0; i < kIterations; ++i) {
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm512_dpbusd_epi32(a, x, y);
  }
  for (int i = 1; i < 12; ++i) acc[0] = _mm512_add_epi32(acc[0], acc[i]);
  return static_cast<float>(acc[0][0]);
}

__attribute__((target("avx2,fma"))) float FmaAvx2() {
  __m256 acc[12], x = _mm256_set1_ps(0.5f), y = _mm256_set1_ps(0.25f);
  for (auto& a : acc) a = x;
  for (int64_t i = 0; i < kIterations; ++i) {
#pragma GCC unroll 12
    for (auto& a : acc) a = _mm256_fmadd_ps(x, y, a);
  }
  for (int i = 1; i < 12; ++i) acc[0] = _mm256_add_ps(acc[0], acc[i]);
  return acc[0][0];
}
#endif

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

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0.0 : values[values.size() / 2];
}

MachineLimits::MachineLimits(int num_threads)
    : pool_(num_threads),
      buffer_(std::move(HostAllocator().Allocate(kBufferBytes + 16384)).value()) {
  pool_.Run([&](int thread_idx) {
    const auto [begin, end] = pool_.Share(kBufferBytes, thread_idx);
    std::fill(buffer_.data() + begin, buffer_.data() + end, std::byte{1});
  });
}

double MachineLimits::ReadBandwidth() {
  auto* read = &ReadPortable;
#if defined(__x86_64__)
  if (DetectCpuFeatures().avx512) read = &ReadAvx512;
#endif
  const Stopwatch watch;
  pool_.Run([&](int thread_idx) {
    const auto [begin, end] = pool_.Share(kBufferBytes / 4096, thread_idx);
    sink = read(reinterpret_cast<const char*>(buffer_.data()) + begin * 4096, (end - begin) * 4096);
  });
  return kBufferBytes / watch.Seconds();
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
  if (DetectCpuFeatures().avx512) return Rate(pool_, FmaAvx512, 16);
  if (DetectCpuFeatures().avx2) return Rate(pool_, FmaAvx2, 8);
#endif
  return 0;
}

double MachineLimits::BF16Rate() {
#if defined(__x86_64__)
  if (DetectCpuFeatures().avx512_bf16) return Rate(pool_, DotBF16Avx512, 32);
#endif
  return 0;
}

double MachineLimits::Int8Rate() {
#if defined(__x86_64__)
  if (DetectCpuFeatures().avx512_vnni) return Rate(pool_, DotInt8Avx512, 64);
#endif
  return 0;
}

}  // namespace dray::bench
