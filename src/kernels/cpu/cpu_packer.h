// Packs weights into panels (pack/panel_layout.h) on all threads.
#pragma once

#include <cstdint>
#include <span>

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

 private:
  CpuTeam& team_;
};

}  // namespace dray::kernels
