// The part of a stack that one rank of a tensor-parallel group computes.
#pragma once

#include "model/config/stack_config.h"
#include "parallel/shard.h"

namespace dray::model {

// The stack as the rank's forward pass sees it: with its own numbers of heads and features
// (parallel/shard.h). All other sizes are those of `stack`.
StackConfig LocalStack(const StackConfig& stack, parallel::Rank rank);

}  // namespace dray::model
