// How fast the system gives memory to a process: it clears each page, and a virtual machine may first have to get it
// from its host. A loader that makes a copy of weights can be no faster.
#pragma once

#include <cstdint>

namespace dray::bench {

// Bytes a second of new memory, in huge pages where the system has some, that so many threads together touch for the
// first time. 0 if there is no memory.
double FreshMemoryRate(int64_t bytes, int num_threads);

}  // namespace dray::bench
