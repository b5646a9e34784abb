#include "serving/manager/model_watch.h"

#include <system_error>
#include <vector>

#include "checkpoint/weight_files.h"

namespace dray::serving {

namespace fs = std::filesystem;

namespace {

// Adds the weights that some layouts have in folders within the model's folder.
void AddWeightsBelow(const fs::path& folder, FileStates& states) {
  const auto weights = checkpoint::FindWeightFiles(folder);
  if (!weights.ok()) return;
  for (const fs::path& file : weights->files) {
    const fs::path name = file.lexically_relative(folder);
    if (!name.has_parent_path()) continue;
    const auto state = ReadFileState(file);
    if (state.ok()) states[name.string()] = *state;
  }
}

}  // namespace

FileStates ReadFileStates(const fs::path& path) {
  FileStates states;
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    const auto state = ReadFileState(path);
    if (state.ok()) states[""] = *state;
    return states;
  }
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    const auto state = ReadFileState(it->path());
    if (state.ok()) states[it->path().filename().string()] = *state;
  }
  AddWeightsBelow(path, states);
  return states;
}

ModelWatch::ModelWatch(std::chrono::milliseconds interval, OnChange on_change)
    : on_change_(std::move(on_change)) {
  if (interval.count() > 0) thread_ = std::thread([this, interval] { Run(interval); });
}

ModelWatch::~ModelWatch() { Stop(); }

void ModelWatch::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ModelWatch::Add(const std::string& name, const std::string& version, fs::path path,
                     FileStates state) {
  const std::lock_guard lock(mutex_);
  models_[{name, version}] = {std::move(path), std::move(state), std::nullopt};
}

void ModelWatch::Remove(const std::string& name, const std::string& version) {
  const std::lock_guard lock(mutex_);
  models_.erase({name, version});
}

void ModelWatch::Run(std::chrono::milliseconds interval) {
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, interval, [this] { return stop_; })) {
    std::vector<std::pair<Key, fs::path>> models;
    for (const auto& [key, watched] : models_) models.emplace_back(key, watched.path);
    lock.unlock();
    for (const auto& [key, path] : models) {
      if (Look(key, path)) on_change_(key.first, key.second);
    }
    lock.lock();
  }
}

bool ModelWatch::Look(const Key& key, const fs::path& path) {
  FileStates now = ReadFileStates(path);
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(key);
  // Files that are gone are none to serve from.
  if (found == models_.end() || now.empty()) return false;
  Watched& watched = found->second;
  if (now == watched.served) {
    watched.seen.reset();
    return false;
  }
  if (watched.seen != now) {
    watched.seen = std::move(now);
    return false;
  }
  // Also if they cannot be loaded: they are tried again when they change again.
  watched.served = std::move(now);
  watched.seen.reset();
  return true;
}

}  // namespace dray::serving
