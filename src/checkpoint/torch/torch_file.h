// The files that torch.save writes for state dicts and tensors, in both containers: a ZIP archive (torch 1.6
// and later), and the older sequence of pickles, followed by the storages' bytes. The content, not
// the name, tells which container it is. A file is never given to a general unpickler.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/status.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/torch/torch_state_dict.h"

namespace dray::checkpoint {

// The tensors of the file whose bytes are `bytes`, in the order of the state dict; they point into
// `bytes`, and their `file` is left null. Reads headers and pickles alone. Errors start with `path`
// and name the tensor, storage or archive entry.
Result<FileContent> ReadTorchFile(std::span<const std::byte> bytes, const std::string& path);
// The same for a file that holds something else than a state dict.
Result<FileContent> ReadTorchFile(std::span<const std::byte> bytes, const std::string& path,
                                  TorchRoot root);

}  // namespace dray::checkpoint
