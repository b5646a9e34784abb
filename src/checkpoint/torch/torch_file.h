// The files that torch.save makes of state dicts, in both containers: a ZIP archive (torch 1.6 and
// later), and the older sequence of pickles that is followed by the storages' bytes. Which one it
// is, the content says, not the name. Neither is ever handed to a general unpickler.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/status.h"
#include "checkpoint/tensor_source.h"

namespace dray::checkpoint {

// The tensors of the file whose bytes are `bytes`, in the order of the state dict; they point into
// `bytes`, and their `file` is left null. Reads headers and pickles alone. Errors start with `path`
// and name the tensor, storage or archive entry.
Result<FileContent> ReadTorchFile(std::span<const std::byte> bytes, const std::string& path);

}  // namespace dray::checkpoint
