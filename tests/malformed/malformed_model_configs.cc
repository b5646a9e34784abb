// Faults in config.json and generation_config.json: every field that a family reads with values
// that it cannot have, and fields that contradict each other or ask for what dray cannot compute.

#include "malformed/malformed_model.h"

namespace dray::testing {
namespace {

// The kind of a field's value, which decides what values are wrong.
enum class Kind { kSize, kMaybeSize, kEps, kFlag, kActivation, kTokenId, kFalse };

struct Field {
  const char* model;
  const char* key;
  Kind kind;
};

constexpr Field kFields[] = {
    {"gpt2", "vocab_size", Kind::kSize},
    {"gpt2", "n_embd", Kind::kSize},
    {"gpt2", "n_layer", Kind::kSize},
    {"gpt2", "n_head", Kind::kSize},
    {"gpt2", "n_positions", Kind::kSize},
    {"gpt2", "n_inner", Kind::kMaybeSize},
    {"gpt2", "layer_norm_epsilon", Kind::kEps},
    {"gpt2", "activation_function", Kind::kActivation},
    {"gpt2", "scale_attn_weights", Kind::kFlag},
    {"gpt2", "scale_attn_by_inverse_layer_idx", Kind::kFlag},
    {"gpt2", "reorder_and_upcast_attn", Kind::kFlag},
    {"gpt2", "tie_word_embeddings", Kind::kFlag},
    {"gpt2", "eos_token_id", Kind::kTokenId},
    {"gpt2", "bos_token_id", Kind::kTokenId},
    {"gpt2", "add_cross_attention", Kind::kFalse},
    {"gpt2", "is_encoder_decoder", Kind::kFalse},
    {"opt", "vocab_size", Kind::kSize},
    {"opt", "hidden_size", Kind::kSize},
    {"opt", "num_hidden_layers", Kind::kSize},
    {"opt", "num_attention_heads", Kind::kSize},
    {"opt", "max_position_embeddings", Kind::kSize},
    {"opt", "ffn_dim", Kind::kSize},
    {"opt", "word_embed_proj_dim", Kind::kSize},
    {"opt", "do_layer_norm_before", Kind::kFlag},
    {"opt", "enable_bias", Kind::kFlag},
    {"opt", "layer_norm_elementwise_affine", Kind::kFlag},
    {"opt", "_remove_final_layer_norm", Kind::kFlag},
    {"opt", "activation_function", Kind::kActivation},
    {"opt", "eos_token_id", Kind::kTokenId},
    {"bloom", "vocab_size", Kind::kSize},
    {"bloom", "hidden_size", Kind::kSize},
    {"bloom", "n_layer", Kind::kSize},
    {"bloom", "n_head", Kind::kSize},
    {"bloom", "seq_length", Kind::kSize},
    {"bloom", "layer_norm_epsilon", Kind::kEps},
    {"bloom", "apply_residual_connection_post_layernorm", Kind::kFlag},
    {"gpt_neo", "vocab_size", Kind::kSize},
    {"gpt_neo", "hidden_size", Kind::kSize},
    {"gpt_neo", "num_layers", Kind::kSize},
    {"gpt_neo", "num_heads", Kind::kSize},
    {"gpt_neo", "max_position_embeddings", Kind::kSize},
    {"gpt_neo", "intermediate_size", Kind::kMaybeSize},
    {"gpt_neo", "window_size", Kind::kSize},
    {"gpt_neo", "activation_function", Kind::kActivation},
    {"gptj", "vocab_size", Kind::kSize},
    {"gptj", "n_embd", Kind::kSize},
    {"gptj", "n_layer", Kind::kSize},
    {"gptj", "n_head", Kind::kSize},
    {"gptj", "n_positions", Kind::kSize},
    {"gptj", "rotary_dim", Kind::kMaybeSize},
    {"gptj", "activation_function", Kind::kActivation},
    {"gpt_neox", "vocab_size", Kind::kSize},
    {"gpt_neox", "hidden_size", Kind::kSize},
    {"gpt_neox", "num_hidden_layers", Kind::kSize},
    {"gpt_neox", "num_attention_heads", Kind::kSize},
    {"gpt_neox", "intermediate_size", Kind::kSize},
    {"gpt_neox", "max_position_embeddings", Kind::kSize},
    {"gpt_neox", "layer_norm_eps", Kind::kEps},
    {"gpt_neox", "hidden_act", Kind::kActivation},
    {"gpt_neox", "use_parallel_residual", Kind::kFlag},
    {"gpt_neox", "attention_bias", Kind::kFlag},
    {"llama", "vocab_size", Kind::kSize},
    {"llama", "hidden_size", Kind::kSize},
    {"llama", "num_hidden_layers", Kind::kSize},
    {"llama", "num_attention_heads", Kind::kSize},
    {"llama", "num_key_value_heads", Kind::kSize},
    {"llama", "head_dim", Kind::kSize},
    {"llama", "intermediate_size", Kind::kSize},
    {"llama", "max_position_embeddings", Kind::kSize},
    {"llama", "rms_norm_eps", Kind::kEps},
    {"llama", "hidden_act", Kind::kActivation},
    {"llama", "attention_bias", Kind::kFlag},
    {"llama", "mlp_bias", Kind::kFlag},
    {"llama", "tie_word_embeddings", Kind::kFlag},
    {"llama", "eos_token_id", Kind::kTokenId},
    {"mistral", "sliding_window", Kind::kMaybeSize},
    {"mistral", "num_key_value_heads", Kind::kSize},
    {"qwen2", "num_key_value_heads", Kind::kSize},
    {"qwen2", "use_sliding_window", Kind::kFlag},
    {"qwen3", "head_dim", Kind::kSize},
    {"qwen3", "attention_bias", Kind::kFlag},
};

// JSON texts; 1e400 is too large for a double.
std::vector<const char*> WrongValues(Kind kind) {
  switch (kind) {
    case Kind::kSize:
      return {"0", "-1", "9000000000000000000", "1e400", "\"12\"", "1.5", "true", "[3]", "{}"};
    case Kind::kMaybeSize:
      return {"0", "-1", "1e19", "\"12\"", "{}"};
    case Kind::kEps:
      return {"-1e-5", "1e300", "1e400", "\"1e-5\"", "[]"};
    case Kind::kFlag:
      return {"1", "\"true\"", "[]"};
    case Kind::kActivation:
      return {"\"tanhshrink\"", "\"\"", "1", "[\"gelu\"]"};
    case Kind::kTokenId:
      return {"\"</s>\"", "1.5", "3000000000", "[1, \"x\"]", "{}"};
    case Kind::kFalse:
      return {"true", "1"};
  }
  return {};
}

void AddFields(std::vector<MalformedModel>& cases) {
  for (const Field& field : kFields) {
    int idx = 0;
    for (const char* value : WrongValues(field.kind)) {
      cases.push_back({.name = std::string("config_") + field.model + "_" + field.key + "_" +
                               std::to_string(idx++),
                       .model = field.model,
                       .damage =
                           [field, value](const ModelFolder& folder) {
                             folder.SetJson("config.json", field.key, value);
                           },
                       .file = "config.json",
                       .expected = {field.key}});
    }
  }
}

// Sizes that do not fit the weights: the family's default, or a size near the true one. The message
// names the weight file and its tensor.
struct Misfit {
  const char* model;
  const char* key;
  const char* value;  // null: the key is removed
  const char* file;
  const char* expected;
};

constexpr Misfit kMisfits[] = {
    {"gpt2", "vocab_size", nullptr, "model.safetensors", "wte.weight"},
    {"gpt2", "vocab_size", "258", "model.safetensors", "wte.weight has shape [257, 36]"},
    {"gpt2", "vocab_size", "2000000", "model.safetensors", "wte.weight"},
    {"gpt2", "n_embd", nullptr, "model.safetensors", "wte.weight"},
    {"gpt2", "n_embd", "72", "model.safetensors", "wte.weight"},
    {"gpt2", "n_layer", nullptr, "model.safetensors", "h.2.ln_1.weight"},
    {"gpt2", "n_layer", "4096", "model.safetensors", "h.2.ln_1.weight"},
    {"gpt2", "n_positions", nullptr, "model.safetensors", "wpe.weight"},
    {"gpt2", "n_positions", "134217728", "model.safetensors", "wpe.weight"},
    {"gpt2", "n_inner", "4194304", "model.safetensors", "mlp.c_fc.weight"},
    {"gpt2", "tie_word_embeddings", "false", "model.safetensors", "lm_head.weight"},
    {"bloom", "vocab_size", nullptr, "model.safetensors", "word_embeddings.weight"},
    {"bloom", "hidden_size", nullptr, "model.safetensors", "word_embeddings.weight"},
    {"bloom", "n_layer", "3", "model.safetensors", "h.2."},
    {"opt", "vocab_size", "262", "pytorch_model-00001-of-00003.bin", "embed_tokens"},
    {"opt", "max_position_embeddings", nullptr, "pytorch_model-00001-of-00003.bin",
     "embed_positions"},
    {"opt", "word_embed_proj_dim", "20", "pytorch_model-00001-of-00003.bin", "embed_tokens"},
    {"opt", "num_hidden_layers", "4", "pytorch_model-00001-of-00003.bin", "layers.3."},
    {"opt-350m", "word_embed_proj_dim", nullptr, "pytorch_model.bin", "embed_tokens"},
    {"opt-350m", "do_layer_norm_before", nullptr, "pytorch_model.bin", "final_layer_norm"},
    {"opt-no-bias", "enable_bias", nullptr, "", "bias"},
    {"gptj", "vocab_size", nullptr, "pytorch_model-00001-of-00003.bin", "wte.weight"},
    {"gptj", "n_inner", "30", "", "mlp.fc_in.weight"},
    {"gpt_neox", "vocab_size", nullptr, "model-00001-of-00003.safetensors", "embed_in.weight"},
    {"gpt_neox", "intermediate_size", nullptr, "", "mlp.dense_h_to_4h"},
    {"gpt_neox", "hidden_size", "36", "model-00001-of-00003.safetensors", "embed_in.weight"},
    {"llama", "vocab_size", nullptr, "pytorch_model.bin", "embed_tokens.weight"},
    {"llama", "hidden_size", "50", "pytorch_model.bin", "embed_tokens.weight"},
    {"llama", "intermediate_size", nullptr, "pytorch_model.bin", "mlp.gate_proj.weight"},
    {"llama", "num_key_value_heads", "1", "pytorch_model.bin", "k_proj.weight"},
    {"llama", "head_dim", "10", "pytorch_model.bin", "q_proj.weight"},
    {"llama", "attention_bias", "true", "pytorch_model.bin", "q_proj.bias"},
    {"llama", "mlp_bias", "true", "pytorch_model.bin", "gate_proj.bias"},
    {"qwen2", "model_type", "\"qwen3\"", "", "q_proj.weight"},
    {"qwen3", "model_type", "\"qwen2\"", "", "q_proj.bias"},
    {"gpt2", "model_type", "\"llama\"", "model.safetensors", "embed_tokens.weight"},
    {"llama", "model_type", "\"gpt_neox\"", "pytorch_model.bin", "embed_in.weight"},
};

// Fields of config.json that contradict each other, or that ask for what dray cannot compute.
struct Refused {
  const char* model;
  const char* key;
  const char* value;  // null: the key is removed
  const char* expected;
};

constexpr Refused kRefused[] = {
    {"gpt2", "model_type", nullptr, "model_type is missing"},
    {"gpt2", "model_type", "null", "model_type"},
    {"gpt2", "model_type", "\"\"", "model_type"},
    {"gpt2", "model_type", "\"GPT2\"", "model_type is \"GPT2\": dray serves"},
    {"gpt2", "model_type", "\"longt5\"", "model_type is \"longt5\": dray serves"},
    {"gpt2", "model_type", "\"mamba\"", "model_type is \"mamba\""},
    {"gpt2", "model_type", "7", "model_type is 7"},
    {"gpt2", "model_type", "[\"gpt2\"]", "model_type"},
    {"gpt2", "architectures", "[\"GPT2ForSequenceClassification\"]", "architectures"},
    {"gpt2", "architectures", "\"GPT2LMHeadModel\"", "architectures"},
    {"gpt2", "architectures", "[1]", "architectures"},
    {"gpt2", "n_head", "5", "n_head is 5"},
    {"gpt2", "hidden_size", "37", "hidden_size is 37: n_embd"},
    {"gpt2", "num_hidden_layers", "3", "num_hidden_layers is 3: n_layer"},
    {"gpt2", "num_attention_heads", "4", "num_attention_heads is 4: n_head"},
    {"gpt2", "max_position_embeddings", "64", "max_position_embeddings is 64: n_positions"},
    {"gpt2", "pruned_heads", "{\"0\": [1]}", "pruned_heads"},
    {"gpt2", "quantization_config", "{\"quant_method\": \"fp8\", \"bits\": 4}",
     "quantization_config"},
    {"llama", "quantization_config", "{\"quant_method\": \"awq\"}", "quantization_config"},
    {"llama", "quantization_config", "[]", "quantization_config"},
    {"llama", "compression_config", "{}", "compression_config"},
    {"llama", "quantization", "\"fp8\"", "quantization"},
    {"llama", "num_local_experts", "8", "num_local_experts"},
    {"llama", "num_experts", "8", "num_experts"},
    {"llama", "n_routed_experts", "2", "n_routed_experts"},
    {"llama", "attn_logit_softcapping", "50.0", "attn_logit_softcapping"},
    {"llama", "final_logit_softcapping", "30.0", "final_logit_softcapping"},
    {"llama", "text_config", "{}", "text_config"},
    {"llama", "vision_config", "{}", "vision_config"},
    {"llama", "num_key_value_heads", "2", "num_key_value_heads is 2"},
    {"llama", "num_key_value_heads", "10", "num_key_value_heads is 10"},
    {"llama", "head_dim", "11", "a whole head must be even"},
    {"llama", "head_dim", "5000", "head_dim"},
    {"llama", "partial_rotary_factor", "0.5", "partial_rotary_factor"},
    {"llama", "rope_parameters", "\"linear\"", "rope_parameters"},
    {"llama", "rope_parameters", "[1]", "rope_parameters"},
    {"llama", "rope_parameters/rope_theta", "0", "rope_theta"},
    {"llama", "rope_parameters/rope_theta", "-10000", "rope_theta"},
    {"llama", "rope_parameters/rope_theta", "1", "rope_theta"},
    {"llama", "rope_parameters/rope_theta", "1e300", "rope_theta"},
    {"llama", "rope_parameters/rope_theta", "1e400", "rope_theta"},
    {"llama", "rope_parameters/rope_theta", "\"10000\"", "rope_theta"},
    {"llama", "rope_parameters/rope_type", "\"longrope\"", "rope_parameters: rope_type"},
    {"llama", "rope_parameters/rope_type", "\"mrope\"", "rope_parameters: rope_type"},
    {"llama", "rope_parameters/rope_type", "3", "rope_type"},
    {"llama", "rope_parameters/rope_type", "\"linear\"", "factor is missing"},
    {"llama", "rope_parameters/rope_type", "\"yarn\"", "factor is missing"},
    {"llama", "rope_parameters/rope_type", "\"llama3\"", "factor is missing"},
    {"llama", "rope_parameters/mrope_section", "[4, 2]", "mrope_section"},
    {"llama", "rope_parameters/full_attention", "{}", "full_attention"},
    {"llama", "rope_scaling", "3", "rope_scaling"},
    {"llama", "rope_scaling", "{\"type\": \"su\"}", "rope_scaling: type is \"su\""},
    {"llama", "rope_scaling", "{\"type\": \"linear\", \"factor\": 0}", "factor"},
    {"llama", "rope_scaling", "{\"type\": \"linear\", \"factor\": -2}", "factor"},
    {"llama", "rope_scaling", "{\"type\": \"linear\", \"factor\": \"2\"}", "factor"},
    {"llama", "rope_scaling", "{\"type\": \"linear\", \"factor\": 1e400}", "factor"},
    {"llama", "rope_scaling", "{\"type\": \"dynamic\", \"factor\": 0.5}", "factor"},
    {"llama-rope-llama3", "rope_parameters/low_freq_factor", nullptr, "low_freq_factor"},
    {"llama-rope-llama3", "rope_parameters/low_freq_factor", "1e9", "low_freq_factor"},
    {"llama-rope-llama3", "rope_parameters/high_freq_factor", "0", "high_freq_factor"},
    {"llama-rope-llama3", "rope_parameters/original_max_position_embeddings", "0",
     "original_max_position_embeddings"},
    {"llama-rope-yarn", "rope_parameters/factor", "0", "factor"},
    {"llama-rope-yarn", "rope_parameters/beta_fast", "0.001", "beta_fast"},
    {"llama-rope-yarn", "rope_parameters/beta_slow", "-1", "beta_slow"},
    {"llama-rope-yarn", "rope_parameters/truncate", "1", "truncate"},
    {"llama-rope-yarn", "rope_parameters/attention_factor", "-1", "attention_factor"},
    {"gpt_neox", "rope_parameters/partial_rotary_factor", "0", "partial_rotary_factor"},
    {"gpt_neox", "rope_parameters/partial_rotary_factor", "1.5", "partial_rotary_factor"},
    {"gpt_neox", "rope_parameters/partial_rotary_factor", "\"all\"", "partial_rotary_factor"},
    {"gpt_neox", "num_attention_heads", nullptr, "num_attention_heads"},
    {"gpt_neo", "attention_types", "\"local\"", "attention_types"},
    {"gpt_neo", "attention_types", "[[\"local\", 3]]", "attention_types"},
    {"gpt_neo", "attention_types", "[[[\"dilated\"], 3]]", "attention_types"},
    {"gpt_neo", "attention_types", "[[[\"local\"], 2]]", "attention_types"},
    {"gpt_neo", "attention_types", "[[[\"local\"], -1]]", "attention_types"},
    {"gpt_neo", "attention_types", "[[[\"local\"], 1e18]]", "attention_types"},
    {"gpt_neo", "attention_types", "[[[], 3]]", "attention_types"},
    {"gptj", "rotary_dim", "7", "rotary_dim is 7"},
    {"gptj", "rotary_dim", "22", "rotary_dim is 22"},
    {"gptj", "rotary_dim", nullptr, "rotary_dim"},
    {"gptj", "rotary", "false", "rotary is false"},
    {"gptj", "n_head", nullptr, "n_head"},
    {"gptj", "scale_attn_weights", "false", "scale_attn_weights"},
    {"bloom", "n_embed", "47", "n_embed"},
    {"mistral", "layer_types", "[\"full_attention\"]", "layer_types"},
    {"qwen2", "use_mrope", "true", "use_mrope"},
    {"qwen3", "layer_types", "[\"full_attention\"]", "layer_types"},
    {"qwen3", "layer_types", "[\"full_attention\", \"linear_attention\"]", "layer_types"},
    {"qwen3", "layer_types", "\"full_attention\"", "layer_types"},
    {"qwen3", "layer_types/0", "1", "layer_types"},
    {"qwen3", "max_window_layers", "-1", "max_window_layers"},
};

struct GenerationRow {
  const char* key;
  const char* value;
};
constexpr GenerationRow kGeneration[] = {
    {"eos_token_id", "\"x\""},      {"eos_token_id", "[1, null]"}, {"eos_token_id", "{}"},
    {"eos_token_id", "9000000000"}, {"bos_token_id", "\"<s>\""},   {"bos_token_id", "[1, 2]"},
};

// Texts that replace a whole JSON file.
struct TextRow {
  const char* name;
  std::string text;
  const char* expected;
};

std::vector<TextRow> WrongTexts() {
  return {
      {"empty", "", "JSON"},
      {"space", " \n ", "JSON"},
      {"words", "model_type: gpt2\n", "JSON"},
      {"nan", R"({"model_type": "gpt2", "layer_norm_epsilon": NaN})", "JSON"},
      {"infinity", R"({"model_type": "gpt2", "layer_norm_epsilon": Infinity})", "JSON"},
      {"cut_in_string", R"({"model_type": "gp)", "JSON"},
      {"cut_in_object", R"({"model_type": "gpt2")", "JSON"},
      {"cut_in_escape", "{\"model_type\": \"gpt2\\u00", "JSON"},
      {"lone_surrogate", R"({"model_type": "\ud800"})", "JSON"},
      {"latin1", "{\"model_type\": \"gpt2\xE9\"}", "JSON"},
      {"overlong_utf8", "{\"model_type\": \"\xC0\x80\"}", "JSON"},
      {"utf16", std::string("{\0\"\0a\0\"\0", 8), "JSON"},
      {"byte_order_mark", "\xEF\xBB\xBF{}", "JSON"},
      {"two_documents", "{}{}", "JSON"},
      {"trailing_comma", R"({"model_type": "gpt2",})", "JSON"},
      {"comment", "{} // gpt2", "JSON"},
      {"single_quotes", "{'model_type': 'gpt2'}", "JSON"},
      {"deep_arrays", std::string(100'000, '['), "nested deeper"},
      {"deep_objects",
       [] {
         std::string text;
         for (int i = 0; i < 50'000; ++i) text += "{\"a\":";
         return text;
       }(),
       "nested deeper"},
      {"array", "[]", "object"},
      {"string", "\"gpt2\"", "object"},
      {"number", "1", "object"},
      {"null_bytes", std::string(64, '\0'), "JSON"},
  };
}

void AddTexts(std::vector<MalformedModel>& cases) {
  for (const char* file :
       {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "model.safetensors.index.json"}) {
    for (const TextRow& row : WrongTexts()) {
      const std::string name = file;
      const bool is_index = name == "model.safetensors.index.json";
      cases.push_back({.name = "text_" + name.substr(0, name.find('.')) + "_" + row.name,
                       .damage =
                           [name, row, is_index](const ModelFolder& folder) {
                             if (is_index) folder.RemoveWeights();
                             folder.Write(name, row.text);
                           },
                       .file = file,
                       .expected = {row.expected}});
    }
  }
}

}  // namespace

std::vector<MalformedModel> MalformedConfigs() {
  std::vector<MalformedModel> cases;
  AddFields(cases);
  const auto add = [&](const std::string& kind, const char* model, const char* json,
                       const char* key, const char* value, const char* file, const char* expected) {
    const std::string value_name = CaseName(value == nullptr ? "missing" : value);
    cases.push_back({.name = kind + "_" + model + "_" + key + "_" + value_name,
                     .model = model,
                     .damage =
                         [=, json = std::string(json)](const ModelFolder& folder) {
                           folder.SetJson(
                               json, key,
                               value == nullptr ? std::nullopt : std::optional<std::string>(value));
                         },
                     .file = file,
                     .expected = {expected}});
  };
  for (const Misfit& row : kMisfits)
    add("misfit", row.model, "config.json", row.key, row.value, row.file, row.expected);
  for (const Refused& row : kRefused)
    add("refused", row.model, "config.json", row.key, row.value, "config.json", row.expected);
  for (const GenerationRow& row : kGeneration)
    add("generation", "gpt2", "generation_config.json", row.key, row.value,
        "generation_config.json", row.key);
  AddTexts(cases);
  for (const char* key : {"model_type", "architectures", "n_embd", "activation_function",
                          "layer_norm_epsilon", "eos_token_id", "tie_word_embeddings"}) {
    cases.push_back({.name = std::string("long_") + key,
                     .damage =
                         [key](const ModelFolder& folder) {
                           folder.SetJson("config.json", key,
                                          "\"" + std::string(1'000'000, 'a') + "\"");
                         },
                     .file = "config.json",
                     .expected = {key}});
  }
  return cases;
}

}  // namespace dray::testing
