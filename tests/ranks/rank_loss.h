// Kills and stops rank processes of a running server while clients ask it, and counts what the clients
// lose by that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dray::ranks {

struct LossPlan {
  std::vector<std::string> flags;  // of the server: transport and degrees
  int num_ranks = 2;
  bool over_mpi = false;  // the ranks are children of mpirun
  int num_kills = 0;
  int num_stops = 0;
  unsigned seed = 1;
};

struct LossReport {
  int num_answers = 0;
  int num_lost = 0;           // requests without an answer, or with another status than 200
  int num_wrong = 0;          // answers with another text than without losses
  int num_not_recovered = 0;  // losses after which the server did not answer any more
  // From the signal until the server has answered a request that came after it, in milliseconds.
  std::vector<double> kill_ms;
  std::vector<double> stop_ms;
  std::string failure;  // of the server's start; "" if it started
};

// How long a rank of the server may be silent. Stopped ranks are lost after that.
inline constexpr int kRankTimeoutSeconds = 2;

// Starts `program` with the demo model, and ends it afterwards.
LossReport LoseRanks(const std::string& program, const LossPlan& plan);

// The answer to a prompt, with that many tokens; nothing without one or with another status than 200.
std::optional<std::string> Ask(uint16_t port, const std::string& prompt, int num_tokens);

}  // namespace dray::ranks
