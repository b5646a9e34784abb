// A part of a data file.
#pragma once

#include <cstdint>

namespace dray::artifact {

// The bytes [begin, end).
struct ByteRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  bool operator==(const ByteRange&) const = default;
};

}  // namespace dray::artifact
