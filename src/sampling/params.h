// How one request wants its tokens chosen, and the only code that decides which values are allowed.
// Every API dialect fills this struct; serving checks it by FindProblem.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "sampling/param_problem.h"

namespace dray::sampling {

// Added to one token's logit before anything else happens to it.
struct LogitBias {
  int32_t token_id = 0;
  double bias = 0;
};

// When beam search stops while some beams could go on. kYes: as soon as num_beams hypotheses are
// finished. kNo: once no beam can become better than the worst of them, estimated at the present
// length. kNever: the same, estimated at the length where a beam's score would be best.
enum class EarlyStopping { kNo, kYes, kNever };

// Whose rules beam search follows where they differ: how long a finished sequence counts as, and when the
// search stops (beams/group_beam_search.h).
enum class BeamRules { kTransformers, kFasterTransformer };

// The types are as wide as the numbers that JSON can hold, so that a value out of range reaches
// Validate as it is.
struct SamplingParams {
  // True: draw tokens at random. False: take the token of the highest logit, the lowest id on a tie
  // (greedy).
  bool do_sample = false;
  // Below kGreedyTemperature sampling is greedy.
  double temperature = 1.0;
  // Keep the k likeliest tokens; 0 and -1 keep all.
  int64_t top_k = 0;
  // Keep the likeliest tokens until their probabilities reach top_p; 1 keeps all, 0 keeps one.
  double top_p = 1.0;
  // Keep tokens of at least min_p times the likeliest token's probability; 0 keeps all.
  double min_p = 0.0;
  // Keep the tokens whose surprise is nearest the distribution's entropy, up to this mass;
  // 1 keeps all.
  double typical_p = 1.0;
  // Counts tokens of the prompt and generated ones. A token that occurred has its logit divided by
  // this if the logit is positive, else multiplied. 1 changes nothing.
  double repetition_penalty = 1.0;
  // Count generated tokens only. A token's logit is lowered by presence_penalty if the token
  // occurred, and by frequency_penalty for each occurrence.
  double presence_penalty = 0.0;
  double frequency_penalty = 0.0;
  // If absent, the caller picks a seed and reports it.
  std::optional<uint64_t> seed;

  // Text that ends the sequence. It is left out of the output unless include_stop_str_in_output.
  std::vector<std::string> stop_strings;
  bool include_stop_str_in_output = false;
  // Tokens that end the sequence, besides the model's end tokens.
  std::vector<int32_t> stop_token_ids;
  // The model's end tokens do not end the sequence.
  bool ignore_eos = false;
  // Sequences of tokens that must not appear: the token that would complete one is masked.
  std::vector<std::vector<int32_t>> bad_words;
  std::vector<LogitBias> logit_bias;
  // No sequence of so many tokens, prompt included, occurs twice; 0 allows it.
  int64_t no_repeat_ngram_size = 0;
  // Tokens that are never chosen, and tokens that are not chosen as the first one.
  std::vector<int32_t> suppress_tokens;
  std::vector<int32_t> begin_suppress_tokens;
  // If present, the token that follows a prompt of one token, and the token at max_new_tokens.
  std::optional<int32_t> forced_bos_token_id;
  std::optional<int32_t> forced_eos_token_id;

  // End tokens and stop tokens are masked until this many tokens are generated.
  int64_t min_new_tokens = 0;
  int64_t max_new_tokens = 30;
  // How many samples to generate from the prompt; of beam search, how many sequences to return.
  int64_t n = 1;
  // Above 1: beam search (beams/beam_search.h). Then n is at most num_beams, and the sequences come
  // best first, when the search is done. With sampling, the candidates of each step are drawn
  // (beams/beam_draws.h); groups and FasterTransformer's rules do not sample.
  int64_t num_beams = 1;
  // Of beam search. A finished sequence's score is divided by its length to this power, so that
  // values above 0 prefer long ones. Absent: the default of the rules (LengthPenalty).
  std::optional<double> length_penalty;
  EarlyStopping early_stopping = EarlyStopping::kNo;
  // Above 1: the beams are divided into so many groups of equal size. A token that so many beams of
  // earlier groups have chosen in the same step loses diversity_penalty for each of them.
  int64_t num_beam_groups = 1;
  double diversity_penalty = 0;
  // Added k times to the score of the k-th continuation (from 0) of a beam, best first: values below 0
  // prefer different beams. FasterTransformer's beam_search_diversity_rate.
  double sibling_diversity_rate = 0;
  BeamRules beam_rules = BeamRules::kTransformers;
  // Of groups only: what the beams of a finished group count as having chosen; absent: the first end
  // token.
  std::optional<int32_t> pad_token_id;
  // Above 0, with top_k other than 1 and without sampling or beams: contrastive search
  // (contrastive/contrastive_search.h) among the top_k likeliest tokens. What a token's likeness to the
  // tokens before weighs, against its probability; at most 1.
  double penalty_alpha = 0;
  // If present, each token's log-probability is reported, and those of this many likeliest tokens.
  std::optional<int64_t> num_logprobs;
  // The same for the tokens of the prompt.
  std::optional<int64_t> prompt_logprobs;
};

// Sampling tends to greedy choice as the temperature goes to 0. Below this temperature float
// arithmetic would overflow.
inline constexpr double kGreedyTemperature = 1e-5;

inline bool UsesBeams(const SamplingParams& params) { return params.num_beams > 1; }

// How many tokens contrastive search chooses among. Without top_k, as many as in DJLServing's scheduler.
inline int64_t NumContrastiveCandidates(const SamplingParams& params) {
  constexpr int64_t kDefault = 4;
  return params.top_k > 0 ? params.top_k : kDefault;
}

// transformers' default, or FasterTransformer's.
inline double LengthPenalty(const SamplingParams& params) {
  return params.length_penalty.value_or(params.beam_rules == BeamRules::kFasterTransformer ? 0.0
                                                                                           : 1.0);
}

inline bool IsGreedy(const SamplingParams& params) {
  return !params.do_sample || params.temperature < kGreedyTemperature;
}

inline bool UsesContrastiveSearch(const SamplingParams& params) {
  return params.penalty_alpha > 0 && params.top_k != 1 && !UsesBeams(params) && IsGreedy(params);
}

// What a server allows. Each default leaves room for real use and bounds the work that one request
// can cause.
struct ParamLimits {
  // The model's vocabulary; the caller sets it. Token ids must be in [0, vocab_size).
  int64_t vocab_size = 0;
  // The context length less the prompt's tokens, or a lower limit; the caller sets it.
  int64_t max_new_tokens = 0;
  // The limit of max_new_tokens times n, or times num_beams if that is more.
  int64_t max_total_new_tokens = int64_t{1} << 20;
  int64_t max_n = 16;
  int64_t max_num_beams = 64;
  int64_t max_contrastive_candidates = 64;
  int64_t max_logprobs = 20;
  int64_t max_stop_strings = 16;
  int64_t max_stop_string_bytes = 256;
  int64_t max_stop_token_ids = 256;
  int64_t max_bad_words = 256;
  int64_t max_bad_word_tokens = 64;
  // Of text, before it is tokenized.
  int64_t max_bad_word_bytes = 1024;
  int64_t max_logit_bias = 1024;
  int64_t max_suppress_tokens = 1024;
};

// The first parameter that is out of its range.
std::optional<ParamProblem> FindProblem(const SamplingParams& params, const ParamLimits& limits);
// The same as kInvalidArgument, in the schema's names.
Status Validate(const SamplingParams& params, const ParamLimits& limits);

// Gives a request that samples and names no seed a random one. It is below 2^52, so that every JSON
// reader can send it back.
void ChooseSeed(SamplingParams& params);

}  // namespace dray::sampling
