#include "engine/runner/processes/mpi_place.h"

#include <cstdlib>
#include <string>

#include "base/parse/parse_number.h"

namespace dray::engine {
namespace {

std::optional<int64_t> NumberOf(const char* variable) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? std::nullopt : ParseInt64(text);
}

}  // namespace

std::optional<MpiPlace> MpiPlaceOfProcess() {
  const auto rank = NumberOf("OMPI_COMM_WORLD_RANK");
  const auto world = NumberOf("OMPI_COMM_WORLD_SIZE");
  const auto local_world = NumberOf("OMPI_COMM_WORLD_LOCAL_SIZE");
  if (!rank || !world || !local_world) return std::nullopt;
  return MpiPlace{*rank, *world, *local_world};
}

void SetRankVariables(const MpiPlace& place) {
  const char* const local_rank = std::getenv("OMPI_COMM_WORLD_LOCAL_RANK");
  ::setenv("RANK", std::to_string(place.rank).c_str(), 1);
  ::setenv("WORLD_SIZE", std::to_string(place.world).c_str(), 1);
  ::setenv("LOCAL_WORLD_SIZE", std::to_string(place.local_world).c_str(), 1);
  if (local_rank != nullptr) ::setenv("LOCAL_RANK", local_rank, 1);
}

}  // namespace dray::engine
