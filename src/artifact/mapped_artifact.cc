#include "artifact/mapped_artifact.h"

#include <fmt/format.h>

#include <utility>

#include "artifact/checksum.h"
#include "base/file.h"

namespace dray::artifact {
namespace {

namespace fs = std::filesystem;

Status CheckFile(const fs::path& folder, const ArtifactFile& file) {
  const fs::path path = folder / file.name;
  auto content = ReadFile(path, static_cast<uint64_t>(file.size_bytes));
  if (content.status().code() == StatusCode::kResourceExhausted) {
    return DamagedFile(
        path,
        fmt::format("it has more than the {} bytes that the artifact's file had", file.size_bytes));
  }
  if (!content.ok()) return content.status();
  const bool is_same = static_cast<int64_t>(content->size()) == file.size_bytes &&
                       Checksum(*content) == file.checksum;
  return is_same ? OkStatus()
                 : DamagedFile(path, "it is not the file that the artifact was written with");
}

}  // namespace

MappedArtifact::MappedArtifact(fs::path folder, Manifest manifest, OpenFile file, MappedFile data)
    : folder_(std::move(folder)),
      manifest_(std::move(manifest)),
      file_(std::move(file)),
      data_(std::move(data)) {
  for (const ArtifactTensor& tensor : manifest_.tensors) tensors_.emplace(tensor.name, &tensor);
}

Result<std::shared_ptr<const MappedArtifact>> MappedArtifact::Open(const fs::path& folder) {
  DRAY_ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(folder));
  for (const ArtifactFile& file : manifest.files) DRAY_RETURN_IF_ERROR(CheckFile(folder, file));
  const fs::path path = folder / kDataName;
  DRAY_ASSIGN_OR_RETURN(OpenFile file, OpenFile::Open(path));
  if (file.state().size_bytes != static_cast<uint64_t>(manifest.data.size_bytes)) {
    return DamagedFile(path, fmt::format("it has {} bytes, not the {} that were written",
                                         file.state().size_bytes, manifest.data.size_bytes));
  }
  DRAY_ASSIGN_OR_RETURN(MappedFile data, MappedFile::Open(path));
  if (data.bytes().size() != file.state().size_bytes) return FileChanged(path);
  data.PreferHugePages();
  return std::shared_ptr<const MappedArtifact>(
      new MappedArtifact(folder, std::move(manifest), std::move(file), std::move(data)));
}

const ArtifactTensor* MappedArtifact::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

std::span<const std::byte> MappedArtifact::Bytes(const ArtifactTensor& tensor) const {
  return data_.bytes().subspan(static_cast<size_t>(tensor.offset),
                               static_cast<size_t>(tensor.size_bytes));
}

Status MappedArtifact::Verify(const VerifyOptions& options) const {
  DRAY_RETURN_IF_ERROR(VerifyChunks(manifest_.data, data_, options));
  return CheckIntact();
}

Status MappedArtifact::CheckIntact() const {
  // That bytes are lost explains more than that the size is another one.
  if (data_.damaged()) return data_.CheckUnchanged();
  return file_.CheckContent();
}

}  // namespace dray::artifact
