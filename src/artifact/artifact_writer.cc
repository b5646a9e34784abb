#include "artifact/artifact_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "artifact/checksum.h"
#include "base/checked_math.h"

namespace dray::artifact {
namespace {

namespace fs = std::filesystem;

Status OsError(const fs::path& path, const char* what) {
  const int error = errno;
  const bool is_full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return {is_full ? StatusCode::kResourceExhausted : StatusCode::kIo,
          fmt::format("{}: {}: {}{}", path.string(), what, std::strerror(error),
                      is_full ? "; make room, or write the artifact to another disk" : "")};
}

// Does nothing if there is such a folder.
Status MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return OkStatus();
  return {StatusCode::kIo,
          fmt::format("{}: cannot make the folder: {}", folder.string(), error.message())};
}

Status SyncFolder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return OsError(folder, "cannot open");
  const bool synced = ::fsync(descriptor) == 0;
  Status status = synced ? OkStatus() : OsError(folder, "cannot write to the disk");
  ::close(descriptor);
  return status;
}

// The permissions that a folder gets from this process's mask; a temporary one is for its owner alone.
Status OpenToOthers(const fs::path& folder) {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  constexpr mode_t kEverybody = 0777;
  return ::chmod(folder.c_str(), kEverybody & ~mask) == 0 ? OkStatus()
                                                          : OsError(folder, "cannot set its mode");
}

Status CheckAbsent(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(folder, error);
  if (status.type() == fs::file_type::not_found) return OkStatus();
  if (error) return {StatusCode::kIo, fmt::format("{}: {}", folder.string(), error.message())};
  if (fs::is_directory(status) && fs::is_empty(folder, error) && !error) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("{} exists already: name a new or an empty folder, or remove it",
                      folder.string())};
}

}  // namespace

Result<OutputFile> OutputFile::Create(const fs::path& path) {
  OutputFile file;
  file.path_ = path;
  constexpr mode_t kReadable = 0666;
  file.descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kReadable);
  if (file.descriptor_ < 0) return OsError(path, "cannot create");
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status OutputFile::Append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return OsError(path_, "cannot write");
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return OkStatus();
}

Status OutputFile::Sync() {
  return ::fsync(descriptor_) == 0 ? OkStatus() : OsError(path_, "cannot write to the disk");
}

Result<ArtifactWriter> ArtifactWriter::Create(const fs::path& folder) {
  ArtifactWriter writer;
  std::error_code error;
  writer.folder_ = fs::absolute(folder, error).lexically_normal();
  if (!writer.folder_.has_filename()) writer.folder_ = writer.folder_.parent_path();
  DRAY_RETURN_IF_ERROR(CheckAbsent(writer.folder_));
  const fs::path parent = writer.folder_.parent_path();
  DRAY_RETURN_IF_ERROR(MakeFolder(parent));
  const std::string prefix = fmt::format(".{}.partial-", writer.folder_.filename().string());
  DRAY_ASSIGN_OR_RETURN(writer.temporary_, TemporaryFolder::Make(parent, prefix));
  DRAY_ASSIGN_OR_RETURN(writer.data_, OutputFile::Create(writer.temporary_.path() / kDataName));
  writer.chunk_.reserve(kChunkBytes);
  return writer;
}

Status ArtifactWriter::FlushChunk() {
  if (chunk_.empty()) return OkStatus();
  checksums_.push_back(Checksum(chunk_));
  DRAY_RETURN_IF_ERROR(data_.Append(chunk_));
  chunk_.clear();
  return OkStatus();
}

Status ArtifactWriter::Append(ArtifactTensor tensor, const ReadBytes& read) {
  // A new chunk begins with a full one's end, so the gap is always inside of one.
  const int64_t gap = RoundUp(size_bytes_, kTensorAlignment) - size_bytes_;
  chunk_.resize(chunk_.size() + static_cast<size_t>(gap));
  size_bytes_ += gap;
  tensor.offset = size_bytes_;
  for (int64_t done = 0; done < tensor.size_bytes;) {
    if (chunk_.size() == static_cast<size_t>(kChunkBytes)) DRAY_RETURN_IF_ERROR(FlushChunk());
    const size_t begin = chunk_.size();
    const int64_t count =
        std::min<int64_t>(tensor.size_bytes - done, kChunkBytes - static_cast<int64_t>(begin));
    chunk_.resize(begin + static_cast<size_t>(count));
    DRAY_RETURN_IF_ERROR(read(done, std::span(chunk_).subspan(begin)));
    done += count;
    size_bytes_ += count;
  }
  tensors_.push_back(std::move(tensor));
  return OkStatus();
}

Status ArtifactWriter::AddFile(const std::string& name, std::string_view content) {
  DRAY_RETURN_IF_ERROR(AddChangeableFile(name, content));
  files_.push_back({name, static_cast<int64_t>(content.size()), Checksum(content)});
  return OkStatus();
}

Status ArtifactWriter::AddChangeableFile(const std::string& name, std::string_view content) {
  const fs::path path = temporary_.path() / name;
  DRAY_RETURN_IF_ERROR(MakeFolder(path.parent_path()));
  DRAY_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(path));
  DRAY_RETURN_IF_ERROR(file.Append(std::as_bytes(std::span(content.data(), content.size()))));
  DRAY_RETURN_IF_ERROR(file.Sync());
  // Finish waits for the temporary folder's own entries.
  for (fs::path folder = path.parent_path(); folder != temporary_.path();
       folder = folder.parent_path()) {
    DRAY_RETURN_IF_ERROR(SyncFolder(folder));
  }
  return OkStatus();
}

Result<int64_t> ArtifactWriter::Finish(Manifest manifest) {
  DRAY_RETURN_IF_ERROR(FlushChunk());
  DRAY_RETURN_IF_ERROR(data_.Sync());
  int64_t total = size_bytes_;
  for (const ArtifactFile& file : files_) total += file.size_bytes;
  manifest.files = std::move(files_);
  manifest.data = {size_bytes_, kChunkBytes, std::move(checksums_)};
  manifest.tensors = std::move(tensors_);
  const std::string text = FormatManifest(manifest);
  DRAY_RETURN_IF_ERROR(AddFile(kManifestName, text));
  DRAY_RETURN_IF_ERROR(OpenToOthers(temporary_.path()));
  DRAY_RETURN_IF_ERROR(SyncFolder(temporary_.path()));
  // Takes the place of an empty folder, too.
  if (::rename(temporary_.path().c_str(), folder_.c_str()) != 0) {
    return OsError(folder_, "cannot give the finished folder this name");
  }
  DRAY_RETURN_IF_ERROR(SyncFolder(folder_.parent_path()));
  return total + static_cast<int64_t>(text.size());
}

}  // namespace dray::artifact
