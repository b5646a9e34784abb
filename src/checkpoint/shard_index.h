// The *.index.json beside a sharded checkpoint: which file holds which tensor. Its file names
// come from whoever made the checkpoint, so they are checked to be plain names before any
// file is opened.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace dray::checkpoint {

struct ShardIndex {
  // Tensor name and file name, in the index's order.
  std::vector<std::pair<std::string, std::string>> weight_map;
  // The file names that occur, sorted.
  std::vector<std::string> files;
};

// Reads and checks the index at `path`. It says nothing about the shards themselves.
Result<ShardIndex> ReadShardIndex(const std::filesystem::path& path);

}  // namespace dray::checkpoint
