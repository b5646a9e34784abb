// Makes the step that a runner takes of a scheduler's plan.
#pragma once

#include <cstdint>

#include "engine/request_table.h"
#include "engine/step/step_in_flight.h"
#include "scheduler/plan.h"

namespace dray::engine {

// Fills step.plan, step.input and step.wanted. The rows of the entries follow each other in the
// plan's order. The wanted rows of an entry are those of its prompt whose next token is to be
// scored or whose state the request's group needs, and then, if the entry samples, the rows of its
// last known token and of its guesses.
void MakeBatch(const scheduler::Plan& plan, const RequestTable& requests, int64_t block_size,
               StepInFlight& step);

}  // namespace dray::engine
