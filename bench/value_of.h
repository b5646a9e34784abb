// The value of a result, for programs that can only end where there is none.
#pragma once

#include <fmt/format.h>

#include <cerrno>  // program_invocation_short_name
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/status.h"

namespace dray::bench {

// Prints the error with the program's name, and ends the program with 1, if there is no value.
template <typename T>
T ValueOf(Result<T> result) {
  if (!result.ok()) {
    fmt::print(stderr, "{}: {}\n", program_invocation_short_name, result.status().message());
    std::exit(1);
  }
  return std::move(result).value();
}

}  // namespace dray::bench
