// Lets the server's main thread know of a model that has failed, which is to end the server (fail_fast).
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "cli/serve/shutdown.h"

namespace dray::cli {

class FailedModel {
 public:
  // `wait`, which must outlive this, is woken when a model fails.
  explicit FailedModel(const ShutdownWait& wait) : wait_(wait) {}

  // From any thread.
  void Set(const std::string& name);
  // The last one; nothing if none has failed.
  std::optional<std::string> name() const;

 private:
  const ShutdownWait& wait_;
  mutable std::mutex mutex_;
  std::optional<std::string> name_;
};

}  // namespace dray::cli
