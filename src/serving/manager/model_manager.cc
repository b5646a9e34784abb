#include "serving/manager/model_manager.h"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "base/human.h"
#include "base/log.h"
#include "serving/load/model_source.h"

namespace dray::serving {
namespace {

// How often a load that takes long is told on the log.
constexpr std::chrono::seconds kLogInterval{5};

std::string Title(const std::string& name, const std::string& version) {
  return version.empty() ? name : fmt::format("{}:{}", name, version);
}

// The options of the command line that name a model's files are not for the models of an API.
settings::SettingSources WithoutModel(settings::SettingSources sources) {
  for (const char* flag : {"model-id", "model-name", "tokenizer", "calibration-file"}) {
    sources.flags.erase(flag);
  }
  sources.config_properties.erase("model_name");
  return sources;
}

std::optional<Reason> CheckNames(const Registration& registration) {
  for (const std::string& name : {registration.name, registration.version}) {
    if (name.empty() || IsModelName(name)) continue;
    return Reason(Status(StatusCode::kInvalidArgument,
                         fmt::format("\"{}\" cannot name a model or a version: use 1 to 128 "
                                     "letters, digits, \".\", \"_\" and \"-\", and begin with "
                                     "another one than \".\"",
                                     name.substr(0, 200))));
  }
  return std::nullopt;
}

}  // namespace

ModelManager::ModelManager(Options options, ModelRepository& repository)
    : options_(std::move(options)), repository_(repository) {}

OrReason<std::string> ModelManager::Register(Registration registration, OnFailure on_failure,
                                             Done done) {
  if (registration.name.empty()) registration.name = ModelNameOfUrl(registration.url);
  if (const auto problem = CheckNames(registration)) return *problem;
  const std::string name = registration.name;
  const std::string version = registration.version;
  if (!repository_.AddPending(name, version, registration.origin, registration.url).ok()) {
    return Reason(ModelExists{name, version});
  }
  const auto shared = std::make_shared<Registration>(std::move(registration));
  const Status started = operations_.Start([this, shared, on_failure, done = std::move(done)] {
    auto model = Load(*shared);
    const Status status = model.status();
    if (model.ok()) {
      repository_.SetReady(std::move(*model));
    } else {
      LogError(fmt::format("{}: {}", Title(shared->name, shared->version), status.message()));
      if (on_failure == OnFailure::kForget) {
        repository_.Forget(shared->name, shared->version);
      } else {
        repository_.SetFailed(shared->name, shared->version, status);
      }
    }
    done(status);
  });
  if (started.ok()) return name;
  repository_.Forget(name, version);
  return Reason(started);
}

Result<std::shared_ptr<ServedModel>> ModelManager::Load(const Registration& registration) {
  const std::lock_guard lock(load_mutex_);
  repository_.SetLoading(registration.name, registration.version);
  ModelSource source;
  if (!registration.resolved) {
    DRAY_ASSIGN_OR_RETURN(source, ModelSource::Open(registration.url, options_.unpack_dir));
  }
  DRAY_ASSIGN_OR_RETURN(ResolvedFiles resolved, registration.resolved
                                                    ? Result<ResolvedFiles>(*registration.resolved)
                                                    : Resolve(registration, source.path()));
  resolved.settings.model.model_name = registration.name;
  return OpenModel(
      resolved.settings.model, resolved.files,
      {.version = registration.version, .progress = ProgressOf(registration), .budget = &budget_});
}

Result<ResolvedFiles> ModelManager::Resolve(const Registration& registration,
                                            const std::filesystem::path& path) {
  settings::SettingSources sources = WithoutModel(options_.sources);
  sources.registration = registration.settings;
  DRAY_ASSIGN_OR_RETURN(auto resolved, ResolveModelFiles(std::move(sources), path));
  for (const std::string& warning : resolved.warnings) {
    LogWarning(fmt::format("{}: {}", Title(registration.name, registration.version), warning));
  }
  for (const std::string& note : resolved.notes) {
    LogInfo(fmt::format("{}: {}", Title(registration.name, registration.version), note));
  }
  return resolved;
}

LoadProgress ModelManager::ProgressOf(const Registration& registration) {
  const std::string& name = registration.name;
  const std::string& version = registration.version;
  return [this, &registration, &name, &version, last_logged = std::chrono::steady_clock::now()](
             uint64_t done, uint64_t total) mutable {
    repository_.SetProgress(name, version, done, total);
    if (registration.progress) registration.progress(done, total);
    const auto now = std::chrono::steady_clock::now();
    if (now - last_logged < kLogInterval) return;
    last_logged = now;
    LogInfo(fmt::format("{}: {} of {} are loaded", Title(name, version), HumanBytes(done),
                        HumanBytes(total)));
  };
}

std::optional<Reason> ModelManager::Unregister(const std::string& name, const std::string& version,
                                               Done done) {
  const auto versions = repository_.Versions(name, version);
  if (versions.empty()) return Reason(ModelUnknown{name, version});
  for (const ModelRepository::Entry& entry : versions) {
    const ModelState state = entry.info.state;
    if (state == ModelState::kPending || state == ModelState::kLoading) {
      return Reason(ModelNotReady{name, state});
    }
  }
  std::vector<std::string> names;
  for (const auto& entry : versions) names.push_back(entry.info.version);
  const Status started =
      operations_.Start([this, name, names = std::move(names), done = std::move(done)] {
        const auto deadline = std::chrono::steady_clock::now() + options_.drain_timeout;
        Status status;
        for (const std::string& one : names) {
          const Status removed = repository_.Remove(name, one, deadline);
          if (status.ok()) status = removed;
          if (removed.ok()) LogInfo(fmt::format("{}: unregistered", Title(name, one)));
        }
        done(status);
      });
  if (started.ok()) return std::nullopt;
  return Reason(started);
}

}  // namespace dray::serving
