// What a server tells of one of its models.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace dray::serving {

enum class ModelState {
  kPending,    // its loading has not begun
  kLoading,    // its files are being read
  kReady,      // it answers requests
  kFailed,     // it could not be loaded, or its engine has stopped
  kUnloading,  // it ends what it has begun and will then be gone
};

// When a model was asked for. The server is not ready before all models of kStartUp are.
enum class ModelOrigin { kStartUp, kRunTime };

struct ModelInfo {
  std::string name;
  std::string version;
  std::string url;  // as it was registered
  ModelOrigin origin = ModelOrigin::kRunTime;
  ModelState state = ModelState::kPending;
  // Why it failed.
  Status failure = {};
  // Whether a failed model had served: its workers have failed since.
  bool was_ready = false;
  // Whether a ready model has fewer workers than it should have.
  bool lacks_workers = false;
  // How far its weights are read; the total is 0 until it is known.
  uint64_t loaded_bytes = 0;
  uint64_t total_bytes = 0;
};

}  // namespace dray::serving
