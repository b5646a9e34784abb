// What the programs of the tests' ranks do, whichever way their messages go. Results are exit codes: 0, 1 if a result
// is wrong, 3 if a call failed. The reason is printed.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "parallel/communicator.h"
#include "parallel/link.h"

namespace dray::parallel {

// Prints a line at once.
void Print(std::string_view line);
// Prints the error and returns 3.
int Fail(const Status& status);
// Runs the cases that every communicator must pass; prints those that are wrong.
int RunCases(Communicator& rank);
// Messages [0, count) of at most `max_bytes`; size and bytes of each follow from its index. The first one is
// followed by a line: "sending" or "receiving".
int SendMessages(LinkSender& link, int64_t count, int64_t max_bytes);
int ReceiveMessages(LinkReceiver& link, int64_t count, int64_t max_bytes);

}  // namespace dray::parallel
