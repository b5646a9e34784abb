// Which bytes of an artifact stay in memory, if not all of them fit, and which are read from the disk whenever
// their layer is computed.
//
// Every layer has the same share of its matrices streamed, rather than some layers all of theirs. Then a unit of
// the stream (artifact/placement/unit_stream.h) is small, and so are the two units that must be in memory
// beside what stays; and the disk has an equal part to read while each layer is computed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "artifact/manifest.h"
#include "artifact/placement/byte_range.h"
#include "artifact/placement/unit_stream.h"
#include "base/status.h"

namespace dray::model {

struct OffloadPlan {
  // [stage]: a unit for each layer of the stage. All other bytes of the data file stay in memory.
  std::vector<artifact::UnitStream::Units> stages;
  std::vector<artifact::ByteRange> resident;  // all other bytes, in ascending order
  int64_t resident_bytes = 0;
  int64_t streamed_bytes = 0;  // of the data file: what a step reads
  int64_t memory_bytes = 0;    // what stays, and the units that are in memory at a time
};

struct OffloadRequest {
  int64_t num_layers = 0;  // of the whole model
  int64_t num_stages = 1;
  int64_t limit_bytes = 0;  // for weights
};

// Streams as little as the limit allows. kResourceExhausted, with the least limit that would do, if the limit is
// too small; kCorrupt if the artifact lacks a layer. `where` is put before errors.
Result<OffloadPlan> PlanOffload(const artifact::Manifest& manifest, const OffloadRequest& request,
                                const std::string& where);

}  // namespace dray::model
