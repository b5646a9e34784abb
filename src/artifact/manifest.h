// The manifest of an artifact: a folder with a model's weights in the form in which they lie in memory,
// and with the small files that a model folder has. The manifest lists every file, every weight, and
// the checksums of all bytes. It is written last, so a folder that has one is complete.
//
// The manifest is JSON. Its last member is the checksum of the text before that member, so that no
// byte of the manifest can change unnoticed either.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"
#include "kernels/weight_matrix.h"

namespace dray::artifact {

inline constexpr const char* kManifestName = "dray-artifact.json";
inline constexpr const char* kDataName = "weights.dray";
// The first bytes of every weight lie at multiples of this: a cache line.
inline constexpr int64_t kTensorAlignment = 64;

// A weight: a matrix as a packer stored it, or a vector of f32.
struct ArtifactTensor {
  std::string name;
  std::optional<kernels::MatrixSpec> matrix;
  int64_t elements = 0;  // of a vector
  // Where its bytes lie in the data file.
  int64_t offset = 0;
  int64_t size_bytes = 0;
};

// A file that is small enough to be checked as a whole.
struct ArtifactFile {
  std::string name;  // in the artifact's folder, or below it: "1_Pooling/config.json"
  int64_t size_bytes = 0;
  uint64_t checksum = 0;
};

// The data file, in chunks of equal size, the last of which may be smaller.
struct ArtifactData {
  int64_t size_bytes = 0;
  int64_t chunk_bytes = 0;
  std::vector<uint64_t> checksums;  // [chunk]
};

struct Manifest {
  std::string layout;     // Packer::layout of the matrices
  std::string packed_on;  // the instruction set that packed them, for people
  // What the model's own code keeps here; this folder does not look into it.
  Json model;
  std::vector<ArtifactFile> files;
  ArtifactData data;
  std::vector<ArtifactTensor> tensors;  // in the order of their bytes
};

// Whether the folder is an artifact: whether it has a manifest, of whatever content.
bool IsArtifact(const std::filesystem::path& folder);
// kNotFound, naming the manifest, if the folder has an artifact's data without it.
Status CheckNotWithoutManifest(const std::filesystem::path& folder);

std::string FormatManifest(const Manifest& manifest);
// `where` is put before errors. kCorrupt if the text is not as FormatManifest wrote it, kUnsupported if
// its version is another one. What it says is consistent: each weight lies inside the data file, no two
// share bytes, names differ and lead nowhere else, and every chunk has a checksum.
Result<Manifest> ParseManifest(std::string_view text, const std::string& where);
// Reads and parses a folder's manifest; kNotFound if it has none.
Result<Manifest> ReadManifest(const std::filesystem::path& folder);

// A form of weights as JSON, and the form that JSON of unknown origin describes.
Json FormJson(const kernels::WeightForm& form);
Result<kernels::WeightForm> ParseForm(const Json& json, const std::string& where);

}  // namespace dray::artifact
