#include "cli/flags/flags.h"

#include <gtest/gtest.h>

#include "base/parse/parse_number.h"

namespace dray::cli {
namespace {

// A command line with one command, "run", whose flags have every kind of target.
class FlagsTest : public testing::Test {
 protected:
  FlagsTest() {
    Command run = line_.AddCommand("run", "Runs");
    run.Add({.names = "model", .target = &model_, .help = "The model", .type = "MODEL"});
    run.Add({.names = "-n,--count",
             .target = &count_,
             .help = "How many",
             .check = FlagLimits<int64_t>{1, 10},
             .shows_default = true});
    run.Add({.names = "--rate", .target = &rate_, .when_given = [this] { ++rates_given_; }});
    run.Add({.names = "--seed", .target = &seed_});
    run.Add({.names = "--least", .target = &least_, .check = NotNegative{}});
    run.Add({.names = "--stop", .target = &stops_});
    run.Add({.names = "--quiet", .target = &quiet_});
    run.Add({.names = "--loud", .target = [this] { loud_ = true; }, .excludes = "--quiet"});
    run.Add({.names = "--even", .target = [this](const std::string& text) { return Take(text); }});
  }

  Status Take(const std::string& text) {
    even_ = ParseInt64(text).value_or(1);
    if (even_ % 2 == 0) return OkStatus();
    return {StatusCode::kInvalidArgument, text + ": it must be even"};
  }

  // The exit code, 0 also if the program goes on; what is printed goes to printed_.
  int Parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "program");
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const auto exit_code = line_.Parse(static_cast<int>(arguments.size()), arguments.data());
    printed_ = testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
    ends_ = exit_code.has_value();
    return exit_code.value_or(0);
  }

  bool IsPrinted(const std::string& text) const { return printed_.find(text) != std::string::npos; }

  CommandLine line_{"A program", "1.2.3"};
  std::string model_;
  int64_t count_ = 3;
  double rate_ = 0;
  int rates_given_ = 0;
  std::optional<uint64_t> seed_;
  std::optional<int64_t> least_;
  std::vector<std::string> stops_;
  bool quiet_ = false, loud_ = false;
  int64_t even_ = 0;
  std::string printed_;
  bool ends_ = false;
};

TEST_F(FlagsTest, FillsTargets) {
  EXPECT_EQ(Parse({"run", "--stop", "a", "folder", "--stop", "b", "-n", "7", "--rate", "0.5",
                   "--seed", "18446744073709551615", "--least", "0", "--loud", "--even", "4"}),
            0);
  EXPECT_FALSE(ends_) << printed_;
  EXPECT_EQ(line_.command(), "run");
  EXPECT_EQ(model_, "folder");
  EXPECT_EQ(count_, 7);
  EXPECT_EQ(rate_, 0.5);
  EXPECT_EQ(rates_given_, 1);
  EXPECT_EQ(seed_, 18446744073709551615u);
  EXPECT_EQ(least_, 0);
  EXPECT_EQ(stops_, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(quiet_);
  EXPECT_TRUE(loud_);
  EXPECT_EQ(even_, 4);
}

TEST_F(FlagsTest, LeavesWhatIsNotGiven) {
  EXPECT_EQ(Parse({"run"}), 0);
  EXPECT_FALSE(ends_);
  EXPECT_EQ(count_, 3);
  EXPECT_EQ(rates_given_, 0);
  EXPECT_EQ(seed_, std::nullopt);
}

TEST_F(FlagsTest, HelpAndVersionEndTheProgram) {
  EXPECT_EQ(Parse({"run", "--help"}), 0);
  EXPECT_TRUE(ends_);
  EXPECT_TRUE(IsPrinted("model MODEL")) << printed_;
  EXPECT_TRUE(IsPrinted("-n,--count INT:INT in [1 - 10]=3")) << printed_;
  EXPECT_EQ(Parse({"--version"}), 0);
  EXPECT_TRUE(ends_);
  EXPECT_EQ(printed_, "1.2.3\n");
}

TEST_F(FlagsTest, ErrorsNameTheFlag) {
  EXPECT_EQ(Parse({}), 1);
  EXPECT_TRUE(IsPrinted("A subcommand is required")) << printed_;
  EXPECT_EQ(Parse({"run", "--nothing"}), 1);
  EXPECT_TRUE(IsPrinted("--nothing")) << printed_;
  EXPECT_EQ(Parse({"run", "--count", "11"}), 1);
  EXPECT_TRUE(IsPrinted("--count: Value 11 not in range 1 to 10")) << printed_;
  EXPECT_NE(Parse({"run", "--least", "-1"}), 0);
  EXPECT_NE(Parse({"run", "--rate", "fast"}), 0);
  EXPECT_TRUE(IsPrinted("--rate")) << printed_;
  EXPECT_NE(Parse({"run", "--quiet", "--loud"}), 0);
  EXPECT_TRUE(IsPrinted("--quiet excludes --loud")) << printed_;
}

TEST_F(FlagsTest, AFunctionsErrorFollowsTheFlagsName) {
  EXPECT_EQ(Parse({"run", "--even", "3"}), 1);
  EXPECT_EQ(printed_.substr(0, printed_.find('\n')), "--even: 3: it must be even");
}

// The flags of a program without commands: what the parse returned, and what the flags have set.
struct Given {
  std::optional<int> exit_code;
  int rounds = 1;
  uint64_t queue = 2;
  float factor = 3;
  std::vector<int64_t> rows = {1, 2};
  std::vector<double> shares;
};

Given ParseProgram(std::vector<const char*> arguments) {
  Given given;
  arguments.insert(arguments.begin(), "program");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  given.exit_code = ParseFlags("One question",
                               {{.names = "--rounds", .target = &given.rounds},
                                {.names = "--queue", .target = &given.queue},
                                {.names = "--factor", .target = &given.factor},
                                {.names = "--rows", .target = CommaList{&given.rows}},
                                {.names = "--shares", .target = CommaList{&given.shares}}},
                               static_cast<int>(arguments.size()), arguments.data());
  testing::internal::GetCapturedStdout();
  testing::internal::GetCapturedStderr();
  return given;
}

TEST(ParseFlagsTest, AProgramWithoutCommandsHasFlags) {
  const Given given =
      ParseProgram({"--rounds", "7", "--queue", "64", "--factor", "0.5", "--rows", "4,512"});
  EXPECT_EQ(given.exit_code, std::nullopt);
  EXPECT_EQ(given.rounds, 7);
  EXPECT_EQ(given.queue, 64);
  EXPECT_EQ(given.factor, 0.5F);
  EXPECT_EQ(given.rows, (std::vector<int64_t>{4, 512}));
  EXPECT_TRUE(given.shares.empty());
}

TEST(ParseFlagsTest, AListHasOneWord) {
  EXPECT_EQ(ParseProgram({"--shares", "0.5,1"}).shares, (std::vector<double>{0.5, 1}));
  EXPECT_NE(ParseProgram({"--rows", "4", "512"}).exit_code.value_or(0), 0);
}

TEST(ParseFlagsTest, WhatIsNotGivenKeepsItsValue) {
  EXPECT_EQ(ParseProgram({}).rows, (std::vector<int64_t>{1, 2}));
}

TEST(ParseFlagsTest, ErrorsEndTheProgram) {
  EXPECT_NE(ParseProgram({"--rounds", "many"}).exit_code.value_or(0), 0);
  EXPECT_NE(ParseProgram({"--unknown"}).exit_code.value_or(0), 0);
  EXPECT_EQ(ParseProgram({"--help"}).exit_code, 0);
}

}  // namespace
}  // namespace dray::cli
