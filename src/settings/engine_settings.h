// What a model's settings ask of the loader and of the engine.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "engine/encoder/encoder_engine.h"
#include "engine/engine_options.h"
#include "settings/settings.h"

namespace dray::settings {

// For the model in `model` (a folder or a .gguf file), where a calibration file may lie that the
// settings name by a relative path. kInvalidArgument names settings that contradict each other.
Result<engine::LoadModelOptions> MakeLoadModelOptions(const ModelSettings& settings,
                                                      const std::filesystem::path& model);
Result<engine::EngineOptions> MakeEngineOptions(const ModelSettings& settings);
// Of an encoder.
engine::EncoderOptions MakeEncoderOptions(const ModelSettings& settings);

}  // namespace dray::settings
