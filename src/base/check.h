// Checks for broken invariants: what only a bug in dray can cause. No check is reachable by input;
// what a user, file or peer can cause is a Status (base/status.h).
#pragma once

namespace dray {

// Prints the failed condition and where it stands, then aborts.
[[noreturn]] void CheckFailed(const char* condition, const char* detail, const char* file,
                              int line);

}  // namespace dray

#define DRAY_CHECK(condition)                                  \
  do {                                                         \
    if (!(condition)) [[unlikely]]                             \
      ::dray::CheckFailed(#condition, "", __FILE__, __LINE__); \
  } while (false)

// For hot loops: checked in debug builds only.
#ifdef NDEBUG
#define DRAY_DCHECK(condition) \
  do {                         \
  } while (false)
#else
#define DRAY_DCHECK(condition) DRAY_CHECK(condition)
#endif
