// How code that does not compute itself (settings, programs, tests) describes the backend that it
// wants.
#pragma once

#include <memory>

#include "base/status.h"
#include "kernels/cpu/options.h"

namespace dray::kernels {

class Backend;

// The host's processors are the only device so far; another one adds its options and a choice.
struct BackendOptions {
  CpuOptions cpu = {};
};

// kInvalidArgument if a number is out of range; kUnsupported, naming what there is, if a forced
// instruction set is unknown or missing.
Result<std::unique_ptr<Backend>> MakeBackend(const BackendOptions& options);

}  // namespace dray::kernels
