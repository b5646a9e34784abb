// Where the system gives no more memory or threads, the program ends with an error that says so and an
// exit code, not with an abort.
#pragma once

namespace dray::cli {

// Runs `program` with the arguments of main and returns its exit code, or 1 after telling on standard
// error what ran out. What runs out on another thread ends the process in the same way from there.
int RunUntilExhausted(int (*program)(int argc, char** argv), int argc, char** argv);

}  // namespace dray::cli
