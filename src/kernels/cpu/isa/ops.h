// The operations of this folder's .cc files, gathered by table.cc.
#pragma once

#include "kernels/cpu/isa_kernels.h"

namespace dray::kernels::DRAY_ISA {

void PackActivationsF32(const PackActivationsTask& task, Range blocks);
void PackActivationsBF16(const PackActivationsTask& task, Range blocks);

void PackActivationsInt(const PackActivationsTask& task, Range blocks);

void LinearF32(const LinearTask& task, Range panels);
void LinearF16(const LinearTask& task, Range panels);
void LinearBF16(const LinearTask& task, Range panels);
void LinearI8(const LinearTask& task, Range panels);
void LinearI4(const LinearTask& task, Range panels);
// int8 with groups.
void LinearGroupsI8(const LinearTask& task, Range panels);

void ConvertArray(DType from, const void* in, DType to, void* out, int64_t count);
float PeakOf(const float* x, int64_t count);
void ExtremesOf(const float* x, int64_t count, float& least, float& most);
void Quantize(const QuantizeTask& task);

void NormRows(const NormArgs& args, Range rows);
void GatedActivationRows(const GatedActivationArgs& args, Range rows);
void ActivateArray(Activation activation, const float* x, float* out, int64_t count);
void ExpArray(const float* x, float* out, int64_t count);
void ErfArray(const float* x, float* out, int64_t count);
void TanhArray(const float* x, float* out, int64_t count);

template <typename Format>
void RopeAndCacheTokens(const RopeAndCacheArgs& args, Range tokens);
template <typename Format>
void AttendChunk(const AttentionChunkTask& task, const AttentionPartial& out);
void MergeChunk(int num_queries, int64_t head_dim, const AttentionPartial& chunk,
                const AttentionPartial& into);

}  // namespace dray::kernels::DRAY_ISA
