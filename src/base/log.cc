#include "base/log.h"

#include <fmt/chrono.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <string>

#include "base/parse/json.h"

namespace dray {
namespace {

constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v";

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = std::make_shared<spdlog::logger>(
        "dray", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern(kTextPattern);
    return made;
  }();
  return *logger;
}

std::atomic<LogFormat> current_format{LogFormat::kText};

std::string JsonLine(spdlog::level::level_enum level, std::string_view message,
                     const Json* fields) {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  const auto name = spdlog::level::to_string_view(level);
  Json line = Json::MakeObject(
      {{"time", fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                            fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                            (now - seconds).count())},
       {"level", std::string_view(name.data(), name.size())},
       {"message", message}});
  if (fields != nullptr) {
    for (const auto& [key, value] : *fields->AsObject()) line.Set(key, value);
  }
  return line.Dump();
}

std::string Escaped(std::string_view message) {
  std::string out;
  out.reserve(message.size());
  for (char c : message) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

void Write(spdlog::level::level_enum level, std::string_view message,
           const Json* fields = nullptr) {
  if (!Logger().should_log(level)) return;
  const bool is_json = current_format == LogFormat::kJson;
  Logger().log(level, "{}", is_json ? JsonLine(level, message, fields) : Escaped(message));
}

}  // namespace

void SetLogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      Logger().set_level(spdlog::level::debug);
      break;
    case LogLevel::kInfo:
      Logger().set_level(spdlog::level::info);
      break;
    case LogLevel::kWarning:
      Logger().set_level(spdlog::level::warn);
      break;
    case LogLevel::kError:
      Logger().set_level(spdlog::level::err);
      break;
    case LogLevel::kOff:
      Logger().set_level(spdlog::level::off);
      break;
  }
}

void SetLogFormat(LogFormat format) {
  current_format = format;
  Logger().set_pattern(format == LogFormat::kJson ? "%v" : kTextPattern);
}

void LogDebug(std::string_view message) { Write(spdlog::level::debug, message); }
void LogInfo(std::string_view message) { Write(spdlog::level::info, message); }
void LogInfo(std::string_view message, const Json& fields) {
  Write(spdlog::level::info, message, &fields);
}
void LogWarning(std::string_view message) { Write(spdlog::level::warn, message); }
void LogError(std::string_view message) { Write(spdlog::level::err, message); }

}  // namespace dray
