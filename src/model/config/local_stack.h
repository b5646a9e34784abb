// The part of a stack that one rank computes.
#pragma once

#include "model/config/model_config.h"
#include "model/config/stack_config.h"
#include "parallel/shard.h"

namespace dray::model {

// The stack as the rank's forward pass sees it: with its own numbers of heads and features, and with
// the layers of its stage (parallel/shard.h). All other sizes are those of `stack`.
StackConfig LocalStack(const StackConfig& stack, parallel::Rank rank, parallel::Stage stage = {});

// The most stages that can divide the model: each has a layer of the stack, and one of the encoder if there
// is one.
int64_t MaxStages(const ModelConfig& config);

}  // namespace dray::model
