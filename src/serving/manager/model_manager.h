// Registers and unregisters models while others serve. Loads go one after another, since each takes
// all processors and as much memory as there is; everything else goes on meanwhile.
//
// Threads: any. Every operation that takes long has a thread of its own (operations.h), on which its
// Done is called.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/parse/properties.h"
#include "base/status.h"
#include "serving/load/open_model.h"
#include "serving/load/resolve_model.h"
#include "serving/manager/model_watch.h"
#include "serving/manager/operations.h"
#include "serving/repository.h"
#include "serving/workers/memory_budget.h"
#include "settings/load_settings.h"

namespace dray::serving {

// A model that is to be served.
struct Registration {
  std::string url;      // load/model_source.h says what it may be
  std::string name;     // "": from the URL
  std::string version;  // "": the only one
  ModelOrigin origin = ModelOrigin::kRunTime;
  // Settings over those of all other sources, by the keys of serving.properties.
  Properties settings = {};
  // Its settings and files, if they are known already; the URL is then for people only.
  std::optional<ResolvedFiles> resolved = std::nullopt;
  // Called while the weights are read.
  LoadProgress progress = nullptr;
};

class ModelManager {
 public:
  struct Options {
    // The settings of every model, beside its own.
    settings::SettingSources sources = {};
    // How long the requests of a model may go on that is unregistered.
    std::chrono::seconds drain_timeout{25};
    // How often the files of models are looked at; a model is loaded anew if they have changed.
    // 0: never.
    std::chrono::milliseconds reload_interval{0};
    // Where archives are unpacked.
    std::filesystem::path unpack_dir = std::filesystem::temp_directory_path() / "dray-models";
  };
  // `repository` must outlive the manager.
  ModelManager(Options options, ModelRepository& repository);
  // Waits for operations that are under way.
  ~ModelManager() = default;
  ModelManager(const ModelManager&) = delete;
  ModelManager& operator=(const ModelManager&) = delete;

  // What becomes of a model that could not be loaded.
  enum class OnFailure { kKeepFailed, kForget };
  // Called once, with the outcome.
  using Done = std::function<void(const Status&)>;

  // Adds a model to the repository and loads it in the background. The reasons to refuse are
  // ModelExists, and a Status for a name that is none or because too much is under way; `done` is
  // not called then. The name of the model otherwise.
  OrReason<std::string> Register(Registration registration, OnFailure on_failure, Done done);

  // Takes a model out in the background, with all its versions if `version` is "". Its requests may
  // finish. The reasons to refuse are ModelUnknown, and ModelNotReady while it is being loaded.
  std::optional<Reason> Unregister(const std::string& name, const std::string& version, Done done);

  // What changes of a model's workers; what is absent stays.
  struct WorkerChange {
    std::optional<int64_t> min_workers;
    std::optional<int64_t> max_workers;
    std::optional<int64_t> batch_size;
    std::optional<std::chrono::milliseconds> max_batch_delay;
    std::optional<std::chrono::seconds> max_idle_time;
  };
  // Changes the workers of a model in the background, of all its versions if `version` is "". A
  // minimum over the maximum raises the maximum if that is absent, and is lowered to it otherwise.
  // The reasons to refuse are ModelUnknown and ModelNotReady.
  std::optional<Reason> Scale(const std::string& name, const std::string& version,
                              const WorkerChange& change, Done done);

 private:
  // Whether a model is loaded for the first time, or beside its older self.
  enum class Loading { kFirst, kAgain };
  Result<std::shared_ptr<ServedModel>> Load(const std::shared_ptr<Registration>& registration,
                                            Loading loading);
  // What opening throws is an error of it.
  Result<std::shared_ptr<ServedModel>> OpenContained(const Registration& registration,
                                                     LoadProgress progress);
  Result<std::shared_ptr<ServedModel>> Open(const Registration& registration,
                                            LoadProgress progress);
  // Null if it is not registered.
  std::shared_ptr<Registration> RegistrationOf(const std::string& name,
                                               const std::string& version) const;
  void Forget(const std::string& name, const std::string& version);
  // The model's files have changed: loads them beside the model that serves, then lets requests go
  // to the new one. The old one ends what it has begun.
  void Reload(const std::string& name, const std::string& version);
  void Retire(const std::shared_ptr<ServedModel>& model) const;
  Result<ResolvedFiles> Resolve(const Registration& registration,
                                const std::filesystem::path& path);
  LoadProgress ProgressOf(const Registration& registration);

  const Options options_;
  ModelRepository& repository_;
  MemoryBudget budget_;
  std::mutex load_mutex_;  // held while a model is loaded
  mutable std::mutex mutex_;
  // How the models were registered that are loaded, by name and version.
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Registration>> registrations_;
  ModelWatch watch_;
  Operations operations_;  // the last member, so that it ends first
};

}  // namespace dray::serving
