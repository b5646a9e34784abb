// Packs weights into panels (pack/panel_layout.h) on all threads.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/cpu/cpu_team.h"
#include "kernels/packer.h"

namespace dray::kernels {

class CpuPacker final : public Packer {
 public:
  explicit CpuPacker(CpuTeam& team) : team_(team) {}

  WeightFormat NativeFormat(DType dtype) const override;
  Result<WeightMatrix> AllocateMatrix(const MatrixSpec& spec) override;
  Status PackRows(WeightMatrix& matrix, int64_t first_row, const SourceRows& source) override;
  Status PackQuantizedRows(WeightMatrix& matrix, int64_t first_row, const QuantizedSource& source,
                           std::span<const int64_t> rows) override;
  void AddSquares(const SourceRows& source, const SquareSums& sums) override;
  std::string_view layout() const override { return "panels-32"; }
  Result<int64_t> PackedBytes(const MatrixSpec& spec) const override;
  Result<WeightMatrix> Adopt(const MatrixSpec& spec, SharedBytes packed) override;
  Result<WeightMatrix> TakePart(const WeightMatrix& whole, const MatrixPart& part) override;

 private:
  void CopyFloats(const WeightMatrix& whole, const MatrixPart& part, WeightMatrix& to);
  Status CopyIntegers(const WeightMatrix& whole, const MatrixPart& part, WeightMatrix& to);

  CpuTeam& team_;
};

}  // namespace dray::kernels
