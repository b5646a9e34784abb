#include "settings/foreign/environment_names.h"

namespace dray::settings {
namespace {

using enum EnvironmentVariable::Strength;

constexpr EnvironmentVariable kVariables[] = {
    // Text Generation Inference, as the LMI container translates them and beyond.
    {"HF_MODEL_REVISION", "option.revision", kWeak},
    {"HF_MODEL_TRUST_REMOTE_CODE", "option.trust_remote_code", kWeak},
    {"SM_NUM_GPUS", "option.tensor_parallel_degree", kWeak},
    {"CUDA_MEMORY_FRACTION", "option.gpu_memory_utilization", kWeak},
    {"MAX_TOTAL_TOKENS", "option.max_model_len", kWeak},
    // SageMaker's toolkits.
    {"SAGEMAKER_MODEL_PATH", "model_store", kWeak},
    {"SAGEMAKER_MODEL_SERVER_WORKERS", "minWorkers", kWeak},
    {"SAGEMAKER_MODEL_SERVER_WORKERS", "maxWorkers", kWeak},
    // DJLServing, which reads them if the option is absent.
    {"TENSOR_PARALLEL_DEGREE", "option.tensor_parallel_degree", kWeak},
    {"PIPELINE_PARALLEL_DEGREE", "option.pipeline_parallel_degree", kWeak},
    {"MODEL_LOADING_TIMEOUT", "option.model_loading_timeout", kWeak},
    {"PYTHON_EXECUTABLE", "option.pythonExecutable", kWeak},
    {"MODEL_STORE", "model_store", kWeak},
    {"DJL_ENTRY_POINT", "option.entryPoint", kWeak},
    {"HF_REVISION", "option.revision", kWeak},
    {"HF_TASK", "option.task", kWeak},
    {"HF_TRUST_REMOTE_CODE", "option.trust_remote_code", kWeak},
    // What DJLServing sets after it has read serving.properties.
    {"SAGEMAKER_NUM_MODEL_WORKERS", "minWorkers", kStrong},
    {"SAGEMAKER_NUM_MODEL_WORKERS", "maxWorkers", kStrong},
    {"SAGEMAKER_STARTUP_TIMEOUT", "option.model_loading_timeout", kStrong},
    {"SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS", "option.predict_timeout", kStrong},
    {"SAGEMAKER_MAX_PAYLOAD_IN_MB", "max_request_size", kStrong, "M"},
    {"SAGEMAKER_MAX_REQUEST_SIZE", "max_request_size", kStrong},
};

}  // namespace

std::span<const EnvironmentVariable> EnvironmentVariables() { return kVariables; }

}  // namespace dray::settings
