// A server has a handful of models, so they are looked up in a list.
#include "serving/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace dray::serving {
namespace {

using Clock = std::chrono::steady_clock;

// How often a model is looked at that waits for its last holder.
constexpr std::chrono::milliseconds kHolderInterval{1};
// How long a model that was removed may need to end cancelled requests: they end with the engine's
// next step.
constexpr std::chrono::seconds kCancelTime{10};

}  // namespace

void ReleaseModel(std::shared_ptr<ServedModel> model, std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (model.use_count() > 1 && Clock::now() < deadline) {
    std::this_thread::sleep_for(kHolderInterval);
  }
  if (model.use_count() == 1) {
    model.reset();
    return;
  }
  LogWarning(fmt::format(
      "model \"{}\" is removed, but after {} ms a request is still being read for it; the model's "
      "memory is free when that is done",
      model->options().name, patience.count()));
}

std::vector<ModelRepository::Place>::iterator ModelRepository::FindPlace(std::string_view name,
                                                                         std::string_view version) {
  return std::find_if(places_.begin(), places_.end(), [&](const Place& entry) {
    return entry.info.name == name && entry.info.version == version;
  });
}

ModelRepository::Place& ModelRepository::At(std::string_view name, std::string_view version) {
  const auto entry = FindPlace(name, version);
  DRAY_CHECK(entry != places_.end());
  return *entry;
}

uint64_t ModelRepository::FewestTurns(std::string_view name) const {
  std::optional<uint64_t> fewest;
  for (const Place& place : places_) {
    if (place.info.name == name)
      fewest = std::min(fewest.value_or(place.num_turns), place.num_turns);
  }
  return fewest.value_or(0);
}

Status ModelRepository::AddPending(std::string name, std::string version, ModelOrigin origin,
                                   std::string url) {
  const std::lock_guard lock(mutex_);
  if (FindPlace(name, version) != places_.end()) {
    return {StatusCode::kInvalidArgument,
            fmt::format("there is already a model \"{}\" of version \"{}\"", name, version)};
  }
  Place place;
  // A new version gets no more than its share of the requests.
  place.num_turns = FewestTurns(name);
  place.info = {.name = std::move(name),
                .version = std::move(version),
                .url = std::move(url),
                .origin = origin};
  places_.push_back(std::move(place));
  return OkStatus();
}

void ModelRepository::SetLoading(std::string_view name, std::string_view version) {
  const std::lock_guard lock(mutex_);
  At(name, version).info.state = ModelState::kLoading;
}

void ModelRepository::SetProgress(std::string_view name, std::string_view version,
                                  uint64_t loaded_bytes, uint64_t total_bytes) {
  const std::lock_guard lock(mutex_);
  ModelInfo& info = At(name, version).info;
  info.loaded_bytes = loaded_bytes;
  info.total_bytes = total_bytes;
}

void ModelRepository::SetReady(std::shared_ptr<ServedModel> model) {
  const std::lock_guard lock(mutex_);
  Place& entry = At(model->options().name, model->options().version);
  entry.info.state = ModelState::kReady;
  entry.model = std::move(model);
  const bool is_first = entry.info.origin == ModelOrigin::kStartUp;
  if (is_first && load_stats_.start_up.count() == 0 && StartUpDoneLocked()) {
    load_stats_.start_up = Clock::now() - start_;
  }
}

void ModelRepository::CountLoadFailure() {
  const std::lock_guard lock(mutex_);
  ++load_stats_.failures;
}

ModelRepository::LoadStats ModelRepository::load_stats() const {
  const std::lock_guard lock(mutex_);
  return load_stats_;
}

std::shared_ptr<ServedModel> ModelRepository::Replace(std::shared_ptr<ServedModel> model) {
  const std::lock_guard lock(mutex_);
  const auto place = FindPlace(model->options().name, model->options().version);
  if (place == places_.end() || place->info.state != ModelState::kReady) return nullptr;
  return std::exchange(place->model, std::move(model));
}

void ModelRepository::SetFailed(std::string_view name, std::string_view version, Status failure) {
  const std::lock_guard lock(mutex_);
  Place& entry = At(name, version);
  entry.info.state = ModelState::kFailed;
  entry.info.failure = std::move(failure);
}

OrReason<std::shared_ptr<ServedModel>> ModelRepository::Find(std::string_view name,
                                                             std::string_view version) const {
  const std::lock_guard lock(mutex_);
  const Place* found = nullptr;
  for (const Place& place : places_) {
    if (place.info.name != name || (!version.empty() && place.info.version != version)) continue;
    const bool ready = place.info.state == ModelState::kReady;
    const bool found_ready = found != nullptr && found->info.state == ModelState::kReady;
    const bool better = found == nullptr || (ready && !found_ready) ||
                        (ready && place.num_turns < found->num_turns);
    if (better) found = &place;
  }
  if (found == nullptr) return Reason(ModelUnknown{std::string(name), std::string(version)});
  if (found->info.state != ModelState::kReady) {
    return Reason(ModelNotReady{std::string(name), found->info.state});
  }
  if (version.empty()) ++found->num_turns;
  return found->model;
}

std::string ModelRepository::OnlyName() const {
  const std::lock_guard lock(mutex_);
  std::string only;
  for (const Place& place : places_) {
    if (place.info.origin != ModelOrigin::kStartUp || place.info.name == only) continue;
    if (!only.empty()) return "";
    only = place.info.name;
  }
  return only;
}

std::vector<ModelRepository::Entry> ModelRepository::Versions(std::string_view name,
                                                              std::string_view version) const {
  const std::lock_guard lock(mutex_);
  std::vector<Entry> versions;
  for (const Place& place : places_) {
    if (place.info.name != name || (!version.empty() && place.info.version != version)) continue;
    if (place.info.state != ModelState::kUnloading) versions.push_back(place);
  }
  return versions;
}

std::vector<ModelInfo> ModelRepository::List() const {
  const std::lock_guard lock(mutex_);
  std::vector<ModelInfo> infos;
  for (const Place& entry : places_) {
    infos.push_back(entry.info);
    if (entry.info.state != ModelState::kReady) continue;
    infos.back().lacks_workers = entry.model->lacks_workers();
    if (!entry.model->healthy()) {
      infos.back().state = ModelState::kFailed;
      infos.back().was_ready = true;
      infos.back().failure = Status(StatusCode::kInternal, "the engine has stopped");
    }
  }
  return infos;
}

bool ModelRepository::StartUpDone() const {
  const std::lock_guard lock(mutex_);
  return StartUpDoneLocked();
}

bool ModelRepository::StartUpDoneLocked() const {
  return std::none_of(places_.begin(), places_.end(), [](const Place& entry) {
    return entry.info.origin == ModelOrigin::kStartUp &&
           (entry.info.state == ModelState::kPending || entry.info.state == ModelState::kLoading);
  });
}

Status ModelRepository::Remove(std::string_view name, std::string_view version,
                               Clock::time_point deadline) {
  std::shared_ptr<ServedModel> model;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = FindPlace(name, version);
    if (entry == places_.end()) {
      return ToStatus(ModelUnknown{std::string(name), std::string(version)});
    }
    const ModelState state = entry->info.state;
    if (state == ModelState::kPending || state == ModelState::kLoading ||
        state == ModelState::kUnloading) {
      return ToStatus(ModelNotReady{std::string(name), state});
    }
    entry->info.state = ModelState::kUnloading;
    model = std::move(entry->model);
  }
  if (model != nullptr) {
    model->BeginDrain();
    if (!model->WaitUntilIdle(deadline)) {
      model->CancelAll(ModelDraining{std::string(name)});
      model->WaitUntilIdle(Clock::now() + kCancelTime);
    }
    model->StopMakingWorkers();
    ReleaseModel(std::move(model));
  }
  const std::lock_guard lock(mutex_);
  places_.erase(FindPlace(name, version));
  return OkStatus();
}

void ModelRepository::Forget(std::string_view name, std::string_view version) {
  const std::lock_guard lock(mutex_);
  DRAY_CHECK(At(name, version).model == nullptr);
  places_.erase(FindPlace(name, version));
}

void ModelRepository::StopMakingWorkers() {
  const std::lock_guard lock(mutex_);
  for (const Place& entry : places_) {
    if (entry.model != nullptr) entry.model->StopMakingWorkers();
  }
}

void ModelRepository::BeginDrain() {
  const std::lock_guard lock(mutex_);
  for (const Place& entry : places_) {
    if (entry.model != nullptr) entry.model->BeginDrain();
  }
}

}  // namespace dray::serving
