// The safetensors format: eight bytes of header length, a JSON header that names every tensor's
// dtype, shape and byte range, and the bytes. The ranges must tile the rest of the file: no overlap
// (no expansion bombs), no hole and no tail (no second file hidden in it).
#pragma once

#include "base/file.h"
#include "base/status.h"
#include "checkpoint/tensor_source.h"

namespace dray::checkpoint {

// The tensors of `file`, in the order of their bytes; they point into its mapping. Reads the header
// alone. Errors name the file and the tensor or field.
Result<FileContent> ReadSafetensors(const MappedFile& file);

}  // namespace dray::checkpoint
