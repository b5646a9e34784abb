#include "engine/runner/cache_size.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/checked_math.h"

namespace dray::engine {
namespace {

// Blocks that hold every sequence at its longest, at least one sequence.
int64_t BlocksWanted(int64_t context, const EngineOptions& options) {
  return DivideRoundUp<int64_t>(context, options.block_size) * options.max_sequences;
}

int64_t FreeBytes(const LoadedModel& model, const EngineOptions& options) {
  if (options.free_memory_bytes) return std::max<int64_t>(0, *options.free_memory_bytes);
  const int64_t free = model.ranks.front().backend->memory().allocator().FreeBytes();
  return std::max<int64_t>(0, free - model.mapped_bytes());
}

Status CheckOptions(const LoadedModel& model, const EngineOptions& options) {
  const int64_t most = model.description.config.stack.max_positions;
  if (options.max_context_tokens < 0 || options.max_context_tokens > most) {
    return {StatusCode::kInvalidArgument,
            fmt::format("max_model_len is {}, but this model's positions end at {}: set it to at "
                        "most {}, or leave it out",
                        options.max_context_tokens, most, most)};
  }
  if (options.block_size <= 0 || options.block_size % 16 != 0) {
    return {StatusCode::kInvalidArgument,
            fmt::format("a cache block of {} tokens: it must be a positive multiple of 16",
                        options.block_size)};
  }
  return OkStatus();
}

}  // namespace

DType KvDTypeBeside(kernels::WeightFormat table_format) {
  switch (table_format) {
    case kernels::WeightFormat::kF16:
      return DType::kF16;
    case kernels::WeightFormat::kF32:
      return DType::kF32;
    default:
      return DType::kBF16;
  }
}

DType KvDType(const LoadedModel& model, const EngineOptions& options) {
  return options.kv_dtype.value_or(KvDTypeBeside(model.table_format.format));
}

Result<CacheSize> ChooseCacheSize(const LoadedModel& model, const EngineOptions& options,
                                  int64_t more_block_bytes) {
  DRAY_RETURN_IF_ERROR(CheckOptions(model, options));
  const model::ModelConfig& config = model.description.config;
  CacheSize size;
  size.spec.block_size = options.block_size;
  size.spec.dtype = KvDType(model, options);
  const int64_t block_bytes = model.BlockBytes(size.spec) + more_block_bytes;
  const bool context_asked = options.max_context_tokens > 0;
  const int64_t usual =
      config.usual_context_tokens > 0 ? config.usual_context_tokens : config.stack.max_positions;
  size.max_context_tokens = context_asked ? options.max_context_tokens : usual;

  const int64_t budget =
      options.kv_cache_bytes > 0 ? options.kv_cache_bytes : FreeBytes(model, options) / 4;
  const int64_t fitting = std::min<int64_t>(
      budget / block_bytes, std::numeric_limits<int32_t>::max() / options.block_size);
  const int64_t wanted = BlocksWanted(size.max_context_tokens, options);
  size.spec.num_blocks = options.kv_cache_bytes > 0 ? fitting : std::min(fitting, wanted);
  const int64_t capacity = size.spec.num_blocks * options.block_size;
  if (capacity < size.max_context_tokens && (context_asked || capacity == 0)) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("the key/value cache has {} bytes, room for {} tokens, but one "
                              "sequence may have {}: raise "
                              "kv_cache_bytes, or lower max_model_len",
                              budget, capacity, size.max_context_tokens));
  }
  size.max_context_tokens = std::min(size.max_context_tokens, capacity);
  return size;
}

}  // namespace dray::engine
