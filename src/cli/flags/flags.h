// The command line: commands and their flags. CLI11 parses it and prints the help.
//
// Only flags.cc includes CLI11, because every file that does takes at least five seconds longer to compile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"

namespace CLI {
class App;
}

namespace dray::cli {

// A list in one word, with commas between its values.
template <typename T>
struct CommaList {
  std::vector<T>* values;
};
template <typename T>
CommaList(std::vector<T>*) -> CommaList<T>;

// What a flag sets or calls. Targets, and what functions capture, must live until parsing is done.
//
//   pointer to a value   receives the flag's value; the type says which values are allowed
//   pointer to a vector  receives one more value each time the flag is given
//   comma list           receives all values of a word that is separated by commas
//   function of a text   is called with the value; the message of its error is shown to the user
//   bool*, function()    are for switches, which have no value: set to true, or called
using FlagTarget =
    std::variant<std::string*, std::optional<std::string>*, std::vector<std::string>*, int*,
                 int64_t*, uint64_t*, std::optional<int64_t>*, std::optional<uint64_t>*, float*,
                 double*, CommaList<std::string>, CommaList<int>, CommaList<int64_t>,
                 CommaList<double>, std::function<Status(const std::string&)>, bool*,
                 std::function<void()>>;

// The smallest and the largest value of a number.
template <typename T>
struct FlagLimits {
  T least, most;
};
struct NotNegative {};
using FlagCheck =
    std::variant<std::monostate, FlagLimits<int64_t>, FlagLimits<double>, NotNegative>;

struct Flag {
  // "-p,--prompt". A name without dashes is a positional argument.
  std::string names;
  FlagTarget target = {};
  std::string help = "";
  // The name of the value in the help. "": CLI11's name for the target's type.
  std::string type = "";
  // The heading above the flag in the help. "": Options or Positionals.
  std::string group = "";
  FlagCheck check = {};
  // The name of a flag that was added before and cannot be given together with this one; "": none.
  std::string excludes = "";
  // Called if the flag is given, besides setting the target.
  std::function<void()> when_given = nullptr;
  bool is_required = false;
  // Whether the help shows the value that the target has now.
  bool shows_default = false;
};

// One of the program's commands: a pointer into its CommandLine, which must live longer.
class Command {
 public:
  void Add(const Flag& flag);
  // Sets the text below the flags in the help.
  void SetFooter(const std::string& text);

 private:
  friend class CommandLine;
  explicit Command(CLI::App* app) : app_(app) {}

  CLI::App* app_;
};

// The command line of the whole program. Its user must give exactly one command.
class CommandLine {
 public:
  CommandLine(const std::string& description, const std::string& version);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  Command AddCommand(const std::string& name, const std::string& help);

  // Sets the targets of the flags that are given. If the user asks for the help or the version, or
  // makes an error, prints that and returns the exit code with which the program must end.
  std::optional<int> Parse(int argc, const char* const* argv);
  // The name of the given command. Only after Parse has returned no exit code.
  std::string command() const;

 private:
  std::unique_ptr<CLI::App> app_;
};

// Parses the command line of a program without commands. If the user asks for the help, or makes an error,
// prints that and returns the exit code with which the program must end.
std::optional<int> ParseFlags(const std::string& description, const std::vector<Flag>& flags,
                              int argc, const char* const* argv);

}  // namespace dray::cli
