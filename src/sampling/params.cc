// The request schema: one row for each number and each list of SamplingParams.
#include "sampling/params.h"

#include <random>
#include <string_view>
#include <utility>

namespace dray::sampling {
namespace {

constexpr double kMaxInt32 = 2147483647.0;
// A length of 2^20, the most tokens of a request, to this power is 2^100, which a float holds.
constexpr double kMaxLengthPenalty = 5.0;
// Log-probabilities that are chosen are far above minus this number.
constexpr double kMaxDiversity = 1e4;

// One number: how to read it and the range it must lie in. An absent optional reads as its minimum.
struct NumberRule {
  std::string_view name;
  double (*value)(const SamplingParams&);
  double min;
  double (*max)(const ParamLimits&);
  LowerBound lower_bound = LowerBound::kIncluded;
};

using P = SamplingParams;
using L = ParamLimits;

const NumberRule kNumberRules[] = {
    {"temperature", [](const P& p) { return p.temperature; }, 0, [](const L&) { return 100.0; }},
    {"top_k", [](const P& p) { return static_cast<double>(p.top_k); }, -1,
     [](const L&) { return kMaxInt32; }},
    {"top_p", [](const P& p) { return p.top_p; }, 0, [](const L&) { return 1.0; }},
    {"min_p", [](const P& p) { return p.min_p; }, 0, [](const L&) { return 1.0; }},
    {"typical_p", [](const P& p) { return p.typical_p; }, 0, [](const L&) { return 1.0; },
     LowerBound::kExcluded},
    {"repetition_penalty", [](const P& p) { return p.repetition_penalty; }, 0.01,
     [](const L&) { return 100.0; }},
    {"presence_penalty", [](const P& p) { return p.presence_penalty; }, -2,
     [](const L&) { return 2.0; }},
    {"frequency_penalty", [](const P& p) { return p.frequency_penalty; }, -2,
     [](const L&) { return 2.0; }},
    {"max_new_tokens", [](const P& p) { return static_cast<double>(p.max_new_tokens); }, 1,
     [](const L& l) { return static_cast<double>(l.max_new_tokens); }},
    {"min_new_tokens", [](const P& p) { return static_cast<double>(p.min_new_tokens); }, 0,
     [](const L& l) { return static_cast<double>(l.max_new_tokens); }},
    {"n", [](const P& p) { return static_cast<double>(p.n); }, 1,
     [](const L& l) { return static_cast<double>(l.max_n); }},
    {"no_repeat_ngram_size", [](const P& p) { return static_cast<double>(p.no_repeat_ngram_size); },
     0, [](const L&) { return kMaxInt32; }},
    {"num_beams", [](const P& p) { return static_cast<double>(p.num_beams); }, 1,
     [](const L& l) { return static_cast<double>(l.max_num_beams); }},
    {"length_penalty", [](const P& p) { return p.length_penalty.value_or(1.0); },
     -kMaxLengthPenalty, [](const L&) { return kMaxLengthPenalty; }},
    {"num_beam_groups", [](const P& p) { return static_cast<double>(p.num_beam_groups); }, 1,
     [](const L& l) { return static_cast<double>(l.max_num_beams); }},
    {"diversity_penalty", [](const P& p) { return p.diversity_penalty; }, 0,
     [](const L&) { return kMaxDiversity; }},
    {"sibling_diversity_rate", [](const P& p) { return p.sibling_diversity_rate; }, -kMaxDiversity,
     [](const L&) { return kMaxDiversity; }},
    {"penalty_alpha", [](const P& p) { return p.penalty_alpha; }, 0, [](const L&) { return 1.0; }},
    {"num_logprobs", [](const P& p) { return static_cast<double>(p.num_logprobs.value_or(0)); }, 0,
     [](const L& l) { return static_cast<double>(l.max_logprobs); }},
    {"prompt_logprobs",
     [](const P& p) { return static_cast<double>(p.prompt_logprobs.value_or(0)); }, 0,
     [](const L& l) { return static_cast<double>(l.max_logprobs); }},
};

// One list: how many entries it may have.
struct ListRule {
  std::string_view name;
  size_t (*size)(const SamplingParams&);
  int64_t (*max)(const ParamLimits&);
};

const ListRule kListRules[] = {
    {"stop_strings", [](const P& p) { return p.stop_strings.size(); },
     [](const L& l) { return l.max_stop_strings; }},
    {"stop_token_ids", [](const P& p) { return p.stop_token_ids.size(); },
     [](const L& l) { return l.max_stop_token_ids; }},
    {"bad_words", [](const P& p) { return p.bad_words.size(); },
     [](const L& l) { return l.max_bad_words; }},
    {"logit_bias", [](const P& p) { return p.logit_bias.size(); },
     [](const L& l) { return l.max_logit_bias; }},
    {"suppress_tokens", [](const P& p) { return p.suppress_tokens.size(); },
     [](const L& l) { return l.max_suppress_tokens; }},
    {"begin_suppress_tokens", [](const P& p) { return p.begin_suppress_tokens.size(); },
     [](const L& l) { return l.max_suppress_tokens; }},
};

constexpr double kMaxLogitBias = 100;

using Problem = std::optional<ParamProblem>;

Problem CheckNumbers(const SamplingParams& params, const ParamLimits& limits) {
  for (const NumberRule& rule : kNumberRules) {
    const double value = rule.value(params);
    const double max = rule.max(limits);
    const bool excluded = rule.lower_bound == LowerBound::kExcluded;
    // Written so that NaN is out of range.
    if ((excluded ? value > rule.min : value >= rule.min) && value <= max) continue;
    return NumberOutOfRange{rule.name, value, rule.min, max, rule.lower_bound};
  }
  return std::nullopt;
}

Problem CheckLists(const SamplingParams& params, const ParamLimits& limits) {
  for (const ListRule& rule : kListRules) {
    const size_t size = rule.size(params);
    if (size <= static_cast<size_t>(rule.max(limits))) continue;
    return TooManyEntries{rule.name, size, rule.max(limits)};
  }
  return std::nullopt;
}

Problem CheckTokenId(std::string_view name, int32_t id, const ParamLimits& limits) {
  if (id >= 0 && id < limits.vocab_size) return std::nullopt;
  return UnknownTokenId{name, id, limits.vocab_size};
}

Problem CheckTokenIds(const SamplingParams& params, const ParamLimits& limits) {
  const std::pair<std::string_view, const std::vector<int32_t>&> lists[] = {
      {"stop_token_ids", params.stop_token_ids},
      {"suppress_tokens", params.suppress_tokens},
      {"begin_suppress_tokens", params.begin_suppress_tokens}};
  for (const auto& [name, ids] : lists) {
    for (const int32_t id : ids) {
      if (const Problem problem = CheckTokenId(name, id, limits)) return problem;
    }
  }
  const std::pair<std::string_view, std::optional<int32_t>> forced[] = {
      {"forced_bos_token_id", params.forced_bos_token_id},
      {"forced_eos_token_id", params.forced_eos_token_id},
      {"pad_token_id", params.num_beam_groups > 1 ? params.pad_token_id : std::nullopt}};
  for (const auto& [name, id] : forced) {
    if (!id) continue;
    if (const Problem problem = CheckTokenId(name, *id, limits)) return problem;
  }
  return std::nullopt;
}

Problem CheckEntries(const SamplingParams& params, const ParamLimits& limits) {
  for (const std::string& stop : params.stop_strings) {
    if (!stop.empty() && stop.size() <= static_cast<size_t>(limits.max_stop_string_bytes)) continue;
    return WrongEntrySize{"stop_strings", WrongEntrySize::Unit::kBytes, stop.size(),
                          limits.max_stop_string_bytes};
  }
  for (const std::vector<int32_t>& word : params.bad_words) {
    if (word.empty() || word.size() > static_cast<size_t>(limits.max_bad_word_tokens)) {
      return WrongEntrySize{"bad_words", WrongEntrySize::Unit::kTokens, word.size(),
                            limits.max_bad_word_tokens};
    }
    for (const int32_t id : word) {
      if (const Problem problem = CheckTokenId("bad_words", id, limits)) return problem;
    }
  }
  for (const LogitBias& entry : params.logit_bias) {
    if (const Problem problem = CheckTokenId("logit_bias", entry.token_id, limits)) return problem;
    if (entry.bias >= -kMaxLogitBias && entry.bias <= kMaxLogitBias) continue;
    return BiasOutOfRange{entry.token_id, entry.bias, kMaxLogitBias};
  }
  return std::nullopt;
}

Problem CheckContrastiveSearch(const SamplingParams& params, const ParamLimits& limits) {
  if (!UsesContrastiveSearch(params)) return std::nullopt;
  if (params.n > 1) return NumberOutOfRange{"n", static_cast<double>(params.n), 1, 1};
  if (params.top_k <= limits.max_contrastive_candidates) return std::nullopt;
  return NumberOutOfRange{"top_k", static_cast<double>(params.top_k), 0,
                          static_cast<double>(limits.max_contrastive_candidates)};
}

Problem CheckBeams(const SamplingParams& params) {
  if (params.num_beams % params.num_beam_groups != 0) {
    return UnevenBeamGroups{params.num_beam_groups, params.num_beams};
  }
  if (!UsesBeams(params)) return std::nullopt;
  const bool draws_plainly = params.num_beam_groups == 1 && params.sibling_diversity_rate == 0 &&
                             params.beam_rules == BeamRules::kTransformers;
  if (!IsGreedy(params) && !draws_plainly) return BeamsSample{params.num_beams, params.temperature};
  if (params.n > params.num_beams) return TooFewBeams{params.n, params.num_beams};
  if ((params.num_beam_groups > 1) != (params.diversity_penalty > 0)) {
    return GroupsWithoutDiversity{params.num_beam_groups, params.diversity_penalty};
  }
  return std::nullopt;
}

}  // namespace

Problem FindProblem(const SamplingParams& params, const ParamLimits& limits) {
  if (const Problem problem = CheckNumbers(params, limits)) return problem;
  if (const Problem problem = CheckLists(params, limits)) return problem;
  if (const Problem problem = CheckTokenIds(params, limits)) return problem;
  if (const Problem problem = CheckEntries(params, limits)) return problem;
  if (params.min_new_tokens > params.max_new_tokens) {
    return MinAboveMaxNewTokens{params.min_new_tokens, params.max_new_tokens};
  }
  if (const Problem problem = CheckBeams(params)) return problem;
  if (const Problem problem = CheckContrastiveSearch(params, limits)) return problem;
  // The products cannot overflow: all factors passed their own limits.
  const std::string_view name = UsesBeams(params) ? "num_beams" : "n";
  const int64_t count = UsesBeams(params) ? params.num_beams : params.n;
  if (count * params.max_new_tokens > limits.max_total_new_tokens) {
    return TooManyTotalTokens{name, count, params.max_new_tokens, limits.max_total_new_tokens};
  }
  return std::nullopt;
}

Status Validate(const SamplingParams& params, const ParamLimits& limits) {
  const Problem problem = FindProblem(params, limits);
  if (!problem) return OkStatus();
  return {StatusCode::kInvalidArgument, Describe(*problem)};
}

void ChooseSeed(SamplingParams& params) {
  if (IsGreedy(params) || params.seed) return;
  std::random_device device;
  params.seed = (uint64_t{device()} << 20) ^ device();
}

}  // namespace dray::sampling
