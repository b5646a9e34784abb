// The plan: every layout that comes into question for a model on some machines, whether it fits and
// why not, and what to expect of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "plan/cost/latency.h"
#include "plan/cost/layout.h"
#include "plan/cost/memory.h"
#include "plan/cost/traffic.h"
#include "plan/cost/workload.h"
#include "plan/devices/devices.h"
#include "plan/shape/model_shape.h"

namespace dray::plan {

struct PlanOptions {
  // Absent: as the files store them, or the configuration says that they do, or f32.
  std::optional<kernels::WeightForm> format = std::nullopt;
  // Of matrices outside of the layers; absent: `format`.
  std::optional<kernels::WeightForm> table_format = std::nullopt;
  std::optional<DType> cache = std::nullopt;  // absent: as the engine chooses it
  Workload workload = {};
  // The degrees to look at; empty: those that suit the machines.
  std::vector<int64_t> tensor_degrees = {};
  std::vector<int64_t> pipeline_degrees = {};
};

// How long it takes to bring the weights into memory, in seconds. Each host reads the files once, or
// the stages' parts of an artifact that holds the weights as they are in memory.
struct LoadTimes {
  std::optional<double> disk;     // absent: the disk's rate is unknown
  std::optional<double> network;  // the same for the network
  std::optional<double> artifact_disk;
  std::optional<double> artifact_network;
};

// One pair of degrees.
struct PlanRow {
  Degrees degrees;
  // Why it cannot be; empty: it can.
  std::vector<std::string> reasons;
  std::vector<std::string> notes;  // e.g. heads of padding
  // What follows is there if the layout is possible at all, also where its memory does not suffice.
  struct Figures {
    Layout layout;
    RankMemory memory;               // of the rank that needs the largest part of its device's
    double device_memory_bytes = 0;  // that this rank has
    double total_weight_bytes = 0;   // of all ranks
    double total_padding_bytes = 0;  // of these
    Traffic traffic;
    LoadTimes load;
    Latency latency;
    double request_seconds = 0;
    double tokens_per_second = 0;  // of the whole batch, while it decodes
  };
  std::optional<Figures> figures;

  bool fits() const { return reasons.empty(); }
};

struct Plan {
  ShapeFacts facts;
  Machines machines;
  Formats formats;
  Workload workload;
  // Of the files, or of as many numbers in the configuration's format.
  double checkpoint_bytes = 0;
  std::vector<PlanRow> rows;
  // The row whose requests are answered first; of rows within 5 % the one with the fewest ranks.
  // Absent: nothing fits.
  std::optional<size_t> best;
  std::vector<std::string> notes;
};

// The formats that the options and the model's files decide together.
Formats ChooseFormats(const ShapeFacts& facts, const PlanOptions& options);

// kInvalidArgument, naming value and limit, if the workload is longer than the model allows or a
// number is out of range. That nothing fits is no error.
Result<Plan> MakePlan(const ModelShape& shape, const Machines& machines,
                      const PlanOptions& options);

}  // namespace dray::plan
