// Copies and the operations that are only split by rows. Weights, Linear and Attention have files
// of their own.
#include "kernels/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/machine/cpu_info.h"
#include "kernels/cpu/dispatch.h"

namespace dray::kernels {
namespace {

constexpr int64_t kFloat = sizeof(float);

// From so many tokens on a step has more arithmetic for each weight that it reads than a processor
// does while it waits for memory.
constexpr int64_t kPromptTokens = 32;

int ThreadsOr(int num_threads, int otherwise) { return num_threads > 0 ? num_threads : otherwise; }

}  // namespace

CpuBackend::CpuBackend(const IsaKernels& isa, const CpuBackendOptions& options)
    : isa_(isa),
      num_threads_(ThreadsOr(options.num_threads, UsableCpuCount())),
      num_prompt_threads_(ThreadsOr(options.num_prompt_threads, num_threads_)),
      pool_(std::max(num_threads_, num_prompt_threads_),
            options.pin_threads ? Pinning::kPinned : Pinning::kFree) {}

std::string CpuBackend::Describe() const {
  auto threads =
      fmt::format("cpu {}, {} thread{}", isa_.name, num_threads_, num_threads_ == 1 ? "" : "s");
  if (num_prompt_threads_ == num_threads_) return threads;
  return fmt::format("{}, {} for prompts", threads, num_prompt_threads_);
}

void CpuBackend::BeginStep(int64_t num_tokens) {
  pool_.UseThreads(num_tokens < kPromptTokens ? num_threads_ : num_prompt_threads_);
  pool_.BeginTurn();
}

void CpuBackend::CopyFromHost(void* device_dst, const void* host_src, size_t bytes) {
  if (bytes > 0) std::memcpy(device_dst, host_src, bytes);
}

void CpuBackend::CopyToHost(void* host_dst, const void* device_src, size_t bytes) {
  if (bytes > 0) std::memcpy(host_dst, device_src, bytes);
}

WeightFormat CpuBackend::NativeFormat(DType dtype) const {
  switch (dtype) {
    case DType::kBF16:
      return WeightFormat::kBF16;
    case DType::kF16:
      return WeightFormat::kF16;
    default:
      return WeightFormat::kF32;
  }
}

void CpuBackend::Norm(const NormArgs& args) {
  Split(args.rows, 2 * args.rows * args.cols * kFloat, [&](Range rows) { isa_.norm(args, rows); });
}

void CpuBackend::GatherRows(const GatherRowsArgs& args) {
  const auto bytes = static_cast<size_t>(args.cols) * sizeof(float);
  Split(args.num_rows, 2 * args.num_rows * args.cols * kFloat, [&](Range rows) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      std::memcpy(args.out + r * args.cols, args.x + args.rows[r] * args.x_stride, bytes);
    }
  });
}

void CpuBackend::CopyBlocks(const CopyBlocksArgs& args) {
  const KvLayer& cache = args.cache;
  const auto tokens = static_cast<size_t>(cache.num_kv_heads * cache.block_size);
  const size_t bytes = tokens * static_cast<size_t>(cache.head_dim) * SizeOf(cache.dtype);
  const auto copy = [&](void* base, size_t block_bytes, int64_t i) {
    auto* blocks = static_cast<std::byte*>(base);
    std::memmove(blocks + args.to[i] * block_bytes, blocks + args.from[i] * block_bytes,
                 block_bytes);
  };
  // One after the other: a later copy may read what an earlier one wrote.
  for (int64_t i = 0; i < args.num_copies; ++i) {
    copy(cache.keys, bytes, i);
    copy(cache.values, bytes, i);
    if (cache.dtype != DType::kI8) continue;
    copy(cache.key_scales, tokens * sizeof(float), i);
    copy(cache.value_scales, tokens * sizeof(float), i);
  }
}

void CpuBackend::Copy(void* dst, const void* src, size_t bytes) {
  if (bytes > 0) std::memmove(dst, src, bytes);
}

Result<std::unique_ptr<Backend>> MakeCpuBackend(const CpuBackendOptions& options) {
  for (const int num_threads : {options.num_threads, options.num_prompt_threads}) {
    if (num_threads >= 0) continue;
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("num_threads is {}; use 0 for one per processor, or at least 1", num_threads));
  }
  DRAY_ASSIGN_OR_RETURN(const IsaKernels* isa, SelectIsa(options.isa));
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(*isa, options));
}

}  // namespace dray::kernels
