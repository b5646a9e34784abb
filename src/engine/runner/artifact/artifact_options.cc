#include "engine/runner/artifact/artifact_options.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>

namespace dray::engine {
namespace {

Status CheckForm(const std::optional<kernels::WeightForm>& wanted, const kernels::WeightForm& has,
                 std::string_view what, const std::filesystem::path& folder) {
  if (!wanted || *wanted == has) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("{}: the artifact holds {} as {}, but dtype and quantize ask for {}: leave "
                      "them out, or write another artifact with dray partition",
                      folder.string(), what, Name(has), Name(*wanted))};
}

}  // namespace

Status CheckArtifactOptions(const LoadModelOptions& options, const model::ArtifactFacts& facts,
                            const std::filesystem::path& folder) {
  if (options.smoothing && !facts.is_smoothed) {
    return {StatusCode::kInvalidArgument,
            fmt::format("{}: quantize is smoothquant, but the artifact was written without it: "
                        "leave quantize out, or write another artifact with dray partition",
                        folder.string())};
  }
  // `format` is that of the floats beside a checkpoint's own integers then.
  if (!options.quantized_by.empty()) {
    return CheckForm(options.format, facts.table_format, "tables", folder);
  }
  DRAY_RETURN_IF_ERROR(CheckForm(options.format, facts.format, "layers", folder));
  return CheckForm(options.table_format, facts.table_format, "tables", folder);
}

}  // namespace dray::engine
