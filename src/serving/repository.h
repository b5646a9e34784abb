// The models of one server, by name and version, and the state of each.
//
// Threads: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "serving/model_info.h"
#include "serving/reasons.h"
#include "serving/served_model.h"

namespace dray::serving {

// How long ReleaseModel waits: as long as a text may take to be tokenized that is as large as a request may be.
inline constexpr std::chrono::milliseconds kReleasePatience{60'000};

// Waits until no other thread holds the model, and frees it. For a model that the repository has given out of its
// hands: callers of Find hold it for the time of one Submit. They should not have to end its threads, so the model is
// left to the last of them, with a warning, only if they hold it for longer than `patience`.
void ReleaseModel(std::shared_ptr<ServedModel> model,
                  std::chrono::milliseconds patience = kReleasePatience);

class ModelRepository {
 public:
  // A model that will be loaded. kInvalidArgument if there is one of that name and version.
  Status AddPending(std::string name, std::string version,
                    ModelOrigin origin = ModelOrigin::kRunTime, std::string url = {});
  // The stages of its loading; it must have been added. A model that failed may be loaded again.
  void SetLoading(std::string_view name, std::string_view version);
  void SetProgress(std::string_view name, std::string_view version, uint64_t loaded_bytes,
                   uint64_t total_bytes);
  void SetReady(std::shared_ptr<ServedModel> model);
  // Takes the place of a ready model of the same name and version, and returns that; requests go to
  // the new one from now on. Null, and nothing happens, if there is no such model any more.
  std::shared_ptr<ServedModel> Replace(std::shared_ptr<ServedModel> model);
  void SetFailed(std::string_view name, std::string_view version, Status failure);

  // `version` "" means any: those that are ready take turns. The reasons are ModelUnknown and
  // ModelNotReady.
  OrReason<std::shared_ptr<ServedModel>> Find(std::string_view name,
                                              std::string_view version) const;
  // The name that a request means which names no model: the only one of the start; "" if there are
  // more, or none.
  std::string OnlyName() const;
  // In the order they were added. A ready model whose engine has died counts as failed.
  std::vector<ModelInfo> List() const;
  // A model's state, and itself unless it is not ready.
  struct Entry {
    ModelInfo info;
    std::shared_ptr<ServedModel> model;
  };
  // The versions of a model, or one of them if `version` is not "", but for those that are being
  // unloaded. In the order they were added.
  std::vector<Entry> Versions(std::string_view name, std::string_view version) const;
  // Whether every model of kStartUp has become ready (or was removed since).
  bool StartUpDone() const;

  // Counted by the callers that load models.
  void CountLoadFailure();
  struct LoadStats {
    uint64_t failures = 0;  // models that could not be loaded, for the first time or again
    // From the start until every model of kStartUp was ready; 0 before.
    std::chrono::duration<double> start_up{0};
  };
  LoadStats load_stats() const;

  // Takes a model out and gives its memory back. It refuses new requests at once; those that it
  // has may finish until `deadline` and are cancelled then. Returns when the memory is free. Other
  // models are not touched.
  // kNotFound, or kUnavailable while it is being loaded or removed.
  Status Remove(std::string_view name, std::string_view version,
                std::chrono::steady_clock::time_point deadline);

  // Takes a model out that is not ready and is not being unloaded.
  void Forget(std::string_view name, std::string_view version);

  // Every model refuses new requests from now on.
  void BeginDrain();
  // Gives up the workers that are being made; no model gets further ones.
  void StopMakingWorkers();

 private:
  struct Place : Entry {
    // How often Find has chosen it among the versions of its name; the fewest turns come first.
    mutable uint64_t num_turns = 0;
  };
  // The place of a model, which must exist.
  Place& At(std::string_view name, std::string_view version);
  std::vector<Place>::iterator FindPlace(std::string_view name, std::string_view version);
  uint64_t FewestTurns(std::string_view name) const;

  bool StartUpDoneLocked() const;

  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  mutable std::mutex mutex_;
  std::vector<Place> places_;
  LoadStats load_stats_;
};

}  // namespace dray::serving
