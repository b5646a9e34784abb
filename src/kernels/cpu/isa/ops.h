// The functions of this folder's .cc files, which table.cc puts into the table.
//
// A set that only has other products of integers than a set before it is compiled with
// DRAY_BASE_ISA, the name of that set: it takes all other functions from there.
#pragma once

#include "kernels/cpu/isa_kernels.h"

#if !defined(DRAY_BASE_ISA)
#define DRAY_BASE_ISA DRAY_ISA
#define DRAY_IS_BASE_ISA
#endif

namespace dray::kernels::DRAY_BASE_ISA {

void PackActivationsF32(const PackActivationsTask& task, Range blocks);
void PackActivationsBF16(const PackActivationsTask& task, Range blocks);

void LinearF32(const LinearTask& task, Range panels);
void LinearF16(const LinearTask& task, Range panels);
void LinearBF16(const LinearTask& task, Range panels);
// For int8 with float inputs.
void LinearI8Float(const LinearTask& task, Range panels);

void ConvertArray(DType from, const void* in, DType to, void* out, int64_t count);
float PeakOf(const float* x, int64_t count);
// The largest magnitude among what is a number: NaN counts as zero, and infinity as the largest float.
// For the cache's scales, which must be finite: attention multiplies the values that a query does not
// see by zero.
float PeakOfNumbers(const float* x, int64_t count);
void ExtremesOf(const float* x, int64_t count, float& least, float& most);
void Quantize(const QuantizeTask& task);
void RoundingErrors(const RoundingTask& task, float* errors);
void ReadWeights(const ReadTask& task);
void AddSquares(const SquaresTask& task);

void NormRows(const NormArgs& args, Range rows);
// Returns the row to pack: a row of the input or, if the task has a norm, the normalised row in the
// task's scratch.
const float* RowToPack(const PackActivationsTask& task, int64_t row);
void Gate(Activation activation, const float* gates_and_values, int64_t width, float* out);
void ActivateArray(Activation activation, const float* x, float* out, int64_t count);
void ExpArray(const float* x, float* out, int64_t count);
void ErfArray(const float* x, float* out, int64_t count);
void TanhArray(const float* x, float* out, int64_t count);

}  // namespace dray::kernels::DRAY_BASE_ISA

namespace dray::kernels::DRAY_ISA {

#if !defined(DRAY_IS_BASE_ISA)
using namespace DRAY_BASE_ISA;
#endif

void PackActivationsInt(const PackActivationsTask& task, Range blocks);
void LinearI8(const LinearTask& task, Range panels);
void LinearI4(const LinearTask& task, Range panels);
// For int8 with groups.
void LinearGroupsI8(const LinearTask& task, Range panels);

template <typename Format>
void RopeAndCacheHeads(const RopeAndCacheArgs& args, Range heads);
template <typename Format>
void AttendChunk(const AttentionChunkTask& task, const AttentionPartial& out);
void MergeChunk(int num_queries, int64_t head_dim, const AttentionPartial& chunk,
                const AttentionPartial& into);

}  // namespace dray::kernels::DRAY_ISA
