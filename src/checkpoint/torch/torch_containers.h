// The two containers of torch_file.h, each in a file of its own: torch_zip.cc and torch_legacy.cc.
// Internal to this folder.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/torch/torch_state_dict.h"

namespace dray::checkpoint {

// A ZIP archive with an entry for the pickle and one for each storage.
Result<FileContent> ReadTorchZip(std::span<const std::byte> bytes, const std::string& path,
                                 TorchRoot root);

// Five pickles (magic number, protocol version, system, state dict, storage keys) and the storages,
// each after the number of its elements.
Result<FileContent> ReadTorchLegacy(std::span<const std::byte> bytes, const std::string& path,
                                    TorchRoot root);

// Joins tensors and the bytes of their storages, given in the order of state_dict.storages.
FileContent BindStorages(TorchStateDict state_dict,
                         const std::vector<std::span<const std::byte>>& storages);

}  // namespace dray::checkpoint
