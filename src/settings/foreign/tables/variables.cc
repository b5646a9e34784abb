// From DJLServing's, the SageMaker toolkits' and Text Generation Inference's documentation. Variables that
// stand for a key are in environment_names.cc.
#include "settings/foreign/foreign_setting.h"

namespace dray::settings {
namespace {

using Text = std::string_view;
using enum ForeignSetting::Otherwise;

constexpr Text kJava = "dray runs on no Java machine";
constexpr Text kPython = "dray runs no Python";
constexpr Text kNoNetwork = "dray loads local files only";
constexpr Text kNothingSent = "dray reports to nobody";
constexpr Text kCluster = "one process serves";
constexpr Text kTgiLimit = "it is a limit of Text Generation Inference's requests";
constexpr Text kSecure = "dray runs no code from models and loads local files only";

constexpr ForeignSetting kSettings[] = {
    // DJLServing.
    {"JAVA_OPTS", "", kIgnore, kJava},
    {"DEFAULT_JVM_OPTS", "", kIgnore, kJava},
    {"MODEL_SERVER_HOME", "", kIgnore,
     "its conf/config.properties is read if no --config-file is given"},
    {"DJL_CACHE_DIR", "", kIgnore, kNoNetwork},
    {"DJL_OFFLINE", "", kIgnore, kNoNetwork},
    {"OPT_OUT_TRACKING", "", kIgnore, kNothingSent},
    {"OMP_NUM_THREADS", "", kIgnore, "option.threads sets the threads that compute"},
    {"NO_OMP_NUM_THREADS", "", kIgnore, "option.threads sets the threads that compute"},
    {"MAX_NETTY_BUFFER_SIZE", "", kWarn, "answers have no such limit"},
    {"DJL_VENV_DIR", "", kIgnore, kPython},
    {"DJL_CLUSTER_SIZE", "1", kWarn, kCluster},
    {"DJL_LEADER_ADDR", "", kWarn, kCluster},
    {"DJL_WORKER_ADDR_FORMAT", "", kWarn, kCluster},
    {"ALLOW_REQUEST_HANDLER_OVERRIDE", "false", kWarn, kPython},
    {"LMCACHE_CONFIG_FILE", "", kWarn, kForeignBackend},
    {"MASTER_ADDR", "", kIgnore, "dray connects its ranks itself"},
    // Hugging Face.
    {"HF_TOKEN", "", kIgnore, kNoNetwork},
    {"HF_HOME", "", kIgnore, kNoNetwork},
    {"HF_HUB_OFFLINE", "", kIgnore, kNoNetwork},
    {"HF_HUB_ENABLE_HF_TRANSFER", "", kIgnore, kNoNetwork},
    {"HUGGINGFACE_HUB_CACHE", "", kIgnore, kNoNetwork},
    {"TRANSFORMERS_CACHE", "", kIgnore, kNoNetwork},
    // SageMaker.
    {"SAGEMAKER_MULTI_MODEL", "", kIgnore, "models may always be registered"},
    {"SAGEMAKER_MODEL_SERVER_VMARGS", "", kWarn, kJava},
    {"SAGEMAKER_SECURE_MODE", "", kWarn, kSecure},
    {"SAGEMAKER_SECURITY_CONTROLS", "", kWarn, kSecure},
    {"SAGEMAKER_UNTRUSTED_CHANNELS", "", kWarn, kSecure},
    {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json", kWarn,
     "option.output_formatter says how answers are written"},
    {"SAGEMAKER_PROGRAM", "", kWarn, kPython},
    {"SAGEMAKER_SUBMIT_DIRECTORY", "", kWarn, kPython},
    {"SAGEMAKER_BASE_DIR", "/opt/ml", kWarn, "set SERVING_MODEL_STORE"},
    {"SAGEMAKER_CONTAINER_LOG_LEVEL", "", kIgnore, "the log has one level"},
    {"SAGEMAKER_SAFE_PORT_RANGE", "", kIgnore, "dray opens the ports that its addresses name"},
    {"SAGEMAKER_REGION", "", kIgnore, kNoNetwork},
    {"PROCESS_AUTO_RECOVERY", "", kIgnore, kCluster},
    {"PROCESS_MAX_START_RETRIES", "", kIgnore, kCluster},
    {"SM_NEO_EXECUTION_CONTEXT", "", kRefuse, "dray compiles no models; run its server"},
    // Text Generation Inference, where its names are its own.
    {"MAX_INPUT_LENGTH", "", kWarn, "MAX_TOTAL_TOKENS bounds prompts and answers together"},
    {"MAX_INPUT_TOKENS", "", kWarn, "MAX_TOTAL_TOKENS bounds prompts and answers together"},
    {"MAX_BATCH_TOTAL_TOKENS", "", kWarn, kForeignMemory},
    {"MAX_WAITING_TOKENS", "", kWarn, "requests join a batch at every step"},
    {"WAITING_SERVED_RATIO", "", kWarn, "requests join a batch at every step"},
    {"MAX_BEST_OF", "", kWarn, kTgiLimit},
    {"MAX_STOP_SEQUENCES", "", kWarn, kTgiLimit},
    {"MAX_TOP_N_TOKENS", "", kWarn, kTgiLimit},
    {"MAX_CLIENT_BATCH_SIZE", "", kWarn, kTgiLimit},
    {"ENABLE_PREFILL_LOGPROBS", "", kWarn, "requests ask with decoder_input_details"},
    {"CUDA_GRAPHS", "", kWarn, kForeignBackend},
    {"ENABLE_CUDA_GRAPHS", "", kWarn, kForeignBackend},
    {"DISABLE_CUSTOM_KERNELS", "", kWarn, kForeignBackend},
    {"SHARDED", "false", kWarn, "set OPTION_TENSOR_PARALLEL_DEGREE"},
    {"VALIDATION_WORKERS", "", kWarn, "set SERVING_NUMBER_OF_NETTY_THREADS"},
    {"DISABLE_GRAMMAR_SUPPORT", "", kWarn, "answers are not held to a grammar"},
    {"LORA_ADAPTERS", "", kWarn, "adapters are not in this build"},
    {"ROPE_SCALING", "", kWarn, "the model's config.json says it"},
    {"ROPE_FACTOR", "", kWarn, "the model's config.json says it"},
    {"WATERMARK_GAMMA", "", kWarn, "answers have no watermark"},
    {"WATERMARK_DELTA", "", kWarn, "answers have no watermark"},
    {"USAGE_STATS", "", kIgnore, kNothingSent},
    {"PAYLOAD_LIMIT", "", kWarn, "set SERVING_MAX_REQUEST_SIZE"},
};

}  // namespace

std::span<const ForeignSetting> VariableSettings() { return kSettings; }

}  // namespace dray::settings
