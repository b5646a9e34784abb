// Logging to standard error, one line an event. The library behind it is seen by log.cc alone; a
// message is made with fmt at the call site:  LogInfo(fmt::format("loaded {} tensors", n)); Control
// characters in messages are escaped, so that text from outside cannot forge lines.
#pragma once

#include <string_view>

namespace dray {

class Json;

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

void SetLogLevel(LogLevel level);

// How a line is written: "TIME LEVEL MESSAGE", or as a JSON object with the members time, level, message and
// those of the event.
enum class LogFormat { kText, kJson };
void SetLogFormat(LogFormat format);
void LogDebug(std::string_view message);
void LogInfo(std::string_view message);
// `fields` is an object, whose members only kJson shows.
void LogInfo(std::string_view message, const Json& fields);
void LogWarning(std::string_view message);
void LogError(std::string_view message);

}  // namespace dray
