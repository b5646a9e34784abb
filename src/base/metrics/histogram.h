// Counts how often values of each size occurred. Observing takes no lock and no memory, so that it may stand in
// a step of the engine.
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace dray {

class Histogram {
 public:
  // `bounds` are the upper bounds of the buckets, ascending; a last bucket without a bound follows them. They
  // must outlive the histogram.
  explicit Histogram(std::span<const double> bounds);

  void Observe(double value);

  struct Snapshot {
    std::span<const double> bounds;
    // Of each bucket, the last one included; not cumulative.
    std::vector<uint64_t> counts;
    double sum = 0;
  };
  // Values that are being observed may be in the counts and not yet in the sum, or the other way around.
  Snapshot Take() const;

 private:
  const std::span<const double> bounds_;
  // [bounds + 1]
  const std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

}  // namespace dray
