#include "engine/partition.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "artifact/artifact_writer.h"
#include "artifact/checksum.h"
#include "base/log.h"
#include "engine/partition_files.h"
#include "engine/runner/loaded_model.h"
#include "kernels/backend.h"
#include "model/weights/artifact_weights.h"

namespace dray::engine {
namespace {

// One rank on threads of this process, whose weights go to `writer` one by one.
LoadModelOptions OneRank(const LoadModelOptions& options,
                         const std::shared_ptr<kernels::Backend>& backend,
                         artifact::ArtifactWriter& writer) {
  LoadModelOptions one = options;
  one.tensor_parallel_degree = one.pipeline_parallel_degree = 1;
  one.ranks.transport = RankTransport::kThreads;
  one.max_memory_bytes = 0;
  one.backends = {backend};
  one.take = [&writer, backend](const model::WeightPlace& place, const model::Weight& weight) {
    return model::WriteWeight(writer, backend->memory(), place, weight);
  };
  return one;
}

model::ArtifactFacts FactsOf(const LoadedModel& model, const LoadModelOptions& options,
                             uint64_t source_checksum) {
  model::ArtifactFacts facts;
  facts.source_checksum = artifact::ChecksumText(source_checksum);
  facts.checkpoint_format = model.checkpoint_format;
  facts.checkpoint_bytes = model.checkpoint_bytes;
  facts.format = model.format;
  facts.table_format = model.table_format;
  facts.is_smoothed = options.smoothing.has_value();
  SetFactsOf(model.description.config, facts);
  return facts;
}

}  // namespace

Result<PartitionReport> Partition(const PartitionOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const std::filesystem::path& source = options.load.model_dir;
  if (artifact::IsArtifact(source)) {
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("{} is an artifact already; name the checkpoint that it was made from",
                    source.string()));
  }
  const ModelSources sources = {source, options.tokenizer, options.modules};
  DRAY_ASSIGN_OR_RETURN(const uint64_t source_checksum, SourceChecksum(sources));
  DRAY_ASSIGN_OR_RETURN(auto made, kernels::MakeBackend(options.load.backend_options));
  const std::shared_ptr<kernels::Backend> backend = std::move(made);
  DRAY_ASSIGN_OR_RETURN(auto writer, artifact::ArtifactWriter::Create(options.output));
  DRAY_ASSIGN_OR_RETURN(const auto model, LoadModel(OneRank(options.load, backend, writer)));
  DRAY_RETURN_IF_ERROR(AddModelFiles(sources, model->description, writer));
  if (!options.settings.empty()) {
    DRAY_RETURN_IF_ERROR(writer.AddChangeableFile("serving.properties", options.settings));
  }
  artifact::Manifest manifest;
  manifest.layout = std::string(backend->packer().layout());
  manifest.packed_on = std::string(backend->isa());
  manifest.model = model::FactsJson(FactsOf(*model, options.load, source_checksum));
  PartitionReport report = {.num_parameters = model->description.num_parameters(),
                            .format = model->format,
                            .table_format = model->table_format};
  DRAY_ASSIGN_OR_RETURN(report.file_bytes, writer.Finish(std::move(manifest)));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  report.seconds = elapsed.count();
  return report;
}

Status EnsureArtifact(const PartitionOptions& options) {
  if (!artifact::IsArtifact(options.output)) {
    LogInfo(fmt::format("writing an artifact of {} to {}", options.load.model_dir.string(),
                        options.output.string()));
    return Partition(options).status();
  }
  DRAY_ASSIGN_OR_RETURN(const artifact::Manifest manifest, artifact::ReadManifest(options.output));
  DRAY_ASSIGN_OR_RETURN(const auto facts,
                        model::ParseFacts(manifest.model, options.output.string()));
  DRAY_ASSIGN_OR_RETURN(
      const uint64_t source,
      SourceChecksum({options.load.model_dir, options.tokenizer, options.modules}));
  if (facts.source_checksum == artifact::ChecksumText(source)) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("{}: this artifact is not of the files that {} has now; remove it, or set "
                      "save_mp_checkpoint_path to another folder",
                      options.output.string(), options.load.model_dir.string())};
}

}  // namespace dray::engine
