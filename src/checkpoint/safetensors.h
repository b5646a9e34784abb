// The safetensors format: eight bytes of header length, a JSON header that names every tensor's
// dtype, shape and byte range, and the bytes. The ranges must tile the rest of the file: no overlap
// (no expansion bombs), no hole and no tail (no second file hidden in it).
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/status.h"
#include "checkpoint/tensor_source.h"

namespace dray::checkpoint {

// The tensors of the file whose bytes are `bytes`, in the order of their places; they point into
// `bytes`, and their `file` is left null. Reads the header alone. Errors start with `path` and name
// the tensor or field.
Result<FileContent> ReadSafetensors(std::span<const std::byte> bytes, const std::string& path);

}  // namespace dray::checkpoint
