// The operations that are only split by rows, and what all operations check. Embed, Linear and
// Attention have files of their own.
#include "kernels/cpu/cpu_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace dray::kernels {
namespace {

constexpr int64_t kFloat = sizeof(float);

}  // namespace

bool CpuOps::AreF32(std::string_view operation, std::initializer_list<DType> dtypes) {
  for (const DType dtype : dtypes) {
    if (dtype == DType::kF32) continue;
    team_.Fail({StatusCode::kUnsupported,
                fmt::format("{} with activations in {}: the processors' backend takes f32 only",
                            operation, Name(dtype))});
    return false;
  }
  return true;
}

std::byte* CpuOps::GetScratch(Scratch& scratch, int64_t size_bytes) {
  std::byte* memory = scratch.Get(static_cast<size_t>(std::max<int64_t>(size_bytes, 1)));
  if (memory == nullptr) {
    team_.Fail({StatusCode::kResourceExhausted,
                fmt::format("no memory for {} bytes of an operation's scratch: use a smaller batch "
                            "or KV cache",
                            size_bytes)});
  }
  return memory;
}

void CpuOps::Norm(const NormArgs& args) {
  if (!AreF32("Norm", {args.x.dtype, args.out.dtype})) return;
  team_.Split(args.rows, 2 * args.rows * args.cols * kFloat,
              [&](Range rows) { team_.isa().norm(args, rows); });
}

void CpuOps::GatherRows(const GatherRowsArgs& args) {
  if (!AreF32("GatherRows", {args.x.dtype, args.out.dtype})) return;
  const auto bytes = static_cast<size_t>(args.cols) * sizeof(float);
  team_.Split(args.num_rows, 2 * args.num_rows * args.cols * kFloat, [&](Range rows) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      std::memcpy(args.out.as<float>() + r * args.out.stride,
                  args.x.as<float>() + args.rows[r] * args.x.stride, bytes);
    }
  });
}

void CpuOps::CopyBlocks(const CopyBlocksArgs& args) {
  const KvLayer& cache = args.cache;
  const auto tokens = static_cast<size_t>(cache.num_kv_heads * cache.block_size);
  const size_t bytes = tokens * static_cast<size_t>(cache.head_dim) * SizeOf(cache.dtype);
  const auto copy = [&](void* base, size_t block_bytes, int64_t i) {
    auto* blocks = static_cast<std::byte*>(base);
    const size_t step = static_cast<size_t>(cache.block_step) * block_bytes;
    std::memmove(blocks + static_cast<size_t>(args.to[i]) * step,
                 blocks + static_cast<size_t>(args.from[i]) * step, block_bytes);
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

}  // namespace dray::kernels
