// Damaged and hostile weight files, made the same way every time, for tests of whatever reads them:
// this folder's readers, and whole model directories. Test support; never linked into the server.
#pragma once

#include <string>
#include <vector>

namespace dray::checkpoint {

struct MalformedCase {
  std::string name;      // unique within its list; letters, digits and underscores
  std::string content;   // of the file
  std::string expected;  // a part of the message that must refuse it
};

// To be refused as model.safetensors.
std::vector<MalformedCase> MalformedSafetensors();

// To be refused as model.gguf.
std::vector<MalformedCase> MalformedGguf();

// To be refused as pytorch_model.bin: archives, pickles in a sound archive, and legacy files.
std::vector<MalformedCase> MalformedTorchFiles();
std::vector<MalformedCase> MalformedZips();
std::vector<MalformedCase> MalformedPickles();
std::vector<MalformedCase> MalformedLegacyFiles();

// To be refused as model.safetensors.index.json beside WellFormedShards().
std::vector<MalformedCase> MalformedIndexes();

struct WellFormedFile {
  std::string name;
  std::string content;
};

// Unusual but sound; to be accepted.
std::vector<WellFormedFile> WellFormedSafetensors();
std::vector<WellFormedFile> WellFormedTorchFiles();
std::vector<WellFormedFile> WellFormedGguf();
// Two shards with the tensors "a" and "b", under their file names: 1.safetensors and 2.safetensors.
std::vector<WellFormedFile> WellFormedShards();

}  // namespace dray::checkpoint
