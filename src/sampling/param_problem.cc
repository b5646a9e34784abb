#include "sampling/param_problem.h"

#include <fmt/format.h>

#include <limits>

namespace dray::sampling {
namespace {

struct Describer {
  SpellParam spell;

  std::string operator()(const NumberOutOfRange& p) const {
    const std::string at_most = p.max < std::numeric_limits<double>::infinity()
                                    ? fmt::format(" and at most {}", p.max)
                                    : "";
    return fmt::format("parameter {} is {}; it must be {} {}{}", spell(p.name), p.value,
                       p.lower_bound == LowerBound::kExcluded ? "above" : "at least", p.min,
                       at_most);
  }
  std::string operator()(const TooManyEntries& p) const {
    return fmt::format("parameter {} has {} entries; at most {} are allowed", spell(p.name),
                       p.count, p.max);
  }
  std::string operator()(const WrongEntrySize& p) const {
    if (p.unit == WrongEntrySize::Unit::kTokens) {
      return fmt::format("parameter {} holds a word of {} tokens; each must have 1 to {}",
                         spell(p.name), p.size, p.max);
    }
    return fmt::format("parameter {} holds a string of {} bytes; each must have 1 to {}",
                       spell(p.name), p.size, p.max);
  }
  std::string operator()(const UnknownTokenId& p) const {
    return fmt::format("parameter {} holds token id {}; ids of this model are from 0 to {}",
                       spell(p.name), p.id, p.vocab_size - 1);
  }
  std::string operator()(const BiasOutOfRange& p) const {
    return fmt::format("parameter {} gives token {} a bias of {}; it must be from {} to {}",
                       spell("logit_bias"), p.token_id, p.bias, -p.max_magnitude, p.max_magnitude);
  }
  std::string operator()(const MinAboveMaxNewTokens& p) const {
    return fmt::format("parameter {} is {}; it must be at most max_new_tokens, {}",
                       spell("min_new_tokens"), p.min_new_tokens, p.max_new_tokens);
  }
  std::string operator()(const TooManyTotalTokens& p) const {
    return fmt::format(
        "parameters {} {} and {} {} ask for {} tokens; their product must be at most {}",
        spell(p.name), p.count, spell("max_new_tokens"), p.max_new_tokens,
        p.count * p.max_new_tokens, p.max_total);
  }
  std::string operator()(const TooFewBeams& p) const {
    return fmt::format("parameter {} is {}; it must be at most {}, which is {}", spell("n"), p.n,
                       spell("num_beams"), p.num_beams);
  }
  std::string operator()(const BeamsSample& p) const {
    return fmt::format(
        "parameter {} is {}, and {} is set or implied (temperature {}); groups of beams, and beams "
        "by "
        "FasterTransformer's rules, do not sample: send {} false, or {} 1",
        spell("num_beams"), p.num_beams, spell("do_sample"), p.temperature, spell("do_sample"),
        spell("num_beams"));
  }
  std::string operator()(const UnevenBeamGroups& p) const {
    return fmt::format("parameter {} is {}; it must divide {}, which is {}",
                       spell("num_beam_groups"), p.num_beam_groups, spell("num_beams"),
                       p.num_beams);
  }
  std::string operator()(const GroupsWithoutDiversity& p) const {
    return fmt::format(
        "parameter {} is {} and {} is {}; groups of beams need a penalty above 0, and a penalty "
        "needs at least 2 groups",
        spell("num_beam_groups"), p.num_beam_groups, spell("diversity_penalty"),
        p.diversity_penalty);
  }
};

}  // namespace

std::string QuoteParam(std::string_view name) { return fmt::format("\"{}\"", name); }

std::string Describe(const ParamProblem& problem, SpellParam spell) {
  return std::visit(Describer{spell}, problem);
}

}  // namespace dray::sampling
