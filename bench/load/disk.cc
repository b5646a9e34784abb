#include "disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "base/checked_math.h"
#include "base/parse/json.h"
#include "testing/process.h"

namespace dray::bench {
namespace {

namespace fs = std::filesystem;

// A descriptor that is closed in the end.
class Descriptor {
 public:
  explicit Descriptor(const fs::path& path) : value_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int value() const { return value_; }

 private:
  const int value_;
};

Status OsError(const fs::path& path) {
  return {StatusCode::kIo, fmt::format("{}: {}", path.string(), std::strerror(errno))};
}

// Bytes of the file that are in the system's cache.
Result<int64_t> CachedBytes(const Descriptor& file, const fs::path& path, size_t size) {
  void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.value(), 0);
  if (mapped == MAP_FAILED) return OsError(path);
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages(DivideRoundUp(size, page));
  const bool is_known = ::mincore(mapped, size, pages.data()) == 0;
  ::munmap(mapped, size);
  if (!is_known) return OsError(path);
  int64_t bytes = 0;
  for (const unsigned char cached : pages) bytes += (cached & 1) * static_cast<int64_t>(page);
  return bytes;
}

// The number at a path of members and, of a list, the first element.
std::optional<double> NumberAt(const Json& json, std::initializer_list<std::string_view> keys) {
  const Json* at = &json;
  for (const std::string_view key : keys) {
    if (const Json::Array* list = at->AsArray()) at = list->empty() ? nullptr : &list->front();
    at = at == nullptr ? nullptr : at->Find(key);
    if (at == nullptr) return std::nullopt;
  }
  return at->AsDouble();
}

}  // namespace

std::vector<fs::path> FilesOf(const fs::path& model) {
  if (fs::is_regular_file(model)) return {model};
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(model)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  return files;
}

int64_t BytesOf(const std::vector<fs::path>& files) {
  int64_t bytes = 0;
  for (const fs::path& file : files) bytes += static_cast<int64_t>(fs::file_size(file));
  return bytes;
}

Result<double> Evict(const std::vector<fs::path>& files) {
  int64_t stayed = 0;
  for (const fs::path& path : files) {
    const Descriptor file(path);
    const bool is_evicted = file.value() >= 0 && ::fsync(file.value()) == 0 &&
                            ::posix_fadvise(file.value(), 0, 0, POSIX_FADV_DONTNEED) == 0;
    if (!is_evicted) return OsError(path);
    const auto size = static_cast<size_t>(fs::file_size(path));
    if (size == 0) continue;
    DRAY_ASSIGN_OR_RETURN(const int64_t cached, CachedBytes(file, path, size));
    stayed += cached;
  }
  const int64_t bytes = BytesOf(files);
  return bytes == 0 ? 0.0 : static_cast<double>(stayed) / static_cast<double>(bytes);
}

Result<double> FioRate(const fs::path& file, FioTarget target, int seconds) {
  std::vector<std::string> argv = {"/usr/bin/env", "fio",
                                   "--name=read",  "--filename=" + file.string(),
                                   "--readonly",   "--rw=read",
                                   "--bs=4M",      fmt::format("--runtime={}", seconds),
                                   "--thread",     "--output-format=json"};
  if (target == FioTarget::kBuffer) {
    argv.insert(argv.end(), {"--direct=1", "--ioengine=libaio", "--iodepth=4"});
  } else {
    argv.insert(argv.end(), {"--direct=0", "--ioengine=psync", "--numjobs=4", "--group_reporting",
                             "--size=25%", "--offset_increment=25%"});
  }
  const auto run = testing::RunProcess(argv);
  const auto json = Json::Parse(run.output);
  const auto rate = json.ok() ? NumberAt(*json, {"jobs", "read", "bw_bytes"}) : std::nullopt;
  if (run.exit_code == 0 && rate && *rate > 0) return *rate;
  return Status(StatusCode::kUnavailable,
                fmt::format("fio ended with {}: {}{}", run.exit_code, run.errors, run.output));
}

}  // namespace dray::bench
