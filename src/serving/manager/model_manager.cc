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

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
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

// Opens a model; what that throws is an error of it.
Result<std::shared_ptr<ServedModel>> Contain(
    const std::function<Result<std::shared_ptr<ServedModel>>()>& open) {
  try {
    return open();
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kResourceExhausted,
                  "the system has no memory left to load it; unregister another model, or allow "
                  "the server more memory");
  } catch (const std::exception& error) {
    return Status(StatusCode::kInternal, fmt::format("loading it threw: {}", error.what()));
  }
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

// The watch begins operations, and operations add models to the watch.
ModelManager::~ModelManager() {
  watch_.Stop();
  // An operation that scales a model waits for its workers.
  repository_.StopMakingWorkers();
}

OrReason<std::string> ModelManager::Register(Registration registration, OnFailure on_failure,
                                             Done done) {
  if (registration.name.empty()) registration.name = ModelNameOfUrl(registration.url);
  if (const auto problem = CheckNames(registration)) return *problem;
  const auto load = BeginFirstLoad(registration);
  if (load == nullptr) return Reason(ModelExists{registration.name, registration.version});
  const Key key = {registration.name, registration.version};
  const auto shared = std::make_shared<Registration>(std::move(registration));
  const Status started =
      operations_.Start([this, shared, load, on_failure, done = std::move(done)] {
        done(LoadFirst(shared, *load, on_failure));
      });
  if (started.ok()) return key.first;
  repository_.Forget(key.first, key.second);
  EndFirstLoad(key, *load, false);
  return Reason(started);
}

std::shared_ptr<ModelManager::FirstLoad> ModelManager::BeginFirstLoad(
    const Registration& registration) {
  // Whoever finds the model pending finds its load as well.
  const std::lock_guard lock(mutex_);
  if (!repository_
           .AddPending(registration.name, registration.version, registration.origin,
                       registration.url)
           .ok()) {
    return nullptr;
  }
  auto load = std::make_shared<FirstLoad>();
  first_loads_[{registration.name, registration.version}] = load;
  return load;
}

Status ModelManager::LoadFirst(const std::shared_ptr<Registration>& registration, FirstLoad& load,
                               OnFailure on_failure) {
  const Key key = {registration->name, registration->version};
  auto model = Contain([&] { return OpenFirst(registration, load); });
  const bool stopped = !model.ok() && load.stop.stop_requested();
  const bool kept = model.ok() || (on_failure == OnFailure::kKeepFailed && !stopped);
  Status status =
      stopped ? Status(StatusCode::kCancelled, "it was unregistered while it was being loaded")
              : model.status();
  if (model.ok()) {
    repository_.SetReady(std::move(*model));
  } else {
    if (!stopped) repository_.CountLoadFailure();
    LogError(fmt::format("{}: {}", Title(key.first, key.second), status.message()));
    if (kept) {
      repository_.SetFailed(key.first, key.second, status);
    } else {
      repository_.Forget(key.first, key.second);
    }
  }
  EndFirstLoad(key, load, kept);
  return status;
}

Result<std::shared_ptr<ServedModel>> ModelManager::OpenFirst(
    const std::shared_ptr<Registration>& registration, const FirstLoad& load) {
  DRAY_ASSIGN_OR_RETURN(const LoadTurns::Turn turn, load_turns_.Take(load.stop.get_token()));
  repository_.SetLoading(registration->name, registration->version);
  const auto path = PathOfUrl(registration->url);
  FileStates state = path.ok() ? ReadFileStates(*path) : FileStates();
  DRAY_ASSIGN_OR_RETURN(auto model, Open(*registration, {.progress = ProgressOf(*registration),
                                                         .stop = load.stop.get_token()}));
  LoadTimes times = model->load_times();
  times.total = SecondsSince(load.begin);
  model->SetLoadTimes(times);
  const std::lock_guard lock(mutex_);
  registrations_[{registration->name, registration->version}] = registration;
  if (path.ok()) {
    watch_.Add(registration->name, registration->version, *path, std::move(state));
  }
  return model;
}

void ModelManager::EndFirstLoad(const Key& key, FirstLoad& load, bool kept) {
  {
    const std::lock_guard lock(mutex_);
    load.ended = true;
    load.kept = kept;
    const auto found = first_loads_.find(key);
    if (found != first_loads_.end() && found->second.get() == &load) first_loads_.erase(found);
  }
  first_load_ended_.notify_all();
}

std::shared_ptr<ModelManager::FirstLoad> ModelManager::StopFirstLoad(const Key& key) {
  std::shared_ptr<FirstLoad> load;
  {
    const std::lock_guard lock(mutex_);
    const auto found = first_loads_.find(key);
    if (found != first_loads_.end()) load = found->second;
  }
  if (load != nullptr) load->stop.request_stop();
  return load;
}

Result<std::shared_ptr<ServedModel>> ModelManager::Open(const Registration& registration,
                                                        OpenOptions options) {
  const auto begin = Clock::now();
  const auto source = std::make_shared<ModelSource>();
  if (registration.resolve == nullptr) {
    DRAY_ASSIGN_OR_RETURN(*source, ModelSource::Open(registration.url, options_.unpack_dir));
  }
  DRAY_ASSIGN_OR_RETURN(ResolvedFiles resolved, Resolve(registration, source->path()));
  resolved.settings.model.model_name = registration.name;
  const auto found = Clock::now();
  std::function<void()> on_failed;
  if (options_.on_model_failed) {
    on_failed = [report = options_.on_model_failed, name = registration.name] { report(name); };
  }
  DRAY_ASSIGN_OR_RETURN(auto model, OpenModel(resolved.settings.model, resolved.files,
                                              {.version = registration.version,
                                               .progress = std::move(options.progress),
                                               .stop = std::move(options.stop),
                                               .budget = &budget_,
                                               .on_failed = std::move(on_failed),
                                               .files = source}));
  model->SetLoadTimes({.find = std::chrono::duration<double>(found - begin).count(),
                       .load = SecondsSince(found),
                       .total = SecondsSince(begin)});
  return model;
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
  const Key key = {name, version};
  {
    const std::lock_guard lock(mutex_);
    if (!waiting_reloads_.insert(key).second) return;
  }
  LogInfo(fmt::format("{}: its files have changed; loading them", Title(name, version)));
  const Status started = operations_.Start([this, registration] { LoadAgain(registration); });
  if (started.ok()) return;
  LogError(fmt::format("{}: {}", Title(name, version), started.message()));
  const std::lock_guard lock(mutex_);
  waiting_reloads_.erase(key);
}

void ModelManager::LoadAgain(const std::shared_ptr<Registration>& registration) {
  const std::string& name = registration->name;
  const std::string& version = registration->version;
  auto turn = std::make_optional(load_turns_.Take({}));
  {
    const std::lock_guard lock(mutex_);
    waiting_reloads_.erase({name, version});
  }
  // Unless the model was unregistered meanwhile, and perhaps registered anew.
  if (RegistrationOf(name, version) != registration) return;
  auto model = Contain([&] { return Open(*registration, {}); });
  turn.reset();
  if (!model.ok()) {
    repository_.CountLoadFailure();
    LogError(
        fmt::format("{}: the changed files cannot be loaded, and the model goes on as it was: {}",
                    Title(name, version), model.status().message()));
    return;
  }
  if (RegistrationOf(name, version) != registration) return;
  auto old = repository_.Replace(std::move(*model));
  if (old == nullptr) return;
  LogInfo(fmt::format("{}: serves the changed files", Title(name, version)));
  Retire(std::move(old));
}

void ModelManager::Retire(std::shared_ptr<ServedModel> model) const {
  const auto deadline = Clock::now() + options_.drain_timeout;
  // A request may have found the model and not submitted anything yet. So the model goes on taking
  // requests until nothing else holds it.
  while (model.use_count() > 1 && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  model->BeginDrain();
  if (!model->WaitUntilIdle(deadline)) model->CancelAll(ModelDraining{model->options().name});
  ReleaseModel(std::move(model));
}

Result<ResolvedFiles> ModelManager::Resolve(const Registration& registration,
                                            const std::filesystem::path& path) {
  settings::SettingSources sources = WithoutModel(options_.sources);
  sources.registration = registration.settings;
  DRAY_ASSIGN_OR_RETURN(auto resolved, registration.resolve != nullptr
                                           ? registration.resolve()
                                           : ResolveModelFiles(std::move(sources), path));
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
  return [this, &registration, &name, &version, pace = LoadPace(), last_logged = Clock::now()](
             uint64_t done, uint64_t total) mutable {
    repository_.SetProgress(name, version, done, total);
    if (registration.progress) registration.progress(done, total);
    const std::string text = pace.Describe(done, total);
    if (Clock::now() - last_logged < kLogInterval) return;
    last_logged = Clock::now();
    LogInfo(fmt::format("{}: loaded {}", Title(name, version), text));
  };
}

std::optional<Reason> ModelManager::Unregister(const std::string& name, const std::string& version,
                                               Done done) {
  const auto versions = repository_.Versions(name, version);
  if (versions.empty()) return Reason(ModelUnknown{name, version});
  std::vector<Key> keys;
  keys.reserve(versions.size());
  for (const auto& entry : versions) keys.emplace_back(name, entry.info.version);
  const Status started = operations_.Start([this, keys = std::move(keys), done = std::move(done)] {
    std::vector<std::shared_ptr<FirstLoad>> loads;
    loads.reserve(keys.size());
    for (const Key& key : keys) loads.push_back(StopFirstLoad(key));
    Status status;
    for (size_t i = 0; i < keys.size(); ++i) {
      const Status removed = Remove(keys[i], loads[i].get());
      if (status.ok()) status = removed;
      if (removed.ok())
        LogInfo(fmt::format("{}: unregistered", Title(keys[i].first, keys[i].second)));
    }
    done(status);
  });
  if (started.ok()) return std::nullopt;
  return Reason(started);
}

Status ModelManager::Remove(const Key& key, FirstLoad* load) {
  if (load != nullptr) {
    std::unique_lock lock(mutex_);
    first_load_ended_.wait(lock, [&] { return load->ended; });
    if (!load->kept) return OkStatus();
  }
  const auto deadline = Clock::now() + options_.drain_timeout;
  Forget(key.first, key.second);
  return repository_.Remove(key.first, key.second, deadline);
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
          if (!applied.ok()) continue;
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
