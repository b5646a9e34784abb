#include "api/djl/djl_parameters.h"

namespace dray::api {
namespace {

constexpr ParameterSpelling kSpellings[] = {
    {"do_sample", "do_sample", "whether there is a `temperature`"},
    {"temperature", "temperature", "1"},
    {"top_k", "top_k", "0"},
    {"top_p", "top_p", "1"},
    {"typical_p", "typical_p", "1"},
    {"min_p", "min_p", "0"},
    {"repetition_penalty", "repetition_penalty", "1"},
    {"presence_penalty", "presence_penalty", "0"},
    {"frequency_penalty", "frequency_penalty", "0"},
    {"seed", "seed", "random, and told in `details`"},
    {"manual_seed", "seed", ""},
    {"max_new_tokens", "max_new_tokens", "30"},
    {"min_new_tokens", "min_new_tokens", "0"},
    {"min_length", "min_new_tokens", ""},
    {"max_length", "max_length", ""},
    {"truncate", "truncate", ""},
    {"stop_sequences", "stop_strings", ""},
    {"stop", "stop_strings", ""},
    {"stop_token_ids", "stop_token_ids", ""},
    {"include_stop_str_in_output", "include_stop_str_in_output", "false"},
    {"bad_words", "bad_words", ""},
    {"bad_sequences", "bad_words", ""},
    {"no_repeat_ngram_size", "no_repeat_ngram_size", "0"},
    {"suppress_tokens", "suppress_tokens", ""},
    {"begin_suppress_tokens", "begin_suppress_tokens", ""},
    {"forced_bos_token_id", "forced_bos_token_id", ""},
    {"forced_eos_token_id", "forced_eos_token_id", ""},
    {"ignore_eos_token", "ignore_eos", "false"},
    {"n", "n", "`best_of`"},
    {"num_return_sequences", "n", ""},
    {"best_of", "best_of", "`n`, or 1"},
    {"details", "details", "false"},
    {"return_full_text", "return_full_text", "false"},
    {"decoder_input_details", "decoder_input_details", "false"},
    {"top_n_tokens", "top_n_tokens", "0"},
    {"logprobs", "num_logprobs", "`top_n_tokens`"},
    {"prompt_logprobs", "prompt_logprobs", ""},
    {"skip_special_tokens", "skip_special_tokens", "true"},
    {"output_formatter", "output_format", "by `stream`"},
    {"num_beams", "num_beams", "1"},
    {"length_penalty", "length_penalty", "1"},
    {"early_stopping", "early_stopping", "false"},
    {"num_beam_groups", "num_beam_groups", "1"},
    {"diversity_penalty", "diversity_penalty", "0"},
    {"penalty_alpha", "penalty_alpha", "0"},
    {"spaces_between_special_tokens", "spaces_between_special_tokens", "true"},
};

constexpr ParameterSpelling kTransformersSpellings[] = {
    {"do_sample", "do_sample", "false; in a stream, whether there is a parameter of sampling"},
    {"temperature", "temperature", "1"},
    {"top_k", "top_k", "0"},
    {"top_p", "top_p", "1"},
    {"typical_p", "typical_p", "1"},
    {"repetition_penalty", "repetition_penalty", "1"},
    {"seed", "seed", "random"},
    {"manual_seed", "seed", ""},
    {"max_new_tokens", "max_new_tokens", "50"},
    {"max_seq_len", "max_new_tokens", ""},
    {"min_new_tokens", "min_new_tokens", "0"},
    {"max_length", "max_length", ""},
    {"stop_sequences", "stop_strings", ""},
    {"eos_token_id", "stop_token_ids", ""},
    {"no_repeat_ngram_size", "no_repeat_ngram_size", "0"},
    {"suppress_tokens", "suppress_tokens", ""},
    {"begin_suppress_tokens", "begin_suppress_tokens", ""},
    {"forced_bos_token_id", "forced_bos_token_id", ""},
    {"forced_eos_token_id", "forced_eos_token_id", ""},
    {"num_return_sequences", "n", "1"},
    {"return_full_text", "return_full_text", "true; in a stream false"},
    {"skip_special_tokens", "skip_special_tokens", "true"},
    {"num_beams", "num_beams", "1"},
    {"beam_width", "num_beams", ""},
    {"length_penalty", "length_penalty", "1"},
    {"len_penalty", "length_penalty", ""},
    {"early_stopping", "early_stopping", "false"},
    {"num_beam_groups", "num_beam_groups", "1"},
    {"diversity_penalty", "diversity_penalty", "0"},
    {"beam_search_diversity_rate", "sibling_diversity_rate", "0"},
    {"penalty_alpha", "penalty_alpha", "0"},
    {"use_cache", "use_cache", "true"},
    {"pad_token_id", "pad_token_id", ""},
};

}  // namespace

std::span<const ParameterSpelling> DjlParameters() { return kSpellings; }
std::span<const ParameterSpelling> TransformersParameters() { return kTransformersSpellings; }

std::string SpellDjlParameter(std::string_view name) {
  // Both count the likeliest tokens (DecideCounts in djl_call.cc).
  if (name == "num_logprobs") return "\"top_n_tokens\" or \"logprobs\"";
  return SpellParameter(kSpellings, name);
}

std::string SpellTransformersParameter(std::string_view name) {
  return SpellParameter(kTransformersSpellings, name);
}

}  // namespace dray::api
