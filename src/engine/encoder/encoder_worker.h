// An encoder's engine as the pool of a model's workers sees it. It generates nothing, and tells how the
// encoder is.
#pragma once

#include <memory>

#include "engine/encoder/encoder_engine.h"
#include "engine/engine.h"

namespace dray::engine {

// Submit refuses every request, with kUnsupported. Statistics are counted from here on.
std::unique_ptr<Engine> MakeEncoderWorker(std::shared_ptr<const EncoderEngine> engine);

}  // namespace dray::engine
