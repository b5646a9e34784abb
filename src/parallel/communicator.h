// How the ranks of a tensor-parallel group put their results together while they compute a step.
//
// Every rank calls the same functions in the same order with the same counts. A call returns when
// this rank has its result; it does not wait until the others have theirs. Sums are added in the
// order of ranks, one number at a time:
//
//   x[i] = (((x[i] + part_0[i]) + part_1[i]) + part_2[i]) ...
//
// So all ranks have the same bits, and these depend neither on the transport nor on how a call
// divides its work.
//
// The arrays are in memory that the backend of the rank computes in. The implementations for
// processors read and write host memory.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "parallel/shard.h"

namespace dray::parallel {

// What this rank has exchanged with others since the communicator was made: the figures that
// docs/ranks.md derives from the shapes of a model.
struct Traffic {
  uint64_t sums = 0;            // calls of AddParts
  uint64_t sum_numbers = 0;     // floats in them, counted once for a call and not for each peer
  uint64_t gathers = 0;         // calls of Gather
  uint64_t gather_numbers = 0;  // floats that this rank gave to them
  // Bytes that this rank has read from the memory of others, or got from them in messages
  // (docs/communicators.md).
  uint64_t received_bytes = 0;
};

// Called by one thread, the rank's, but for Abort.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual Rank rank() const = 0;
  // The most floats in one call of AddParts or Gather.
  virtual int64_t max_count() const = 0;

  // Memory for max_count() floats, where this rank writes its part of the next sum. Each AddParts
  // may move it, so that a rank can go on while others still read the part before.
  virtual float* part() = 0;
  // Adds the parts of all ranks to x, in the order of ranks. `x` [count] is the same at every rank
  // before the call and after it. kUnavailable if a rank is lost or does not come in time; then the
  // group has ended, and every later call fails alike.
  virtual Status AddParts(float* x, int64_t count) = 0;
  // Rank 0 gets the numbers of all ranks in `all` [world, count]. Others may pass null for `all`.
  virtual Status Gather(const float* mine, int64_t count, float* all) = 0;
  // Ends the group: every call of any rank that waits, or comes later, fails with `reason`. Any
  // thread may call it.
  virtual void Abort(const Status& reason) = 0;

  virtual Traffic traffic() const = 0;
};

}  // namespace dray::parallel
