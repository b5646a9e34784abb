#include "fresh_memory.h"

#include <sys/mman.h>

#include <cstddef>
#include <thread>
#include <vector>

#include "base/machine/huge_pages.h"
#include "bench/machine_limits.h"

namespace dray::bench {

double FreshMemoryRate(int64_t bytes, int num_threads) {
  const auto size = static_cast<size_t>(bytes);
  std::byte* const begin = ReserveAddresses(size, Access::kReadWrite);
  if (begin == nullptr) return 0;
  PreferHugePages(begin, size);
  const Stopwatch watch;
  {
    std::vector<std::jthread> threads;
    threads.reserve(static_cast<size_t>(num_threads));
    const size_t part = size / static_cast<size_t>(num_threads) / kPageBytes * kPageBytes;
    for (int i = 0; i < num_threads; ++i) {
      threads.emplace_back([first = begin + static_cast<size_t>(i) * part, part] {
        for (size_t at = 0; at < part; at += kPageBytes) {
          *static_cast<volatile std::byte*>(first + at) = std::byte{1};
        }
      });
    }
  }
  const double seconds = watch.Seconds();
  ::munmap(begin, size);
  return static_cast<double>(bytes) / seconds;
}

}  // namespace dray::bench
