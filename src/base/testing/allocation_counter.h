// For tests that a warm path allocates nothing: replaces the global operator new of the program
// with one that counts. Include it in exactly one file of a test program, never in a library.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace dray {

inline std::atomic<int64_t> g_num_allocations = 0;

// Calls of operator new so far, by any thread.
inline int64_t NumAllocations() { return g_num_allocations.load(std::memory_order_relaxed); }

}  // namespace dray

// Not inlined, or the compiler would see free() of what new returned and call it a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  dray::g_num_allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
