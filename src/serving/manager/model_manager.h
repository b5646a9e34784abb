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
#include <mutex>
#include <optional>
#include <string>

#include "base/parse/properties.h"
#include "base/status.h"
#include "serving/load/memory_budget.h"
#include "serving/load/open_model.h"
#include "serving/load/resolve_model.h"
#include "serving/manager/operations.h"
#include "serving/repository.h"
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

 private:
  Result<std::shared_ptr<ServedModel>> Load(const Registration& registration);
  Result<ResolvedFiles> Resolve(const Registration& registration,
                                const std::filesystem::path& path);
  LoadProgress ProgressOf(const Registration& registration);

  const Options options_;
  ModelRepository& repository_;
  MemoryBudget budget_;
  std::mutex load_mutex_;  // held while a model is loaded
  Operations operations_;  // the last member, so that it ends first
};

}  // namespace dray::serving
