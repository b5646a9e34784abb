// Ranges of addresses that begin where a huge page does, so that the kernel can fill them with huge pages:
// a thread that reads gigabytes through 4 KiB pages waits for the translation of their addresses.
#pragma once

#include <cstddef>

namespace dray {

inline constexpr size_t kHugePageBytes = size_t{2} << 20;
// The smallest page size of every platform that we run on.
inline constexpr size_t kPageBytes = 4096;

// Whether memory at reserved addresses may be read and written.
enum class Access { kNone, kReadWrite };

// Reserves `size_bytes`, rounded up to whole pages, of private memory of zeros. It takes memory as it is
// written. The first byte is at a multiple of kHugePageBytes. Unmap it with munmap. Null if the system
// refuses.
std::byte* ReserveAddresses(size_t size_bytes, Access access);

// Asks the kernel for huge pages in the pages of [begin, begin + size_bytes), which begins where a page does.
void PreferHugePages(std::byte* begin, size_t size_bytes);

}  // namespace dray
