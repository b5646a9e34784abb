#include "outliers/layouts.h"

namespace dray::testing {
namespace {

constexpr Layout kLlama = {.model_type = "llama",
                           .prefix = "model.",
                           .embedding = "model.embed_tokens",
                           .positions = "",
                           .final_norm = "model.norm",
                           .head = "lm_head",
                           .layers = "model.layers.",
                           .attention_norm = "input_layernorm",
                           .ffn_norm = "post_attention_layernorm",
                           .query = "self_attn.q_proj",
                           .key = "self_attn.k_proj",
                           .value = "self_attn.v_proj",
                           .attention_out = "self_attn.o_proj",
                           .gate = "mlp.gate_proj",
                           .up = "mlp.up_proj",
                           .down = "mlp.down_proj"};

constexpr Layout kOpt = {.model_type = "opt",
                         .prefix = "model.",
                         .embedding = "model.decoder.embed_tokens",
                         .positions = "model.decoder.embed_positions",
                         .final_norm = "model.decoder.final_layer_norm",
                         .head = "lm_head",
                         .layers = "model.decoder.layers.",
                         .attention_norm = "self_attn_layer_norm",
                         .ffn_norm = "final_layer_norm",
                         .query = "self_attn.q_proj",
                         .key = "self_attn.k_proj",
                         .value = "self_attn.v_proj",
                         .attention_out = "self_attn.out_proj",
                         .gate = "",
                         .up = "fc1",
                         .down = "fc2"};

constexpr Layout kGptJ = {.model_type = "gptj",
                          .prefix = "transformer.",
                          .embedding = "transformer.wte",
                          .positions = "",
                          .final_norm = "transformer.ln_f",
                          .head = "lm_head",
                          .layers = "transformer.h.",
                          .attention_norm = "ln_1",
                          .ffn_norm = "",
                          .query = "attn.q_proj",
                          .key = "attn.k_proj",
                          .value = "attn.v_proj",
                          .attention_out = "attn.out_proj",
                          .gate = "",
                          .up = "mlp.fc_in",
                          .down = "mlp.fc_out"};

constexpr Layout kGptNeox = {.model_type = "gpt_neox",
                             .prefix = "gpt_neox.",
                             .embedding = "gpt_neox.embed_in",
                             .positions = "",
                             .final_norm = "gpt_neox.final_layer_norm",
                             .head = "embed_out",
                             .layers = "gpt_neox.layers.",
                             .attention_norm = "input_layernorm",
                             .ffn_norm = "post_attention_layernorm",
                             .query = "attention.query_key_value",
                             .key = "attention.query_key_value",
                             .value = "attention.query_key_value",
                             .attention_out = "attention.dense",
                             .gate = "",
                             .up = "mlp.dense_h_to_4h",
                             .down = "mlp.dense_4h_to_h"};

constexpr Layout kBloom = {.model_type = "bloom",
                           .prefix = "transformer.",
                           .embedding = "transformer.word_embeddings",
                           .positions = "",
                           .final_norm = "transformer.ln_f",
                           .head = "lm_head",
                           .layers = "transformer.h.",
                           .attention_norm = "input_layernorm",
                           .ffn_norm = "post_attention_layernorm",
                           .query = "self_attention.query_key_value",
                           .key = "self_attention.query_key_value",
                           .value = "self_attention.query_key_value",
                           .attention_out = "self_attention.dense",
                           .gate = "",
                           .up = "mlp.dense_h_to_4h",
                           .down = "mlp.dense_4h_to_h"};

constexpr const Layout* kLayouts[] = {&kLlama, &kOpt, &kGptJ, &kGptNeox, &kBloom};

}  // namespace

const Layout* FindLayout(std::string_view model_type) {
  for (const Layout* layout : kLayouts) {
    if (layout->model_type == model_type) return layout;
  }
  return nullptr;
}

std::string_view KnownLayouts() { return "llama, opt, gptj, gpt_neox and bloom"; }

}  // namespace dray::testing
