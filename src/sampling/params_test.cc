#include "sampling/params.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace dray::sampling {
namespace {

ParamLimits TestLimits() {
  ParamLimits limits;
  limits.vocab_size = 100;
  limits.max_new_tokens = 1000;
  return limits;
}

struct NumberCase {
  const char* name;
  std::function<void(SamplingParams&, double)> set;
  double least;
  double most;
  double below;
  double above;
};

// Just under, at and just over each limit.
TEST(ParamsTest, NumbersMustLieInTheirRange) {
  const auto whole = [](double value) { return static_cast<int64_t>(value); };
  const NumberCase cases[] = {
      {"temperature", [](auto& p, double v) { p.temperature = v; }, 0, 100, -1e-9, 100.001},
      {"top_k", [&](auto& p, double v) { p.top_k = whole(v); }, -1, 2147483647, -2, 2147483648.0},
      {"top_p", [](auto& p, double v) { p.top_p = v; }, 0, 1, -1e-9, 1.000001},
      {"min_p", [](auto& p, double v) { p.min_p = v; }, 0, 1, -1e-9, 1.000001},
      {"typical_p", [](auto& p, double v) { p.typical_p = v; }, 1e-9, 1, 0, 1.000001},
      {"repetition_penalty", [](auto& p, double v) { p.repetition_penalty = v; }, 0.01, 100, 0.0099,
       100.1},
      {"presence_penalty", [](auto& p, double v) { p.presence_penalty = v; }, -2, 2, -2.01, 2.01},
      {"frequency_penalty", [](auto& p, double v) { p.frequency_penalty = v; }, -2, 2, -2.01, 2.01},
      {"max_new_tokens", [&](auto& p, double v) { p.max_new_tokens = whole(v); }, 1, 1000, 0, 1001},
      {"min_new_tokens",
       [&](auto& p, double v) {
         p.min_new_tokens = whole(v);
         p.max_new_tokens = 1000;
       },
       0, 1000, -1, 1001},
      {"n", [&](auto& p, double v) { p.n = whole(v); }, 1, 16, 0, 17},
      {"num_logprobs", [&](auto& p, double v) { p.num_logprobs = whole(v); }, 0, 20, -1, 21},
      {"prompt_logprobs", [&](auto& p, double v) { p.prompt_logprobs = whole(v); }, 0, 20, -1, 21},
  };
  for (const NumberCase& c : cases) {
    const auto check = [&](double value) {
      SamplingParams params;
      c.set(params, value);
      return Validate(params, TestLimits());
    };
    EXPECT_TRUE(check(c.least).ok()) << c.name << check(c.least).ToString();
    EXPECT_TRUE(check(c.most).ok()) << c.name << check(c.most).ToString();
    for (const double wrong : {c.below, c.above}) {
      const Status status = check(wrong);
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << c.name << " " << wrong;
      EXPECT_NE(status.message().find(c.name), std::string::npos) << status.message();
    }
  }
}

TEST(ParamsTest, RefusesNumbersThatAreNone) {
  for (const double wrong : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    for (double SamplingParams::*field :
         {&SamplingParams::temperature, &SamplingParams::top_p, &SamplingParams::min_p,
          &SamplingParams::typical_p, &SamplingParams::repetition_penalty,
          &SamplingParams::presence_penalty, &SamplingParams::frequency_penalty}) {
      SamplingParams params;
      params.*field = wrong;
      EXPECT_FALSE(Validate(params, TestLimits()).ok()) << wrong;
    }
    SamplingParams params;
    params.logit_bias = {{3, wrong}};
    EXPECT_FALSE(Validate(params, TestLimits()).ok()) << wrong;
  }
}

TEST(ParamsTest, RefusesExtremeIntegersWithoutOverflow) {
  for (const int64_t wrong :
       {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()}) {
    for (int64_t SamplingParams::*field :
         {&SamplingParams::top_k, &SamplingParams::n, &SamplingParams::max_new_tokens,
          &SamplingParams::min_new_tokens}) {
      SamplingParams params;
      params.*field = wrong;
      EXPECT_FALSE(Validate(params, TestLimits()).ok()) << wrong;
    }
  }
}

struct ListCase {
  const char* name;
  std::function<void(SamplingParams&, size_t)> resize;
  size_t most;
};

TEST(ParamsTest, ListsHaveCaps) {
  const ListCase cases[] = {
      {"stop_strings", [](auto& p, size_t n) { p.stop_strings.assign(n, "x"); }, 16},
      {"stop_token_ids", [](auto& p, size_t n) { p.stop_token_ids.assign(n, 1); }, 256},
      {"bad_words", [](auto& p, size_t n) { p.bad_words.assign(n, {1}); }, 256},
      {"bad_words", [](auto& p, size_t n) { p.bad_words = {std::vector<int32_t>(n, 1)}; }, 64},
      {"logit_bias",
       [](auto& p, size_t n) {
         p.logit_bias.assign(n, {1, 0.5});
       },
       1024},
      {"stop_strings", [](auto& p, size_t n) { p.stop_strings = {std::string(n, 'x')}; }, 256},
  };
  for (const ListCase& c : cases) {
    SamplingParams params;
    c.resize(params, c.most);
    EXPECT_TRUE(Validate(params, TestLimits()).ok()) << c.name;
    c.resize(params, c.most + 1);
    const Status status = Validate(params, TestLimits());
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << c.name;
    EXPECT_NE(status.message().find(c.name), std::string::npos) << status.message();
  }
}

TEST(ParamsTest, TokenIdsMustExist) {
  for (const int32_t wrong : {-1, 100, std::numeric_limits<int32_t>::min()}) {
    SamplingParams stop, bad, bias;
    stop.stop_token_ids = {5, wrong};
    bad.bad_words = {{5}, {6, wrong}};
    bias.logit_bias = {{wrong, 1.0}};
    for (const SamplingParams& params : {stop, bad, bias}) {
      EXPECT_EQ(Validate(params, TestLimits()).code(), StatusCode::kInvalidArgument) << wrong;
    }
  }
}

TEST(ParamsTest, EmptyStringsAndWordsAreRefused) {
  SamplingParams params;
  params.stop_strings = {""};
  EXPECT_FALSE(Validate(params, TestLimits()).ok());
  params.stop_strings.clear();
  params.bad_words = {{}};
  EXPECT_FALSE(Validate(params, TestLimits()).ok());
}

TEST(ParamsTest, ParametersMustAgree) {
  SamplingParams params;
  params.min_new_tokens = 31;
  EXPECT_EQ(Validate(params, TestLimits()).message(),
            "parameter \"min_new_tokens\" is 31; it must be at most max_new_tokens, 30");
  params = {};
  params.n = 10;
  params.max_new_tokens = 100;
  ParamLimits limits = TestLimits();
  limits.max_total_new_tokens = 1000;
  EXPECT_TRUE(Validate(params, limits).ok());
  limits.max_total_new_tokens = 999;
  EXPECT_FALSE(Validate(params, limits).ok());
}

TEST(ParamsTest, BeamSearchReturnsNoMoreThanItsBeams) {
  SamplingParams params;
  params.num_beams = 4;
  params.n = 4;
  EXPECT_TRUE(Validate(params, TestLimits()).ok());
  params.n = 5;
  EXPECT_EQ(Validate(params, TestLimits()).message(),
            "parameter \"n\" is 5; it must be at most \"num_beams\", which is 4");
  params.n = 1;
  ParamLimits limits = TestLimits();
  limits.max_total_new_tokens = params.num_beams * params.max_new_tokens - 1;
  EXPECT_NE(Validate(params, limits).message().find("num_beams"), std::string::npos);
  params.num_beams = 65;
  EXPECT_FALSE(Validate(params, TestLimits()).ok());
}

TEST(ParamsTest, BeamsSampleUnlessTheyAreInGroupsOrFollowFasterTransformer) {
  SamplingParams params;
  params.num_beams = 4;
  params.do_sample = true;
  EXPECT_TRUE(Validate(params, TestLimits()).ok());
  const auto refused = [](const SamplingParams& sampling) {
    const Status status = Validate(sampling, TestLimits());
    return status.message().find("do not sample: send \"do_sample\" false") != std::string::npos;
  };
  params.num_beam_groups = 2;
  params.diversity_penalty = 1;
  EXPECT_TRUE(refused(params));
  params.num_beam_groups = 1;
  params.diversity_penalty = 0;
  params.sibling_diversity_rate = 0.5;
  EXPECT_TRUE(refused(params));
  params.sibling_diversity_rate = 0;
  params.beam_rules = BeamRules::kFasterTransformer;
  EXPECT_TRUE(refused(params));
  params.temperature = 0;
  EXPECT_TRUE(Validate(params, TestLimits()).ok());
}

TEST(ParamsTest, GroupsOfBeamsAreEvenAndDiffer) {
  SamplingParams params;
  params.num_beams = 6;
  params.num_beam_groups = 3;
  params.diversity_penalty = 0.5;
  EXPECT_TRUE(Validate(params, TestLimits()).ok());
  params.num_beam_groups = 4;
  EXPECT_EQ(Validate(params, TestLimits()).message(),
            "parameter \"num_beam_groups\" is 4; it must divide \"num_beams\", which is 6");
  params.num_beam_groups = 2;
  params.diversity_penalty = 0;
  EXPECT_FALSE(Validate(params, TestLimits()).ok());
  params.num_beam_groups = 1;
  EXPECT_TRUE(Validate(params, TestLimits()).ok());
  params.diversity_penalty = 1;
  EXPECT_FALSE(Validate(params, TestLimits()).ok());
  params.num_beam_groups = 2;
  params.pad_token_id = static_cast<int32_t>(TestLimits().vocab_size);
  EXPECT_FALSE(Validate(params, TestLimits()).ok());
}

TEST(ParamsTest, ContrastiveSearchHasOneSequenceAndFewCandidates) {
  SamplingParams params;
  params.penalty_alpha = 0.6;
  EXPECT_EQ(NumContrastiveCandidates(params), 4);
  EXPECT_TRUE(UsesContrastiveSearch(params));
  EXPECT_TRUE(Validate(params, TestLimits()).ok());
  params.n = 2;
  EXPECT_FALSE(Validate(params, TestLimits()).ok());
  params.n = 1;
  params.top_k = 65;
  EXPECT_FALSE(Validate(params, TestLimits()).ok());
  params.top_k = 1;
  EXPECT_FALSE(UsesContrastiveSearch(params));
  params.top_k = 5;
  params.do_sample = true;
  EXPECT_FALSE(UsesContrastiveSearch(params));
  params.penalty_alpha = 1.5;
  EXPECT_FALSE(Validate(params, TestLimits()).ok());
}

TEST(ParamsTest, LengthPenaltyIsThatOfTheRules) {
  SamplingParams params;
  EXPECT_EQ(LengthPenalty(params), 1.0);
  params.beam_rules = BeamRules::kFasterTransformer;
  EXPECT_EQ(LengthPenalty(params), 0.0);
  params.length_penalty = -0.5;
  EXPECT_EQ(LengthPenalty(params), -0.5);
}

TEST(ParamsTest, TokensThatAreSuppressedOrForcedMustBeKnown) {
  for (const auto set : {+[](SamplingParams&p, int32_t id) {
                           p.suppress_tokens = {1, id};
                         },
                         +[](SamplingParams&p, int32_t id) { p.begin_suppress_tokens = {id}; },
                         +[](SamplingParams&p, int32_t id) { p.forced_bos_token_id = id; },
                         +[](SamplingParams&p, int32_t id) { p.forced_eos_token_id = id; }}) {
    SamplingParams params;
    set(params, 2);
    EXPECT_TRUE(Validate(params, TestLimits()).ok());
    set(params, static_cast<int32_t>(TestLimits().vocab_size));
    EXPECT_FALSE(Validate(params, TestLimits()).ok());
  }
}

TEST(ParamsTest, MessageNamesParameterValueAndRange) {
  SamplingParams params;
  params.temperature = 101;
  EXPECT_EQ(Validate(params, TestLimits()).message(),
            "parameter \"temperature\" is 101; it must be at least 0 and at most 100");
}

TEST(ParamsTest, VeryLowTemperatureIsGreedy) {
  SamplingParams params;
  EXPECT_TRUE(IsGreedy(params));
  params.do_sample = true;
  EXPECT_FALSE(IsGreedy(params));
  params.temperature = 0;
  EXPECT_TRUE(IsGreedy(params));
}

}  // namespace
}  // namespace dray::sampling
