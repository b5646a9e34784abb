// How the values of settings are read from text. Each function sets `out`, or returns
// kInvalidArgument (or kUnsupported) with a message that says what the value must be.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "base/status.h"

namespace dray::settings {

inline constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// "it must be ...", of kInvalidArgument.
Status MustBe(std::string what);

// A whole number in [min, max].
Status SetCount(int64_t& out, std::string_view text, int64_t min, int64_t max = kNoLimit);
// 4096, 512K, 100MiB, 8G: all in powers of 1024, at least `min`.
Status SetBytes(int64_t& out, std::string_view text, int64_t min);
Status SetBool(bool& out, std::string_view text);
// Any text that is not empty.
Status SetText(std::string& out, std::string_view text);

}  // namespace dray::settings
