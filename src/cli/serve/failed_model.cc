#include "cli/serve/failed_model.h"

namespace dray::cli {

void FailedModel::Set(const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    name_ = name;
  }
  wait_.Wake();
}

std::optional<std::string> FailedModel::name() const {
  const std::lock_guard lock(mutex_);
  return name_;
}

}  // namespace dray::cli
