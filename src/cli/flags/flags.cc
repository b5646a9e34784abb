#include "cli/flags/flags.h"

#include <CLI/CLI.hpp>
#include <type_traits>

namespace dray::cli {
namespace {

constexpr int kExitFailed = 1;

using TakeText = std::function<Status(const std::string&)>;

CLI::Option* AddOption(CLI::App& app, const Flag& flag, const TakeText& take) {
  return app.add_option_function<std::string>(
      flag.names,
      [take, name = flag.names.substr(flag.names.rfind(',') + 1)](const std::string& text) {
        const Status status = take(text);
        if (!status.ok()) throw CLI::ValidationError(name, status.message());
      },
      flag.help);
}
CLI::Option* AddOption(CLI::App& app, const Flag& flag, const std::function<void()>& set) {
  return app.add_flag_callback(flag.names, set, flag.help);
}
CLI::Option* AddOption(CLI::App& app, const Flag& flag, bool* target) {
  return app.add_flag(flag.names, *target, flag.help);
}
CLI::Option* AddOption(CLI::App& app, const Flag& flag, std::vector<std::string>* target) {
  // Each flag takes one value, because the next word may be a positional argument.
  return app.add_option(flag.names, *target, flag.help)->allow_extra_args(false);
}
template <typename T>
CLI::Option* AddOption(CLI::App& app, const Flag& flag, CommaList<T> target) {
  return app.add_option(flag.names, *target.values, flag.help)
      ->delimiter(',')
      ->allow_extra_args(false);
}
template <typename T>
CLI::Option* AddOption(CLI::App& app, const Flag& flag, T* target) {
  return app.add_option(flag.names, *target, flag.help);
}

void AddCheck(CLI::Option&, std::monostate) {}
void AddCheck(CLI::Option& option, NotNegative) { option.check(CLI::NonNegativeNumber); }
template <typename T>
void AddCheck(CLI::Option& option, const FlagLimits<T>& limits) {
  option.check(CLI::Range(limits.least, limits.most));
}

void AddFlag(CLI::App& app, const Flag& flag) {
  CLI::Option& option =
      *std::visit([&](const auto& target) { return AddOption(app, flag, target); }, flag.target);
  std::visit([&](const auto& check) { AddCheck(option, check); }, flag.check);
  option.required(flag.is_required);
  if (!flag.type.empty()) option.type_name(flag.type);
  if (!flag.group.empty()) option.group(flag.group);
  if (!flag.excludes.empty()) option.excludes(app.get_option(flag.excludes));
  if (flag.when_given) option.each([then = flag.when_given](const std::string&) { then(); });
  if (flag.shows_default) option.capture_default_str();
}

std::optional<int> ParseApp(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // The library's own codes tell kinds of errors apart; every other error of a command is 1.
    return app.exit(error) == 0 ? 0 : kExitFailed;
  }
  return std::nullopt;
}

}  // namespace

void Command::Add(const Flag& flag) { AddFlag(*app_, flag); }

void Command::SetFooter(const std::string& text) { app_->footer(text); }

CommandLine::CommandLine(const std::string& description, const std::string& version)
    : app_(std::make_unique<CLI::App>(description)) {
  app_->require_subcommand(1);
  app_->set_version_flag("--version", version);
}

CommandLine::~CommandLine() = default;

Command CommandLine::AddCommand(const std::string& name, const std::string& help) {
  return Command(app_->add_subcommand(name, help));
}

std::optional<int> CommandLine::Parse(int argc, const char* const* argv) {
  return ParseApp(*app_, argc, argv);
}

std::string CommandLine::command() const { return app_->get_subcommands().front()->get_name(); }

std::optional<int> ParseFlags(const std::string& description, const std::vector<Flag>& flags,
                              int argc, const char* const* argv) {
  CLI::App app(description);
  for (const Flag& flag : flags) AddFlag(app, flag);
  return ParseApp(app, argc, argv);
}

}  // namespace dray::cli
