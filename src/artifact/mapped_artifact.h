// An artifact whose data file is mapped, so that its weights are where they are: every process of the
// machine that serves it reads the same pages of memory, the system's cache of the file.
//
// What was verified may change afterwards, by somebody who writes to the file or cuts it short. A page
// that is lost reads as zeros, and the process goes on (base/mapped_file.h). So whoever has computed
// with the weights asks CheckIntact() before it gives the results away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>

#include "artifact/manifest.h"
#include "artifact/verification.h"
#include "base/mapped_file.h"
#include "base/status.h"

namespace dray::artifact {

// Threads: the const methods may be called from any thread.
class MappedArtifact {
 public:
  // Reads the manifest, checks the small files, and maps the data file, without reading it. kNotFound
  // if a file is missing, kCorrupt if one is not the one that was written; the error names it.
  static Result<std::shared_ptr<const MappedArtifact>> Open(const std::filesystem::path& folder);

  const Manifest& manifest() const { return manifest_; }
  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path manifest_path() const { return folder_ / kManifestName; }
  std::string DataPath() const { return data_.path().string(); }
  const OpenFile& file() const { return file_; }                     // the data file
  std::span<const std::byte> data() const { return data_.bytes(); }  // all of its bytes

  // Null if there is no such weight.
  const ArtifactTensor* Find(std::string_view name) const;
  std::span<const std::byte> Bytes(const ArtifactTensor& tensor) const;

  // Reads chunks of the data file and compares their checksums. Errors as of VerifyChunks and CheckIntact.
  Status Verify(const VerifyOptions& options) const;
  // kCorrupt, naming the file, if bytes of the data file were lost, or the file was written to or
  // resized since Open. Costs a call of the system, and allocates nothing while all is well.
  Status CheckIntact() const;

 private:
  MappedArtifact(std::filesystem::path folder, Manifest manifest, OpenFile file, MappedFile data);

  std::filesystem::path folder_;
  Manifest manifest_;
  OpenFile file_;  // the data file, to ask for its state
  MappedFile data_;
  std::unordered_map<std::string_view, const ArtifactTensor*> tensors_;
};

}  // namespace dray::artifact
