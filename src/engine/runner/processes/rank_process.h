// The program of a process that is one rank of a model (`dray rank`). RankProcesses starts it.
#pragma once

namespace dray::engine {

// Follows the orders of the front, which has given this process its control socket as descriptor
// parallel::kChildDescriptor, until the front ends or has no more steps. Returns the exit code.
// Prints to standard error if there is no front.
int RunRankProcess();

// Does the same for a process of a job that a user has started by mpirun, and that is not rank 0: the
// front is in the process of rank 0.
int RunRankOfUserJob();

}  // namespace dray::engine
