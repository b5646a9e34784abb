#include "base/machine/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>

#include "base/checked_math.h"

namespace dray {

// Maps one huge page more than wanted and unmaps the unaligned ends.
std::byte* ReserveAddresses(size_t size_bytes, Access access) {
  if (size_bytes == 0 || size_bytes > SIZE_MAX / 2) return nullptr;
  const size_t wanted = RoundUp(size_bytes, kPageBytes);
  const size_t mapped = wanted + kHugePageBytes;
  const int protection = access == Access::kNone ? PROT_NONE : PROT_READ | PROT_WRITE;
  void* raw = ::mmap(nullptr, mapped, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<uintptr_t>(raw);
  const uintptr_t aligned = RoundUp<uintptr_t>(begin, kHugePageBytes);
  if (aligned > begin) ::munmap(raw, aligned - begin);
  const uintptr_t end = begin + mapped;
  if (end > aligned + wanted) {
    ::munmap(reinterpret_cast<void*>(aligned + wanted), end - aligned - wanted);
  }
  return reinterpret_cast<std::byte*>(aligned);
}

void PreferHugePages(std::byte* begin, size_t size_bytes) {
  if (size_bytes > 0) ::madvise(begin, size_bytes, MADV_HUGEPAGE);
}

}  // namespace dray
