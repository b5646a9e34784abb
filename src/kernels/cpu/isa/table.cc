// The table of one instruction set.
#include "kernels/cpu/isa/integer_sums_inl.h"
#include "kernels/cpu/isa/ops.h"
#include "kernels/cpu/isa/vec.h"

namespace dray::kernels::DRAY_ISA {

extern const IsaKernels kKernels;
constinit const IsaKernels kKernels = {
    .name = kIsaName,
    .max_linear_rows = {kMaxLinearRows, kMaxLinearRows, kMaxLinearRows, kMaxInt8Rows,
                        kMaxGroupedRows},
    .max_grouped_rows = kMaxGroupedRows,
    .max_sum_cols = kSumCols,
    .min_rows_to_set_apart = kMinRowsToSetApart,
    .activation_bytes = {4, 4, kHasBF16Dot ? 2 : 4, kInputBytes, kInputBytes},
    .pack_activations = {PackActivationsF32, PackActivationsF32, PackActivationsBF16,
                         PackActivationsInt, PackActivationsInt},
    .linear = {LinearF32, LinearF16, LinearBF16, LinearI8, LinearI4},
    .convert = ConvertArray,
    .peak = PeakOf,
    .extremes = ExtremesOf,
    .quantize = Quantize,
    .rounding_errors = RoundingErrors,
    .read_weights = ReadWeights,
    .add_squares = AddSquares,
    .norm = NormRows,
    .gate = Gate,
    .rope_and_cache = {RopeAndCacheHeads<F32>, RopeAndCacheHeads<F16>, RopeAndCacheHeads<BF16>,
                       RopeAndCacheHeads<I8>},
    .attention_chunk = {AttendChunk<F32>, AttendChunk<F16>, AttendChunk<BF16>, AttendChunk<I8>},
    .attention_merge = MergeChunk,
    .activate = ActivateArray,
    .exp = ExpArray,
    .erf = ErfArray,
    .tanh = TanhArray,
};

}  // namespace dray::kernels::DRAY_ISA
