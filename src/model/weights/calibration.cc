#include "model/weights/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/parse/json.h"
#include "model/config/config_reader.h"
#include "model/weights/weights.h"

namespace dray::model {
namespace {

constexpr std::string_view kKind = "dray calibration";
constexpr int64_t kVersion = 1;
// Ten digits for each channel of a model larger than any.
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

size_t IndexOf(Slot slot) {
  const auto* const found = std::find(kCalibratedSlots.begin(), kCalibratedSlots.end(), slot);
  DRAY_CHECK(found != kCalibratedSlots.end());
  return static_cast<size_t>(found - kCalibratedSlots.begin());
}

Status ReadPeaks(ConfigReader& layer, std::string_view key, std::span<float> peaks) {
  const Json* value = layer.Find(key);
  const Json::Array* numbers = value == nullptr ? nullptr : value->AsArray();
  if (numbers == nullptr || numbers->size() != peaks.size()) {
    return {StatusCode::kInvalidArgument,
            fmt::format("{}: {} has {} channels, but the model's has {}", layer.where(), key,
                        numbers == nullptr ? 0 : numbers->size(), peaks.size())};
  }
  for (size_t i = 0; i < peaks.size(); ++i) {
    const double peak = (*numbers)[i].AsDouble().value_or(-1.0);
    peaks[i] = static_cast<float>(peak);
    if (peak >= 0.0 && std::isfinite(peaks[i])) continue;
    return {StatusCode::kInvalidArgument,
            fmt::format("{}: {}[{}] is {}; it must be a number from 0 up", layer.where(), key, i,
                        (*numbers)[i].Dump())};
  }
  return OkStatus();
}

Status CheckModel(ConfigReader& file, const ModelConfig& config, const Json::Array* layers) {
  DRAY_ASSIGN_OR_RETURN(const std::string kind, file.String("kind", ""));
  DRAY_ASSIGN_OR_RETURN(const int64_t version, file.Int("version", 0, INT32_MAX, 0));
  if (kind != kKind || version != kVersion || layers == nullptr) {
    return {StatusCode::kInvalidArgument,
            fmt::format("{} is no calibration file of this version; make one with dray calibrate",
                        file.where())};
  }
  DRAY_ASSIGN_OR_RETURN(const std::string family, file.String("family", ""));
  const auto num_layers = static_cast<int64_t>(layers->size());
  if (family == config.family && num_layers == config.stack.num_layers) return OkStatus();
  return {
      StatusCode::kInvalidArgument,
      fmt::format("{} is of a {} model with {} layers, but this is a {} model with {}; make one "
                  "of this model with dray calibrate",
                  file.where(), family, num_layers, config.family, config.stack.num_layers)};
}

}  // namespace

int64_t InputWidth(Slot slot, const StackConfig& stack) {
  if (slot == Slot::kAttentionOut) return stack.query_width();
  return slot == Slot::kFfnOut ? stack.ffn : stack.hidden;
}

Calibration::Calibration(const ModelConfig& config)
    : family(config.family), layers_(static_cast<size_t>(config.stack.num_layers)) {
  for (Layer& layer : layers_) {
    for (const Slot slot : kCalibratedSlots) {
      layer[IndexOf(slot)].resize(static_cast<size_t>(InputWidth(slot, config.stack)));
    }
  }
}

std::span<const float> Calibration::Peaks(Slot slot, int64_t layer) const {
  return layers_[static_cast<size_t>(layer)][IndexOf(slot)];
}

std::span<float> Calibration::Peaks(Slot slot, int64_t layer) {
  return layers_[static_cast<size_t>(layer)][IndexOf(slot)];
}

Status WriteCalibration(const Calibration& calibration, const std::filesystem::path& path) {
  Json layers = Json::MakeArray();
  for (int64_t layer = 0; layer < calibration.num_layers(); ++layer) {
    Json members = Json::MakeObject();
    for (const Slot slot : kCalibratedSlots) {
      Json::Array peaks;
      for (const float peak : calibration.Peaks(slot, layer)) peaks.emplace_back(peak);
      members.Set(Name(slot), std::move(peaks));
    }
    layers.Append(std::move(members));
  }
  const Json file = Json::MakeObject({{"kind", kKind},
                                      {"version", kVersion},
                                      {"family", calibration.family},
                                      {"tokens", calibration.num_tokens},
                                      {"layers", std::move(layers)}});
  std::ofstream out(path, std::ios::binary);
  out << file.Dump() << "\n";
  out.close();
  if (out) return OkStatus();
  return {StatusCode::kIo, fmt::format("cannot write {}: {}", path.string(), std::strerror(errno))};
}

Result<Calibration> ReadCalibration(const std::filesystem::path& path, const ModelConfig& config) {
  const auto text = ReadFile(path, kMaxFileBytes);
  if (!text.ok()) {
    return Status(text.status().code(), fmt::format("{}; a calibration is made with dray calibrate",
                                                    text.status().message()));
  }
  auto json = Json::Parse(*text);
  if (!json.ok()) return json.status().WithPrefix(path.string());
  if (!json->is_object()) *json = Json::MakeObject();
  ConfigReader file(path.string(), *json);
  const Json* const layers = file.Find("layers");
  DRAY_RETURN_IF_ERROR(CheckModel(file, config, layers == nullptr ? nullptr : layers->AsArray()));
  Calibration calibration(config);
  DRAY_ASSIGN_OR_RETURN(calibration.num_tokens, file.Int("tokens", 0, INT64_MAX, 0));
  for (int64_t i = 0; i < config.stack.num_layers; ++i) {
    const Json& layer = (*layers->AsArray())[static_cast<size_t>(i)];
    const Json empty = Json::MakeObject();
    ConfigReader reader(fmt::format("{}: layer {}", path.string(), i),
                        layer.is_object() ? layer : empty);
    for (const Slot slot : kCalibratedSlots) {
      DRAY_RETURN_IF_ERROR(ReadPeaks(reader, Name(slot), calibration.Peaks(slot, i)));
    }
  }
  return calibration;
}

}  // namespace dray::model
