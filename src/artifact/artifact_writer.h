// Writes an artifact as a stream: one weight after the other, then the small files, then the manifest.
// All of it goes into a temporary folder beside the place where the artifact shall be, which gets its
// name when everything is on the disk. So neither a full disk nor the process's end leaves a folder that
// could be taken for an artifact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "artifact/manifest.h"
#include "base/machine/temporary_folder.h"
#include "base/status.h"

namespace dray::artifact {

// A file that is open for writing.
class OutputFile {
 public:
  // kIo if there is such a file already, or it cannot be made.
  static Result<OutputFile> Create(const std::filesystem::path& path);
  OutputFile() = default;
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  // kResourceExhausted if the disk is full, else kIo; the error names the file.
  Status Append(std::span<const std::byte> bytes);
  // Waits until all bytes are on the disk.
  Status Sync();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

class ArtifactWriter {
 public:
  // Where the bytes [offset, offset + out.size()) of a weight come from.
  using ReadBytes = std::function<Status(int64_t offset, std::span<std::byte> out)>;

  // Bytes that share a checksum, and that are written at once. A multiple of a huge page, so that the
  // kernel keeps the file in huge pages where its file system can.
  static constexpr int64_t kChunkBytes = int64_t{4} << 20;

  // `folder` must not exist, or be empty; its parent folder is made if it is missing. kInvalidArgument
  // or kIo.
  static Result<ArtifactWriter> Create(const std::filesystem::path& folder);

  // Appends a weight, all but the offset of which `tensor` says. Reads it piece by piece.
  Status Append(ArtifactTensor tensor, const ReadBytes& read);
  // Adds a small file, which must stay as it is. Makes the folders of its name: "1_Pooling/config.json".
  Status AddFile(const std::string& name, std::string_view content);
  // Adds a small file that the manifest does not list: it may be changed, or removed, later.
  Status AddChangeableFile(const std::string& name, std::string_view content);
  // Writes the manifest, whose `files`, `data` and `tensors` the writer knows, and gives the folder its
  // name. The writer can do nothing more. Returns the bytes of all files.
  Result<int64_t> Finish(Manifest manifest);

 private:
  ArtifactWriter() = default;
  Status FlushChunk();

  std::filesystem::path folder_;
  TemporaryFolder temporary_;
  OutputFile data_;
  std::vector<std::byte> chunk_;  // the bytes that are not written yet
  int64_t size_bytes_ = 0;        // of the data file, with those
  std::vector<uint64_t> checksums_;
  std::vector<ArtifactFile> files_;
  std::vector<ArtifactTensor> tensors_;
};

}  // namespace dray::artifact
