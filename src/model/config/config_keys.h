// The keys of config.json that no family reads, sorted by what they mean for dray. Data, apart from
// the code that uses it.
#pragma once

#include <array>
#include <string_view>

namespace dray::model {

// Endings of architecture names that tell that the model has no language-model head. Families of
// encoders say themselves which of them they compute (families/encoder_config.h).
inline constexpr std::array<std::string_view, 8> kOtherHeads = {
    "ForSequenceClassification", "ForTokenClassification",
    "ForQuestionAnswering",      "ForMaskedLM",
    "ForMultipleChoice",         "ForNextSentencePrediction",
    "ForImageClassification",    "RewardModel",
};

// Weights in formats that dray cannot read. (quantization_config.h reads "quantization_config".)
inline constexpr std::array<std::string_view, 2> kQuantizationKeys = {"compression_config",
                                                                      "quantization"};

// Keys that change the model unless they are false.
inline constexpr std::array<std::string_view, 2> kFalseKeys = {"is_encoder_decoder",
                                                               "add_cross_attention"};

// Keys that change the model unless they are absent or null: mixtures of experts, capped or scaled
// logits, layers that differ from each other.
inline constexpr std::array<std::string_view, 16> kAbsentKeys = {
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "embedding_multiplier",
    "residual_multiplier",
    "attention_multiplier",
    "query_pre_attn_scalar",
    "n_routed_experts",
    "num_experts",
    "num_experts_per_tok",
    "num_local_experts",
    "moe_intermediate_size",
    "per_layer_config",
    "text_config",
    "vision_config",
};

// Keys that do not change a forward pass: settings of training, tools and generation, and other
// ways to compute the same sums. Sorted.
inline constexpr std::array<std::string_view, 97> kHarmlessKeys = {
    "activation_dropout",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "attention_softmax_in_fp32",
    "attn_pdrop",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bias_dropout_fusion",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "directionality",
    "diversity_penalty",
    "do_sample",
    "dropout",
    "dropout_rate",
    "early_stopping",
    "embd_pdrop",
    "embed_dropout",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout",
    "hidden_dropout_prob",
    "id2label",
    "init_std",
    "initializer_factor",
    "initializer_range",
    "is_decoder",
    "label2id",
    "layerdrop",
    "length_penalty",
    "masked_softmax_fusion",
    "max_length",
    "max_sequence_length",
    "min_length",
    "model_max_length",
    "n_ctx",
    "name_or_path",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "offset_alibi",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_scores",
    "pad_token_id",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "qa_dropout",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_dropout",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "seq_classif_dropout",
    "sinusoidal_pos_embds",
    "skip_bias_add",
    "skip_bias_add_qkv",
    "slow_but_exact",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tie_last_hidden_states",
    "tie_weights_",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torchscript",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "use_bfloat16",
    "use_cache",
    "use_return_dict",
};

}  // namespace dray::model
