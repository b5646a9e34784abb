#include "measured_models.h"

#include <algorithm>
#include <cstdlib>
#include <span>
#include <utility>

#include "engine/calibrate.h"
#include "model/weights/calibration.h"

namespace dray::bench {

namespace fs = std::filesystem;

ScratchFolder::ScratchFolder() {
  std::string pattern = fs::temp_directory_path() / "quality_bench_XXXXXX";
  if (::mkdtemp(pattern.data()) != nullptr) dir_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!dir_.empty()) fs::remove_all(dir_, ignored);
}

Result<std::vector<MeasuredModel>> MakeModels(const fs::path& model_dir,
                                              const std::vector<std::string>& kinds,
                                              const testing::Outliers& outliers,
                                              const fs::path& scratch) {
  std::vector<MeasuredModel> models = {{"as it is", model_dir, {}}};
  for (const std::string& kind : kinds) {
    testing::Outliers of_kind = outliers;
    DRAY_ASSIGN_OR_RETURN(of_kind.kind, testing::ParseOutlierKind(kind));
    DRAY_ASSIGN_OR_RETURN(auto model, testing::FloatModel::Read(model_dir));
    DRAY_RETURN_IF_ERROR(testing::AddOutliers(model, of_kind));
    if (scratch.empty()) return Status(StatusCode::kIo, "no folder for the models can be made");
    DRAY_RETURN_IF_ERROR(model.Write(scratch / kind));
    models.push_back({kind, scratch / kind, {}});
  }
  return models;
}

Status Calibrate(std::vector<MeasuredModel>& models, const std::vector<Story>& stories,
                 const fs::path& scratch) {
  for (MeasuredModel& model : models) {
    engine::LoadModelOptions load;
    load.model_dir = model.dir;
    DRAY_ASSIGN_OR_RETURN(const auto calibrator, engine::Calibrator::Load(std::move(load)));
    const auto most = static_cast<size_t>(calibrator->max_sequence_tokens());
    for (const Story& story : stories) {
      DRAY_RETURN_IF_ERROR(
          calibrator->Read(std::span(story.ids).first(std::min(story.ids.size(), most))));
    }
    model.calibration = scratch / (model.name + ".calibration.json");
    DRAY_RETURN_IF_ERROR(model::WriteCalibration(calibrator->calibration(), model.calibration));
  }
  return OkStatus();
}

}  // namespace dray::bench
