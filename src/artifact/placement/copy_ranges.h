// Copies parts of an artifact's data file into memory, with several threads.
#pragma once

#include <functional>
#include <stop_token>
#include <vector>

#include "artifact/placement/byte_range.h"
#include "artifact/placement/data_memory.h"
#include "base/status.h"

namespace dray::artifact {

struct CopyOptions {
  int num_threads = 1;
  std::stop_token stop = {};  // ends it with kCancelled
  // Called after each piece, by any of the threads, with the bytes of the piece. An error ends the copy.
  std::function<Status(int64_t bytes)> after_piece = nullptr;
};

// Puts copies of the ranges in their place (DataMemory::Copy), piece by piece. Returns the first error; then some
// pieces are copied and the others are as they were.
Status CopyRanges(const DataMemory& memory, const std::vector<ByteRange>& ranges,
                  const CopyOptions& options);

}  // namespace dray::artifact
