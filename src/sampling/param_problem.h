// What is wrong with the parameters of a request, as facts. Each API words them with the names that
// its requests have; Describe does so with names of the caller's choice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace dray::sampling {

enum class LowerBound { kIncluded, kExcluded };

// `name`, here and below, is the schema's: that of the field of SamplingParams.
struct NumberOutOfRange {
  std::string_view name;
  double value = 0;
  double min = 0;
  double max = 0;  // infinity: none
  LowerBound lower_bound = LowerBound::kIncluded;
};

struct TooManyEntries {
  std::string_view name;
  size_t count = 0;
  int64_t max = 0;
};

// An entry of a list is empty or too long.
struct WrongEntrySize {
  std::string_view name;
  enum class Unit { kBytes, kTokens } unit = Unit::kBytes;
  size_t size = 0;
  int64_t max = 0;
};

struct UnknownTokenId {
  std::string_view name;
  int32_t id = 0;
  int64_t vocab_size = 0;
};

struct BiasOutOfRange {
  int32_t token_id = 0;
  double bias = 0;
  double max_magnitude = 0;
};

struct MinAboveMaxNewTokens {
  int64_t min_new_tokens = 0;
  int64_t max_new_tokens = 0;
};

// All samples or beams of the request together.
struct TooManyTotalTokens {
  std::string_view name;  // of the parameter that says how many there are
  int64_t count = 0;
  int64_t max_new_tokens = 0;
  int64_t max_total = 0;
};

// More sequences are to be returned than there are beams.
struct TooFewBeams {
  int64_t n = 0;
  int64_t num_beams = 0;
};

// Beam search that also samples.
struct BeamsSample {
  int64_t num_beams = 0;
  double temperature = 0;
};

// Beams that do not divide into groups of the same size.
struct UnevenBeamGroups {
  int64_t num_beam_groups = 0;
  int64_t num_beams = 0;
};

// Groups of beams without a penalty that makes them differ, or a penalty without groups.
struct GroupsWithoutDiversity {
  int64_t num_beam_groups = 0;
  double diversity_penalty = 0;
};

using ParamProblem =
    std::variant<NumberOutOfRange, TooManyEntries, WrongEntrySize, UnknownTokenId, BiasOutOfRange,
                 MinAboveMaxNewTokens, TooManyTotalTokens, TooFewBeams, BeamsSample,
                 UnevenBeamGroups, GroupsWithoutDiversity>;

// How a request spells the parameter of a schema name, with its quotation marks.
using SpellParam = std::string (*)(std::string_view name);
// "\"top_k\"" for "top_k".
std::string QuoteParam(std::string_view name);

// A sentence that names the parameter, its value and its range.
std::string Describe(const ParamProblem& problem, SpellParam spell = QuoteParam);

}  // namespace dray::sampling
