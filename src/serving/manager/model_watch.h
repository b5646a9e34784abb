// Notices that the files of a served model have changed.
//
// Threads: any. Owns one, which looks at the files and calls `on_change`.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/open_file.h"

namespace dray::serving {

// The files of a folder by their names, or the one file; empty if they cannot be looked at. Of folders
// within the folder only the model's weights count.
using FileStates = std::map<std::string, FileState>;
FileStates ReadFileStates(const std::filesystem::path& path);

class ModelWatch {
 public:
  using OnChange = std::function<void(const std::string& name, const std::string& version)>;
  // Looks at the files every `interval`; never if that is 0.
  ModelWatch(std::chrono::milliseconds interval, OnChange on_change);
  ModelWatch(const ModelWatch&) = delete;
  ModelWatch& operator=(const ModelWatch&) = delete;
  ~ModelWatch();
  // Ends looking: OnChange is not called any more once this returns.
  void Stop();

  // Watches the files of a model, which were in `state` before they were read.
  void Add(const std::string& name, const std::string& version, std::filesystem::path path,
           FileStates state);
  void Remove(const std::string& name, const std::string& version);

 private:
  using Key = std::pair<std::string, std::string>;
  struct Watched {
    std::filesystem::path path;
    FileStates served;
    // Of the last look, if it was another one. A change counts once it is seen twice, so that files
    // are not read while they are being copied.
    std::optional<FileStates> seen;
  };
  void Run(std::chrono::milliseconds interval);
  // Whether the files have changed and stand still again.
  bool Look(const Key& key, const std::filesystem::path& path);

  const OnChange on_change_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stop_ = false;
  std::map<Key, Watched> models_;
  std::thread thread_;
};

}  // namespace dray::serving
