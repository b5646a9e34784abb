// The range of a model's activations, measured on some text (`dray calibrate`), and the JSON file
// that stores it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/config/model_config.h"
#include "model/families/family_spec.h"

namespace dray::model {

// The linear layers whose inputs are measured.
inline constexpr std::array<Slot, 4> kCalibratedSlots = {Slot::kQkv, Slot::kAttentionOut,
                                                         Slot::kFfnIn, Slot::kFfnOut};

// Input channels of one of kCalibratedSlots.
int64_t InputWidth(Slot slot, const StackConfig& stack);

class Calibration {
 public:
  // Of no tokens yet: all peaks are zero.
  explicit Calibration(const ModelConfig& config);

  int64_t num_layers() const { return static_cast<int64_t>(layers_.size()); }
  // The largest magnitude of each input channel of one of kCalibratedSlots: [InputWidth].
  std::span<const float> Peaks(Slot slot, int64_t layer) const;
  std::span<float> Peaks(Slot slot, int64_t layer);

  std::string family;
  int64_t num_tokens = 0;

 private:
  using Layer = std::array<std::vector<float>, kCalibratedSlots.size()>;
  std::vector<Layer> layers_;
};

Status WriteCalibration(const Calibration& calibration, const std::filesystem::path& path);
// Fails if the file cannot be read, is not a calibration, or belongs to a model of another family
// or size than `config`. The error names the file.
Result<Calibration> ReadCalibration(const std::filesystem::path& path, const ModelConfig& config);

}  // namespace dray::model
