// The GGUF format of llama.cpp, versions 2 and 3, little-endian: metadata (a model's configuration
// and its tokenizer), tensor descriptions, and the tensors' bytes. Several files may hold one model
// ("-00001-of-00003.gguf"); each is read alone, and weight_files.h finds them.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/parse/json.h"
#include "base/status.h"
#include "checkpoint/tensor_source.h"

namespace dray::checkpoint {

struct GgufContent {
  Json metadata;  // an object: "general.architecture", "llama.block_count", "tokenizer.ggml.tokens"
  FileContent content;
};

// The file whose bytes are `bytes`. Tensors are in the order of their descriptions and point into
// `bytes`; shapes are row-major (the file states them the other way round), `file` is left null.
// Reads all but the tensors' bytes. Errors start with `path` and name the key or tensor: versions
// and byte orders that are not read, descriptions that contradict each other, tensors that overlap
// or lie outside the file.
Result<GgufContent> ReadGguf(std::span<const std::byte> bytes, const std::string& path);

// The same without the metadata, as the other formats' readers are called.
Result<FileContent> ReadGgufTensors(std::span<const std::byte> bytes, const std::string& path);

}  // namespace dray::checkpoint
