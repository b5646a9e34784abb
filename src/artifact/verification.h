// Compares the bytes of an artifact's data file with their checksums. Reading them also brings the file into memory, so
// this is where loading an artifact takes its time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string_view>
#include <vector>

#include "artifact/manifest.h"
#include "base/mapped_file.h"
#include "base/status.h"

namespace dray::artifact {

// Which part of the data file's chunks is verified, and how.
struct VerifyOptions {
  // Chunks [count * part / parts, count * (part + 1) / parts) of all.
  int64_t part = 0;
  int64_t parts = 1;
  // The processors that the verification's threads may use, wherever the caller is bound; none: those of the caller.
  std::vector<int> cpus = {};
  // Whether the bytes that were read stay in this process's memory. If not, the system may still have them in
  // its cache of the file.
  bool keeps_pages = true;
  // Called by the caller's thread as it goes on, and once all is verified.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress = nullptr;
  std::stop_token stop = {};  // ends it with kCancelled
};

// Reads the chunks of `file`, which `data` describes, and compares their checksums, on several threads. kCorrupt, naming
// the file and the first damaged chunk; kResourceExhausted, naming the file, if the threads cannot be started.
Status VerifyChunks(const ArtifactData& data, const MappedFile& file, const VerifyOptions& options);

// An error about a file that is not the one that was written.
Status DamagedFile(const std::filesystem::path& path, std::string_view what);

}  // namespace dray::artifact
