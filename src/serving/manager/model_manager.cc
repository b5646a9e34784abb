#include "serving/manager/model_manager.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "base/human.h"
#include "base/log.h"
#include "serving/load/model_source.h"
#include "settings/foreign/key_search.h"

namespace dray::serving {
namespace {

// How often a load that takes long is told on the log.
constexpr std::chrono::seconds kLogInterval{5};

std::string Title(const std::string& name, const std::string& version) {
  return version.empty() ? name : fmt::format("{}:{}", name, version);
}

// Whether a variable, such as HF_MODEL_ID, names a model's files.
bool NamesFiles(const std::string& variable) {
  const settings::Setting* const setting =
      settings::FindSetting(settings::PropertyOfVariable(variable));
  return variable == "HF_MODEL_ID" ||
         (setting != nullptr &&
          (setting->property == "option.model_id" || setting->property == "option.tokenizer"));
}

// What names the files of the server's own model is not for the models that come by a URL.
settings::SettingSources WithoutModel(settings::SettingSources sources) {
  std::erase_if(sources.environment,
                [](const auto& variable) { return NamesFiles(variable.first); });
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

WorkerPool::Change Merge(const PoolOptions& now, const ModelManager::WorkerChange& change) {
  WorkerPool::Change merged;
  merged.min_workers = change.min_workers.value_or(now.min_workers);
  merged.max_workers = change.max_workers.value_or(std::max(now.max_workers, merged.min_workers));
  merged.min_workers = std::min(merged.min_workers, merged.max_workers);
  merged.batch_size = change.batch_size.value_or(now.batch_size);
  merged.max_batch_delay = change.max_batch_delay.value_or(now.max_batch_delay);
  merged.max_idle_time = change.max_idle_time.value_or(now.max_idle_time);
  return merged;
}

}  // namespace

ModelManager::ModelManager(Options options, ModelRepository& repository)
    : options_(std::move(options)),
      repository_(repository),
      watch_(options_.reload_interval, [this](const std::string& name, const std::string& version) {
        Reload(name, version);
      }) {}

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
    auto model = Load(shared, Loading::kFirst);
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

Result<std::shared_ptr<ServedModel>> ModelManager::Load(
    const std::shared_ptr<Registration>& registration, Loading loading) {
  const std::lock_guard lock(load_mutex_);
  const bool first = loading == Loading::kFirst;
  if (first) repository_.SetLoading(registration->name, registration->version);
  const auto path = PathOfUrl(registration->url);
  FileStates state = path.ok() ? ReadFileStates(*path) : FileStates();
  auto model = OpenContained(*registration, first ? ProgressOf(*registration) : LoadProgress());
  if (!model.ok() || !first) return model;
  const std::lock_guard registrations_lock(mutex_);
  registrations_[{registration->name, registration->version}] = registration;
  if (path.ok()) {
    watch_.Add(registration->name, registration->version, *path, std::move(state));
  }
  return model;
}

Result<std::shared_ptr<ServedModel>> ModelManager::OpenContained(const Registration& registration,
                                                                 LoadProgress progress) {
  try {
    return Open(registration, std::move(progress));
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kResourceExhausted,
                  "the system has no memory left to load it; unregister another model, or allow "
                  "the server more memory");
  } catch (const std::exception& error) {
    return Status(StatusCode::kInternal, fmt::format("loading it threw: {}", error.what()));
  }
}

Result<std::shared_ptr<ServedModel>> ModelManager::Open(const Registration& registration,
                                                        LoadProgress progress) {
  const auto source = std::make_shared<ModelSource>();
  if (!registration.resolved) {
    DRAY_ASSIGN_OR_RETURN(*source, ModelSource::Open(registration.url, options_.unpack_dir));
  }
  DRAY_ASSIGN_OR_RETURN(ResolvedFiles resolved, registration.resolved
                                                    ? Result<ResolvedFiles>(*registration.resolved)
                                                    : Resolve(registration, source->path()));
  resolved.settings.model.model_name = registration.name;
  return OpenModel(resolved.settings.model, resolved.files,
                   {.version = registration.version,
                    .progress = std::move(progress),
                    .budget = &budget_,
                    .files = source});
}

std::shared_ptr<Registration> ModelManager::RegistrationOf(const std::string& name,
                                                           const std::string& version) const {
  const std::lock_guard lock(mutex_);
  const auto found = registrations_.find({name, version});
  return found == registrations_.end() ? nullptr : found->second;
}

void ModelManager::Forget(const std::string& name, const std::string& version) {
  watch_.Remove(name, version);
  const std::lock_guard lock(mutex_);
  registrations_.erase({name, version});
}

void ModelManager::Reload(const std::string& name, const std::string& version) {
  const auto registration = RegistrationOf(name, version);
  if (registration == nullptr) return;
  LogInfo(fmt::format("{}: its files have changed; loading them", Title(name, version)));
  const Status started = operations_.Start([this, registration] {
    auto model = Load(registration, Loading::kAgain);
    const std::string title = Title(registration->name, registration->version);
    if (!model.ok()) {
      return LogError(
          fmt::format("{}: the changed files cannot be loaded, and the model goes on as "
                      "it was: {}",
                      title, model.status().message()));
    }
    // Unless the model was unregistered meanwhile, and perhaps registered anew.
    if (RegistrationOf(registration->name, registration->version) != registration) return;
    auto old = repository_.Replace(std::move(*model));
    if (old == nullptr) return;
    LogInfo(fmt::format("{}: serves the changed files", title));
    Retire(old);
  });
  if (!started.ok()) LogError(fmt::format("{}: {}", Title(name, version), started.message()));
}

void ModelManager::Retire(const std::shared_ptr<ServedModel>& model) const {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + options_.drain_timeout;
  // A request may have found the model and not submitted anything yet. So the model goes on taking
  // requests until nothing else holds it.
  while (model.use_count() > 1 && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  model->BeginDrain();
  if (!model->WaitUntilIdle(deadline)) model->CancelAll(ModelDraining{model->options().name});
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
  names.reserve(versions.size());
  for (const auto& entry : versions) names.push_back(entry.info.version);
  const Status started =
      operations_.Start([this, name, names = std::move(names), done = std::move(done)] {
        const auto deadline = std::chrono::steady_clock::now() + options_.drain_timeout;
        Status status;
        for (const std::string& one : names) {
          Forget(name, one);
          const Status removed = repository_.Remove(name, one, deadline);
          if (status.ok()) status = removed;
          if (removed.ok()) LogInfo(fmt::format("{}: unregistered", Title(name, one)));
        }
        done(status);
      });
  if (started.ok()) return std::nullopt;
  return Reason(started);
}

std::optional<Reason> ModelManager::Scale(const std::string& name, const std::string& version,
                                          const WorkerChange& change, Done done) {
  auto versions = repository_.Versions(name, version);
  if (versions.empty()) return Reason(ModelUnknown{name, version});
  for (const ModelRepository::Entry& entry : versions) {
    if (entry.info.state != ModelState::kReady)
      return Reason(ModelNotReady{name, entry.info.state});
  }
  const Status started = operations_.Start(
      [name, change, versions = std::move(versions), done = std::move(done)]() mutable {
        Status status;
        for (const ModelRepository::Entry& entry : versions) {
          const auto merged = Merge(entry.model->pool_options(), change);
          const Status applied = entry.model->Apply(merged);
          if (status.ok()) status = applied;
          LogInfo(fmt::format("{}: {} to {} workers", Title(name, entry.info.version),
                              merged.min_workers, merged.max_workers));
        }
        // Before the answer, so that a model that is unregistered next is not held any more.
        versions.clear();
        done(status);
      });
  if (started.ok()) return std::nullopt;
  return Reason(started);
}

}  // namespace dray::serving
