// The serving.properties and the variables of published walk-throughs of the large model inference
// container, with a small model's folder in the place of the large one, start with the values that they
// ask for. Degrees of parallelism are left at one rank.
#include <gtest/gtest.h>

#include "base/parse/properties.h"
#include "settings/load_settings.h"

namespace dray::settings {
namespace {

using Texts = std::vector<std::string>;

struct Published {
  std::string properties;  // the text of serving.properties
  std::map<std::string, std::string> environment = {};
};

LoadedSettings Load(const Published& published) {
  SettingSources sources;
  sources.serving_properties = ParseProperties(published.properties).value();
  sources.environment = published.environment;
  auto loaded = LoadSettings(sources);
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  return loaded.ok() ? *loaded : LoadedSettings{};
}

// One line of properties; all else is in the environment of SageMaker's model.
TEST(PublishedSettingsTest, BloomOnDeepSpeed) {
  const LoadedSettings loaded = Load({"engine=DeepSpeed\n",
                                      {{"MODEL_S3_BUCKET", "bucket"},
                                       {"MODEL_S3_PREFIX", "bloom"},
                                       {"TENSOR_PARALLEL_DEGREE", "1"}}});
  EXPECT_EQ(loaded.warnings, Texts{});
  EXPECT_EQ(loaded.notes,
            Texts{"engine=DeepSpeed: dray's own engine serves with the same options"});
}

TEST(PublishedSettingsTest, GptJOnRubikon) {
  const LoadedSettings loaded = Load({"engine=Rubikon\n", {{"TENSOR_PARALLEL_DEGREE", "1"}}});
  EXPECT_EQ(loaded.warnings, Texts{});
  EXPECT_EQ(loaded.notes, Texts{"engine=Rubikon: dray's own engine serves with the same options"});
}

// The numbers of workers that the same walk-through sets for each kind of device.
TEST(PublishedSettingsTest, WorkersOfEachDevice) {
  const LoadedSettings loaded =
      Load({"engine=Rubikon\n"
            "gpu.minWorkers=2\ngpu.maxWorkers=3\n"
            "batch_size=2\nmax_batch_delay=1\nmax_idle_time=120\n",
            {{"SERVING_JOB_QUEUE_SIZE", "10"}}});
  EXPECT_EQ(loaded.settings.model.job_queue_size, 10);
}

TEST(PublishedSettingsTest, FlanT5OnFasterTransformer) {
  const LoadedSettings loaded =
      Load({"engine=FasterTransformer\n"
            "option.entryPoint=djl_python.fastertransformer\n"
            "option.tensor_parallel_degree=1\n"
            "option.model_id=/opt/ml/model\n"
            "option.dtype=fp32\n"});
  EXPECT_EQ(loaded.warnings, Texts{});
  EXPECT_EQ(loaded.settings.model.model_id, "/opt/ml/model");
  EXPECT_EQ(loaded.settings.model.dtype, kernels::WeightFormat::kF32);
  EXPECT_TRUE(loaded.settings.model.has_built_in_handler);
  EXPECT_TRUE(loaded.settings.model.faster_transformer_beams);
}

TEST(PublishedSettingsTest, OptOnNeuron) {
  const LoadedSettings loaded =
      Load({"engine=Python\n"
            "option.entryPoint=djl_python.transformers_neuronx\n"
            "option.task=text-generation\n"
            "option.model_id=/opt/ml/model\n"
            "option.tensor_parallel_degree=1\n"});
  EXPECT_EQ(loaded.warnings, Texts{});
  EXPECT_EQ(loaded.notes,
            Texts{"engine=Python, option.entryPoint=djl_python.transformers_neuronx: dray's own "
                  "engine serves with the same options"});
}

TEST(PublishedSettingsTest, OptOnNeuronInAContainer) {
  const LoadedSettings loaded =
      Load({"option.model_id=/opt/ml/model\n"
            "option.batch_size=2\n"
            "option.tensor_parallel_degree=1\n"
            "option.n_positions=256\n"
            "option.dtype=fp16\n"
            "option.model_loading_timeout=600\n"
            "engine=Python\n"
            "option.entryPoint=djl_python.transformers-neuronx\n"
            "#option.s3url=s3://djl-llm/opt-1.3b/\n",
            {{"MODEL_LOADING_TIMEOUT", "7200"}, {"PREDICT_TIMEOUT", "360"}}});
  EXPECT_EQ(loaded.settings.model.max_model_len, 256);
  EXPECT_EQ(loaded.settings.model.dtype, kernels::WeightFormat::kF16);
  EXPECT_EQ(loaded.settings.model.predict_timeout_s, 360);
  EXPECT_EQ(loaded.settings.model.model_loading_timeout_s, 600);
  EXPECT_EQ(loaded.warnings,
            (Texts{"serving.properties: option.batch_size is \"2\", which has no effect: requests "
                   "are batched as they come; set option.max_rolling_batch_size to bound them"}));
}

// The same with a spelling of the type that only the handlers for Neuron have.
TEST(PublishedSettingsTest, TypesAsNeuronSpellsThem) {
  EXPECT_EQ(Load({"option.dtype=f16\nengine=Python\n"}).settings.model.dtype,
            kernels::WeightFormat::kF16);
  EXPECT_EQ(Load({"option.dtype=f32\n"}).settings.model.dtype, kernels::WeightFormat::kF32);
}

// What the container's own guides begin with.
TEST(PublishedSettingsTest, TheGuidesOfTheContainer) {
  const LoadedSettings file =
      Load({"engine=Python\n"
            "option.tensor_parallel_degree=max\n"
            "option.model_id=/opt/ml/model\n"
            "option.rolling_batch=vllm\n"
            "option.max_rolling_batch_size=64\n"
            "option.trust_remote_code=false\n"
            "option.speculative_config={\"method\": \"ngram\", "
            "\"num_speculative_tokens\": 5}\n"});
  EXPECT_EQ(file.warnings, Texts{});
  EXPECT_EQ(file.settings.model.max_rolling_batch_size, 64);
  EXPECT_EQ(file.settings.model.speculation.num_tokens, 5);
  const LoadedSettings environment = Load({"",
                                           {{"HF_MODEL_ID", "/opt/ml/model"},
                                            {"TENSOR_PARALLEL_DEGREE", "max"},
                                            {"OPTION_ROLLING_BATCH", "vllm"},
                                            {"OPTION_MAX_ROLLING_BATCH_SIZE", "64"},
                                            {"OPTION_MAX_MODEL_LEN", "2048"},
                                            {"SERVING_FAIL_FAST", "false"}}});
  EXPECT_EQ(environment.warnings, Texts{});
  EXPECT_EQ(environment.settings.model.model_id, "/opt/ml/model");
  EXPECT_EQ(environment.settings.model.max_model_len, 2048);
}

}  // namespace
}  // namespace dray::settings
