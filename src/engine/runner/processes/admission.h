// Which processes the front of an MPI job takes for its ranks: those that connect to its listener and know
// the listener's secret.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "parallel/processes/control_socket.h"
#include "parallel/processes/front_listener.h"

namespace dray::engine {

struct AdmittedRank {
  int64_t rank = 0;
  parallel::ControlSocket socket;
};

// Takes a process that has connected, if its first message, which must come within a second, is a hello
// of one of `num_ranks` ranks with the secret. Any other process gets no answer, and its connection
// is closed.
std::optional<AdmittedRank> AdmitRank(const parallel::FrontListener& listener, int64_t num_ranks);

// The rank of a hello; nothing if the message is not one, or has another secret or another rank.
std::optional<int64_t> RankOfHello(std::span<const std::byte> message, std::string_view secret,
                                   int64_t num_ranks);

}  // namespace dray::engine
