// The program of a process that is one rank of a model in an MPI job.
//
// Rank 0 is the head: it alone has a front, which orders steps as from a rank that the front has
// started itself (wire/rank_messages.h). The head passes everything on to the others by messages over
// MPI.
#pragma once

#include "base/status.h"
#include "parallel/processes/control_socket.h"

namespace dray::engine {

// Follows the orders of `front`, as the head, or those of the head, as another rank, for which `front`
// is null, until there are no more. Starts MPI, which a process can do once. After an error the job has ended: the process must exit with another code
// than 0, upon which mpirun ends the others.
Status RunMpiRank(const parallel::ControlSocket* front);

}  // namespace dray::engine
