// What a disk reads, beside what dray reads from it: fio's rate, and files that are not in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/status.h"

namespace dray::bench {

// The files of a model's folder and of the folders in it; of a file, the file alone.
std::vector<std::filesystem::path> FilesOf(const std::filesystem::path& model);
int64_t BytesOf(const std::vector<std::filesystem::path>& files);

// Takes the files out of the system's cache, once their bytes are on the disk. Pages that a process has mapped stay.
// Returns the share of the bytes, from 0 to 1, that stayed.
Result<double> Evict(const std::vector<std::filesystem::path>& files);

// Past the system's cache, into the same memory again and again; or into the cache, as a mapping is read, which takes
// new memory for every byte.
enum class FioTarget { kBuffer, kCache };

// Bytes a second at which `fio` reads the file, four reads of 4 MiB at a time, for at most so many seconds. Into the
// cache, four jobs read a quarter of the file each; evict it before. Fails if there is no fio, or it fails.
Result<double> FioRate(const std::filesystem::path& file, FioTarget target, int seconds);

}  // namespace dray::bench
