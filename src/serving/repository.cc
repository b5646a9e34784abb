// A server has a handful of models, so they are looked up in a list.
#include "serving/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/check.h"

namespace dray::serving {
namespace {

using Clock = std::chrono::steady_clock;

// How long a model that was removed may need to end cancelled requests: they end with the engine's
// next step.
constexpr std::chrono::seconds kCancelTime{10};

// Lets a model go. Callers of Find may hold it for the time of one Submit; the last one to let it go
// frees it.
void Release(std::shared_ptr<ServedModel> model) {
  const std::weak_ptr<ServedModel> watch = model;
  model.reset();
  const auto deadline = Clock::now() + kCancelTime;
  while (!watch.expired() && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

std::vector<ModelRepository::Entry>::iterator ModelRepository::FindEntry(std::string_view name,
                                                                         std::string_view version) {
  return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.info.name == name && entry.info.version == version;
  });
}

ModelRepository::Entry& ModelRepository::At(std::string_view name, std::string_view version) {
  const auto entry = FindEntry(name, version);
  DRAY_CHECK(entry != entries_.end());
  return *entry;
}

Status ModelRepository::AddPending(std::string name, std::string version, ModelOrigin origin) {
  const std::lock_guard lock(mutex_);
  if (FindEntry(name, version) != entries_.end()) {
    return {StatusCode::kInvalidArgument,
            fmt::format("there is already a model \"{}\" of version \"{}\"", name, version)};
  }
  ModelInfo info{.name = std::move(name), .version = std::move(version), .origin = origin};
  entries_.push_back({std::move(info), nullptr});
  return OkStatus();
}

void ModelRepository::SetLoading(std::string_view name, std::string_view version) {
  const std::lock_guard lock(mutex_);
  At(name, version).info.state = ModelState::kLoading;
}

void ModelRepository::SetReady(std::shared_ptr<ServedModel> model) {
  const std::lock_guard lock(mutex_);
  Entry& entry = At(model->options().name, model->options().version);
  entry.info.state = ModelState::kReady;
  entry.model = std::move(model);
}

void ModelRepository::SetFailed(std::string_view name, std::string_view version, Status failure) {
  const std::lock_guard lock(mutex_);
  Entry& entry = At(name, version);
  entry.info.state = ModelState::kFailed;
  entry.info.failure = std::move(failure);
}

OrReason<std::shared_ptr<ServedModel>> ModelRepository::Find(std::string_view name,
                                                             std::string_view version) const {
  const std::lock_guard lock(mutex_);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (entry.info.name != name || (!version.empty() && entry.info.version != version)) continue;
    const bool better = found == nullptr || entry.info.state == ModelState::kReady ||
                        found->info.state != ModelState::kReady;
    if (better) found = &entry;
  }
  if (found == nullptr) return Reason(ModelUnknown{std::string(name), std::string(version)});
  if (found->info.state == ModelState::kReady) return found->model;
  return Reason(ModelNotReady{std::string(name), found->info.state});
}

std::string ModelRepository::OnlyName() const {
  const std::lock_guard lock(mutex_);
  if (entries_.empty()) return "";
  const std::string& name = entries_.front().info.name;
  const bool only = std::all_of(entries_.begin(), entries_.end(),
                                [&](const Entry& entry) { return entry.info.name == name; });
  return only ? name : "";
}

std::vector<ModelInfo> ModelRepository::List() const {
  const std::lock_guard lock(mutex_);
  std::vector<ModelInfo> infos;
  for (const Entry& entry : entries_) {
    infos.push_back(entry.info);
    if (entry.info.state == ModelState::kReady && !entry.model->healthy()) {
      infos.back().state = ModelState::kFailed;
      infos.back().failure = Status(StatusCode::kInternal, "the engine has stopped");
    }
  }
  return infos;
}

bool ModelRepository::StartUpDone() const {
  const std::lock_guard lock(mutex_);
  return std::none_of(entries_.begin(), entries_.end(), [](const Entry& entry) {
    return entry.info.origin == ModelOrigin::kStartUp &&
           (entry.info.state == ModelState::kPending || entry.info.state == ModelState::kLoading);
  });
}

Status ModelRepository::Remove(std::string_view name, std::string_view version,
                               Clock::time_point deadline) {
  std::shared_ptr<ServedModel> model;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = FindEntry(name, version);
    if (entry == entries_.end()) {
      return ToStatus(ModelUnknown{std::string(name), std::string(version)});
    }
    const ModelState state = entry->info.state;
    if (state == ModelState::kLoading || state == ModelState::kUnloading) {
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
    Release(std::move(model));
  }
  const std::lock_guard lock(mutex_);
  entries_.erase(FindEntry(name, version));
  return OkStatus();
}

void ModelRepository::BeginDrain() {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.model != nullptr) entry.model->BeginDrain();
  }
}

}  // namespace dray::serving
