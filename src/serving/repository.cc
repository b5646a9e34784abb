// A server has a handful of models, so they are looked up in a list.
#include "serving/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace dray::serving {

ModelRepository::Entry* ModelRepository::FindEntry(std::string_view name,
                                                   std::string_view version) {
  for (Entry& entry : entries_) {
    if (entry.info.name == name && entry.info.version == version) return &entry;
  }
  return nullptr;
}

Status ModelRepository::AddPending(std::string name, std::string version) {
  const std::lock_guard lock(mutex_);
  if (FindEntry(name, version) != nullptr) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("there is already a model \"{}\" of version \"{}\"", name, version));
  }
  entries_.push_back({{std::move(name), std::move(version), ModelState::kPending, {}}, nullptr});
  return OkStatus();
}

void ModelRepository::SetReady(std::shared_ptr<Model> model) {
  const std::lock_guard lock(mutex_);
  Entry* const entry = FindEntry(model->options().name, model->options().version);
  DRAY_CHECK(entry != nullptr);
  entry->info.state = ModelState::kReady;
  entry->model = std::move(model);
}

void ModelRepository::SetFailed(std::string_view name, std::string_view version, Status failure) {
  const std::lock_guard lock(mutex_);
  Entry* const entry = FindEntry(name, version);
  DRAY_CHECK(entry != nullptr);
  entry->info.state = ModelState::kFailed;
  entry->info.failure = std::move(failure);
}

Result<std::shared_ptr<Model>> ModelRepository::Find(std::string_view name,
                                                     std::string_view version) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(), [&](const Entry& entry) {
    return entry.info.name == name && (version.empty() || entry.info.version == version);
  });
  if (found == entries_.rend()) {
    return Status(StatusCode::kNotFound, fmt::format("Model or workflow not found: {}", name));
  }
  if (found->model == nullptr) {
    return Status(StatusCode::kUnavailable, fmt::format("Model is not ready: {}", name));
  }
  return found->model;
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
    if (entry.model != nullptr && !entry.model->healthy()) {
      infos.back().state = ModelState::kFailed;
      infos.back().failure = Status(StatusCode::kInternal, "the engine has stopped");
    }
  }
  return infos;
}

void ModelRepository::BeginDrain() {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.model != nullptr) entry.model->BeginDrain();
  }
}

}  // namespace dray::serving
