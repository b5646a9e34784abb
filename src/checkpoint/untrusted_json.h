// Checks that weight files and shard indexes share: JSON whose parsed form cannot dwarf its text,
// sane names, and files that are not what their name says.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/parse/json.h"
#include "base/status.h"

namespace dray::checkpoint {

// A JSON object in which no key stands twice, of at most a million values. `what` names the source in
// errors.
Result<Json> ParseUntrustedJson(std::string_view text, std::string_view what);

// Not empty, and free of control characters: what a tensor or a file may be called.
bool IsSaneName(std::string_view name);

// A name of a file in the same directory. (What it names may be a symbolic link: the hub's cache is
// made of them, and they were put there by whoever made the directory, not by the index.)
bool IsPlainFileName(std::string_view name);

// A clone made without Git LFS holds small text files in place of the weights; says so if
// `file` is one.
Status CheckNotGitLfsPointer(std::span<const std::byte> bytes, std::string_view path);

}  // namespace dray::checkpoint
