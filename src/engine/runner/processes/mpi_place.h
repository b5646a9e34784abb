// Which process of a job of mpirun this one is.
#pragma once

#include <cstdint>
#include <optional>

namespace dray::engine {

// This process in the job of mpirun that has started it, by the environment.
struct MpiPlace {
  int64_t rank = 0;
  int64_t world = 1;
  int64_t local_world = 1;  // processes of the job on this machine
};
// Nothing if mpirun has not started this process.
std::optional<MpiPlace> MpiPlaceOfProcess();

// The variable by which the processes of a job find their front (parallel/processes/front_listener.h).
inline constexpr char kFrontVariable[] = "DRAY_RANK_FRONT";

// Sets the variables by which programs find out which rank they are (docs/ranks.md) from those of
// mpirun. Call it before threads are started.
void SetRankVariables(const MpiPlace& place);

}  // namespace dray::engine
