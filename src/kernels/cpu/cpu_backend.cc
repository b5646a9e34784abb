#include "kernels/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "base/machine/cpu_info.h"
#include "base/machine/cpu_topology.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/make_backend.h"

namespace dray::kernels {
namespace {

// A step with this many tokens or more is limited by arithmetic: it has more of it for each weight
// than a processor can do while it waits for memory.
constexpr int64_t kPromptTokens = 32;

int ThreadsOr(int num_threads, int otherwise) { return num_threads > 0 ? num_threads : otherwise; }

StepThreads ThreadsOf(const CpuOptions& options) {
  const int decode = ThreadsOr(options.num_threads, UsableCpuCount());
  return {.decode = decode, .prompt = ThreadsOr(options.num_prompt_threads, decode)};
}

Pinning PinningOf(const CpuOptions& options) {
  return options.pin_threads ? Pinning::kPinned : Pinning::kFree;
}

Status CheckThreads(const CpuOptions& options) {
  for (const int num_threads : {options.num_threads, options.num_prompt_threads}) {
    if (num_threads >= 0) continue;
    return {
        StatusCode::kInvalidArgument,
        fmt::format("num_threads is {}; use 0 for one per processor, or at least 1", num_threads)};
  }
  return OkStatus();
}

Status CheckRanks(const CpuOptions& options, int num_ranks) {
  const int processors = UsableCpuCount();
  if (num_ranks > processors && !options.oversubscribe) {
    return {StatusCode::kInvalidArgument,
            fmt::format("{} ranks need a processor each, but this process may use {}: at most {} "
                        "ranks would do, or set oversubscribe to let ranks share processors",
                        num_ranks, processors, processors)};
  }
  for (const int num_threads : {options.num_threads, options.num_prompt_threads}) {
    if (num_threads == 0 || num_threads >= num_ranks) continue;
    return {StatusCode::kInvalidArgument,
            fmt::format("{} ranks need a thread each, but there are {} threads: at most {} ranks "
                        "would do, or set threads to at least {}",
                        num_ranks, num_threads, num_threads, num_ranks)};
  }
  return OkStatus();
}

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

CpuBackend::CpuBackend(const IsaKernels& isa, const StepThreads& threads,
                       std::unique_ptr<ThreadPool> pool)
    : threads_(threads), team_(isa, std::move(pool)) {}

std::string CpuBackend::Describe() const {
  auto threads =
      fmt::format("cpu {}, {} thread{}", isa(), threads_.decode, threads_.decode == 1 ? "" : "s");
  if (threads_.prompt == threads_.decode) return threads;
  return fmt::format("{}, {} for prompts", threads, threads_.prompt);
}

void CpuBackend::BeginStep(int64_t num_tokens) {
  team_.pool().UseThreads(num_tokens < kPromptTokens ? threads_.decode : threads_.prompt);
  team_.pool().BeginTurn();
}

Status CpuBackend::EndStep() {
  team_.pool().EndTurn();
  return team_.TakeFailure();
}

Result<std::unique_ptr<Backend>> MakeBackend(const BackendOptions& options) {
  DRAY_RETURN_IF_ERROR(CheckThreads(options.cpu));
  DRAY_ASSIGN_OR_RETURN(const IsaKernels* isa, SelectIsa(options.cpu.isa));
  const StepThreads threads = ThreadsOf(options.cpu);
  DRAY_ASSIGN_OR_RETURN(auto pool, ThreadPool::Make(threads.most(), PinningOf(options.cpu)));
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(*isa, threads, std::move(pool)));
}

Result<std::vector<std::unique_ptr<Backend>>> MakeBackends(const BackendOptions& options,
                                                           int num_ranks, GroupTurns turns) {
  std::vector<std::unique_ptr<Backend>> backends;
  if (num_ranks == 1) {
    DRAY_ASSIGN_OR_RETURN(auto backend, MakeBackend(options));
    backends.push_back(std::move(backend));
    return backends;
  }
  DRAY_RETURN_IF_ERROR(CheckThreads(options.cpu));
  DRAY_RETURN_IF_ERROR(CheckRanks(options.cpu, num_ranks));
  DRAY_ASSIGN_OR_RETURN(const IsaKernels* isa, SelectIsa(options.cpu.isa));
  const StepThreads all = ThreadsOf(options.cpu);
  const StepThreads each = {.decode = std::max(1, all.decode / num_ranks),
                            .prompt = std::max(1, all.prompt / num_ranks)};
  const WorkerSet::GroupSpec group = {.num_pools = num_ranks,
                                      .num_threads = each.most(),
                                      .pinning = PinningOf(options.cpu),
                                      .turns = turns};
  DRAY_ASSIGN_OR_RETURN(auto pools, ThreadPool::MakeGroup(group));
  for (auto& pool : pools) {
    backends.push_back(std::make_unique<CpuBackend>(*isa, each, std::move(pool)));
  }
  return backends;
}

int NumNaturalRanks(const BackendOptions&) {
  return static_cast<int>(CpusByNode(AllowedCpus()).size());
}

}  // namespace dray::kernels
