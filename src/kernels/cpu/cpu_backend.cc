#include "kernels/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/machine/cpu_info.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/make_backend.h"

namespace dray::kernels {
namespace {

// A step with this many tokens or more is limited by arithmetic: it has more of it for each weight
// than a processor can do while it waits for memory.
constexpr int64_t kPromptTokens = 32;

int ThreadsOr(int num_threads, int otherwise) { return num_threads > 0 ? num_threads : otherwise; }

}  // namespace

Status CpuMemory::CopyFromHost(void* device_dst, const void* host_src, size_t bytes) {
  if (bytes > 0) std::memcpy(device_dst, host_src, bytes);
  return OkStatus();
}

Status CpuMemory::CopyToHost(void* host_dst, const void* device_src, size_t bytes) {
  DRAY_RETURN_IF_ERROR(team_.failure());
  if (bytes > 0) std::memcpy(host_dst, device_src, bytes);
  return OkStatus();
}

CpuBackend::CpuBackend(const IsaKernels& isa, const CpuOptions& options)
    : num_threads_(ThreadsOr(options.num_threads, UsableCpuCount())),
      num_prompt_threads_(ThreadsOr(options.num_prompt_threads, num_threads_)),
      team_(isa, std::max(num_threads_, num_prompt_threads_),
            options.pin_threads ? Pinning::kPinned : Pinning::kFree) {}

std::string CpuBackend::Describe() const {
  auto threads =
      fmt::format("cpu {}, {} thread{}", isa(), num_threads_, num_threads_ == 1 ? "" : "s");
  if (num_prompt_threads_ == num_threads_) return threads;
  return fmt::format("{}, {} for prompts", threads, num_prompt_threads_);
}

void CpuBackend::BeginStep(int64_t num_tokens) {
  team_.pool().UseThreads(num_tokens < kPromptTokens ? num_threads_ : num_prompt_threads_);
  team_.pool().BeginTurn();
}

Status CpuBackend::EndStep() {
  team_.pool().EndTurn();
  return team_.TakeFailure();
}

Result<std::unique_ptr<Backend>> MakeBackend(const BackendOptions& options) {
  const CpuOptions& cpu = options.cpu;
  for (const int num_threads : {cpu.num_threads, cpu.num_prompt_threads}) {
    if (num_threads >= 0) continue;
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("num_threads is {}; use 0 for one per processor, or at least 1", num_threads));
  }
  DRAY_ASSIGN_OR_RETURN(const IsaKernels* isa, SelectIsa(cpu.isa));
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(*isa, cpu));
}

}  // namespace dray::kernels
