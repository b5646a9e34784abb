// There may be no memory for a message, so messages are written in pieces that exist already.
#include "cli/exhaustion.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

namespace dray::cli {
namespace {

constexpr int kExitFailed = 1;

void Write(const char* text) {
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text, std::strlen(text));
}

void TellOfMemory() {
  Write(
      "dray: out of memory: the system gave no more; raise the process's limit (ulimit -v, or its "
      "container's), or use a smaller model, context or kv_cache_bytes\n");
}

void TellOfSystem(const char* what) {
  Write("dray: the system gave no more threads or memory: ");
  Write(what);
  Write("; raise the process's limits (ulimit -u and -v, or its container's)\n");
}

// Whether `error` is one that says what ran out; if so, it is told.
bool Tell(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    TellOfMemory();
    return true;
  } catch (const std::system_error& system) {
    TellOfSystem(system.what());
    return true;
  } catch (...) {
    return false;
  }
}

// Called for an exception that nothing catches on its thread, and where one is on its way through an
// object that cannot be ended, such as a running thread.
[[noreturn]] void OnTerminate() {
  const std::exception_ptr error = std::current_exception();
  if (error != nullptr && Tell(error)) ::_exit(kExitFailed);
  if (error == nullptr && std::uncaught_exceptions() > 0) {
    TellOfSystem("an error while starting");
    ::_exit(kExitFailed);
  }
  Write("dray: ended by a bug: an error that nothing handled\n");
  std::abort();
}

}  // namespace

int RunUntilExhausted(int (*program)(int argc, char** argv), int argc, char** argv) {
  std::set_terminate(OnTerminate);
  try {
    return program(argc, argv);
  } catch (const std::bad_alloc&) {
    TellOfMemory();
  } catch (const std::system_error& error) {
    TellOfSystem(error.what());
  }
  return kExitFailed;
}

}  // namespace dray::cli
