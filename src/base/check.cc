#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace dray {

void CheckFailed(const char* condition, const char* detail, const char* file, int line) {
  std::fprintf(stderr, "dray: check failed at %s:%d: %s %s\n", file, line, condition, detail);
  std::abort();
}

}  // namespace dray
