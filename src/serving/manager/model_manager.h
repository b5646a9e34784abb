// Registers and unregisters models while others serve. Loads go one after another, since each takes
// all processors and as much memory as there is; everything else goes on meanwhile.
//
// Threads: any. Every operation that takes long has a thread of its own (operations.h), on which its
// Done is called.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>

#include "base/parse/properties.h"
#include "base/status.h"
#include "serving/load/model_source.h"
#include "serving/load/open_model.h"
#include "serving/load/resolve_model.h"
#include "serving/manager/load_turns.h"
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
  // Finds its settings and files, each time that it is loaded. Null: by the URL, which otherwise is for
  // people only.
  std::function<Result<ResolvedFiles>()> resolve = nullptr;
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
    // Called on a thread of the model when more of its workers have failed than retry_threshold allows; a model
    // may outlive the manager. May be null.
    std::function<void(const std::string& name)> on_model_failed = nullptr;
    // Where archives are unpacked.
    std::filesystem::path unpack_dir = DefaultUnpackDir();
  };
  // `repository` must outlive the manager.
  ModelManager(Options options, ModelRepository& repository);
  // Waits for operations that are under way.
  ~ModelManager();
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
  // finish. A model that is being loaded is loaded no further; its registration is done with kCancelled.
  // The reason to refuse is ModelUnknown.
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
  using Key = std::pair<std::string, std::string>;  // name and version
  using Clock = std::chrono::steady_clock;
  // The first load of a model.
  struct FirstLoad {
    std::stop_source stop;
    const Clock::time_point begin = Clock::now();
    // Guarded by mutex_. Once it has ended, whether the model is in the repository, ready or failed.
    bool ended = false;
    bool kept = false;
  };
  // What only a first load has.
  struct OpenOptions {
    LoadProgress progress = nullptr;
    std::stop_token stop = {};
  };

  // Adds the model to the repository as pending. Null if it is there already.
  std::shared_ptr<FirstLoad> BeginFirstLoad(const Registration& registration);
  // Loads the model and puts it into the repository, as ready or as failed, or takes it out.
  Status LoadFirst(const std::shared_ptr<Registration>& registration, FirstLoad& load,
                   OnFailure on_failure);
  Result<std::shared_ptr<ServedModel>> OpenFirst(const std::shared_ptr<Registration>& registration,
                                                 const FirstLoad& load);
  void EndFirstLoad(const Key& key, FirstLoad& load, bool kept);
  // Ends the load of a model soon, if there is one. Null: none.
  std::shared_ptr<FirstLoad> StopFirstLoad(const Key& key);
  // Takes a model out. `load` is its first load, which was stopped; null: that has ended before.
  Status Remove(const Key& key, FirstLoad* load);

  Result<std::shared_ptr<ServedModel>> Open(const Registration& registration, OpenOptions options);
  // Null if it is not registered.
  std::shared_ptr<Registration> RegistrationOf(const std::string& name,
                                               const std::string& version) const;
  void Forget(const std::string& name, const std::string& version);
  // The model's files have changed: loads them beside the model that serves, then lets requests go
  // to the new one. The old one ends what it has begun.
  void Reload(const std::string& name, const std::string& version);
  void LoadAgain(const std::shared_ptr<Registration>& registration);
  void Retire(std::shared_ptr<ServedModel> model) const;
  Result<ResolvedFiles> Resolve(const Registration& registration,
                                const std::filesystem::path& path);
  LoadProgress ProgressOf(const Registration& registration);

  const Options options_;
  ModelRepository& repository_;
  MemoryBudget budget_;
  LoadTurns load_turns_;
  mutable std::mutex mutex_;
  std::condition_variable first_load_ended_;
  // How the models were registered that are loaded.
  std::map<Key, std::shared_ptr<Registration>> registrations_;
  std::map<Key, std::shared_ptr<FirstLoad>> first_loads_;  // that have not ended
  // Models that will be loaded again, and have not begun: they need not be told of further changes.
  std::set<Key> waiting_reloads_;
  ModelWatch watch_;
  Operations operations_;  // the last member: operations use the others
};

}  // namespace dray::serving
