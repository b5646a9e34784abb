// The models of one server, by name and version, and what each is up to.
//
// Threads: any.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "serving/model.h"

namespace dray::serving {

enum class ModelState { kPending, kReady, kFailed };

struct ModelInfo {
  std::string name;
  std::string version;
  ModelState state = ModelState::kPending;
  // Why it failed.
  Status failure;
};

class ModelRepository {
 public:
  // A model that is about to be loaded. kInvalidArgument if there is one of that name and version.
  Status AddPending(std::string name, std::string version);
  // The outcome of its loading; it must have been added.
  void SetReady(std::shared_ptr<Model> model);
  void SetFailed(std::string_view name, std::string_view version, Status failure);

  // `version` "" means the one added last. kNotFound, or kUnavailable if it is not ready.
  Result<std::shared_ptr<Model>> Find(std::string_view name, std::string_view version) const;
  // The name that a request means which names no model: the only one; "" if there are
  // more, or none.
  std::string OnlyName() const;
  // In the order they were added. A ready model whose engine has died counts as failed.
  std::vector<ModelInfo> List() const;

  // Every model refuses new requests from now on.
  void BeginDrain();

 private:
  struct Entry {
    ModelInfo info;
    std::shared_ptr<Model> model;
  };
  Entry* FindEntry(std::string_view name, std::string_view version);

  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace dray::serving
