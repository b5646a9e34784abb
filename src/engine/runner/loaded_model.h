// A model's weights in memory, its description, and the backends that compute it. A ModelRunner
// (model_runner.h) computes steps with these.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "artifact/mapped_artifact.h"
#include "artifact/placement/background_copy.h"
#include "artifact/placement/unit_stream.h"
#include "base/status.h"
#include "engine/engine_options.h"
#include "kernels/backend.h"
#include "model/config/stack_config.h"
#include "model/describe/model_description.h"
#include "model/forward/kv_cache.h"
#include "model/weights/weights.h"
#include "parallel/shard.h"

namespace dray::engine {

class RankLauncher;

// What a rank in another process has told of itself.
struct RemoteRank {
  size_t weight_bytes = 0;
  std::string backend;  // Backend::Describe
};

// What one rank has of the encoder of an encoder-decoder.
struct RankEncoder {
  model::StackConfig stack;
  model::Weights weights;
};

// What one rank has of a model (docs/ranks.md). A model that is not divided has one rank with all
// of it.
struct RankModel {
  // A model and its draft model compute in turn and share the backends of their ranks.
  std::shared_ptr<kernels::Backend> backend;
  parallel::Rank rank;  // in its stage
  parallel::Stage stage;
  model::StackConfig stack;  // the rank's part of the model's stack
  model::Weights weights;    // none if the rank is another process
  // The artifact whose memory the weights share; null if they have memory of their own.
  std::shared_ptr<const artifact::MappedArtifact> artifact = nullptr;
  // Has the weights of its layers in memory while they are computed; LoadedModel::streams has it. Null: they
  // always are.
  artifact::UnitStream* stream = nullptr;
  std::optional<RemoteRank> remote = std::nullopt;
  std::optional<RankEncoder> encoder = std::nullopt;

  size_t weight_bytes() const {
    if (remote) return remote->weight_bytes;
    return weights.size_bytes() + (encoder ? encoder->weights.size_bytes() : 0);
  }
};

struct LoadedModel {
  model::ModelDescription description;
  // Stage by stage, each with as many ranks as the others; at least one. If the ranks are other
  // processes, the backends are for the front's own work.
  std::vector<RankModel> ranks;
  // Starts the processes of the ranks. Null: the ranks are threads of this process. Further groups of such
  // ranks have launchers of their own (MakeRunnerBy).
  std::shared_ptr<RankLauncher> launcher;
  int64_t num_stages = 1;
  // [stage], if the weights do not fit into memory.
  std::vector<std::unique_ptr<artifact::UnitStream>> streams;
  std::optional<OffloadFacts> offload;
  // Copies the mapped weights; null if they stay mapped.
  std::unique_ptr<artifact::BackgroundCopy> copy;
  // How the weights of the layers, and of the tables around them, are stored.
  kernels::WeightForm format;
  kernels::WeightForm table_format;
  // For reports.
  std::string checkpoint_format;
  uint64_t checkpoint_bytes = 0;
  double load_seconds = 0;

  int64_t num_ranks() const { return static_cast<int64_t>(ranks.size()); }
  Backends backends() const;
  int64_t ranks_in_stage() const { return num_ranks() / num_stages; }
  // The weights of all ranks. What each rank has in full counts for each of them.
  size_t weight_bytes() const;
  // The memory that they take: less if parts of them stay on the disk.
  int64_t memory_bytes() const {
    return offload ? offload->memory_bytes : static_cast<int64_t>(weight_bytes());
  }
  // Bytes of weights that the system counts as free, since it could read them again: those of a mapped file.
  int64_t mapped_bytes() const;
  // A cache block of all layers, at all ranks together.
  int64_t BlockBytes(const model::KvCacheSpec& spec) const;
  // What computes: the first rank's backend, and how many ranks and stages there are if they are
  // several.
  std::string DescribeBackends() const;
};

// Reads config.json and the weight files of the directory, or a GGUF model, or maps an artifact. Each rank
// reads its part straight from the files, all ranks at the same time. kInvalidArgument, naming the degrees that
// would do, if there are more ranks than the model has query heads or than the machine has room for.
//
// With another transport than threads, the ranks are processes that load their parts; the model has no
// weights here. With options.only_rank, the model has that rank alone.
Result<std::unique_ptr<LoadedModel>> LoadModel(const LoadModelOptions& options);

}  // namespace dray::engine
