// The models that quality_bench compares: one that is given, and others with outlier channels that are
// made of it (tests/outliers/outliers.h).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "held_out_bits.h"
#include "outliers/outliers.h"

namespace dray::bench {

// A column of the table.
struct MeasuredModel {
  std::string name;
  std::filesystem::path dir;
  std::filesystem::path calibration;  // of `dray calibrate`; empty: there is none
  double reference = 0;               // bits per byte of the first row
};

// A folder that is removed with the object.
class ScratchFolder {
 public:
  ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();
  // Empty if the folder could not be made.
  const std::filesystem::path& dir() const { return dir_; }

 private:
  std::filesystem::path dir_;
};

// The model itself, and one with each kind of outliers, which are written to `scratch`.
Result<std::vector<MeasuredModel>> MakeModels(const std::filesystem::path& model_dir,
                                              const std::vector<std::string>& kinds,
                                              const testing::Outliers& outliers,
                                              const std::filesystem::path& scratch);

// Lets each model read the stories, and writes a calibration of each to `scratch`. A story that is
// longer than a calibration takes is cut.
Status Calibrate(std::vector<MeasuredModel>& models, const std::vector<Story>& stories,
                 const std::filesystem::path& scratch);

}  // namespace dray::bench
