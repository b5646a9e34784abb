#include "cli/partition/copied_settings.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <system_error>

#include "base/file.h"
#include "base/parse/properties.h"
#include "settings/settings_table.h"

namespace dray::cli {
namespace {

// By the names in the table of settings; their other spellings count too.
constexpr std::array<std::string_view, 12> kSettled = {"option.model_id",
                                                       "option.tokenizer",
                                                       "option.dtype",
                                                       "option.quantize",
                                                       "option.quantize_group_size",
                                                       "option.smoothquant_alpha",
                                                       "option.calibration_file",
                                                       "option.load_format",
                                                       "option.forbid_pickle",
                                                       "option.save_mp_checkpoint_path",
                                                       "option.offload_dir",
                                                       "option.artifact_memory"};

bool HasWord(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const size_t space = words.find(' ');
    if (words.substr(0, space) == word) return true;
    words = space == std::string_view::npos ? std::string_view() : words.substr(space + 1);
  }
  return false;
}

bool IsSettled(std::string_view key) {
  for (const settings::Setting& setting : settings::SettingTable()) {
    if (setting.property != key && !HasWord(setting.aliases, key)) continue;
    for (const std::string_view settled : kSettled) {
      if (setting.property == settled) return true;
    }
  }
  return false;
}

// As a properties file has it: a backslash before what would end a key, begin an escape or a comment.
std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      out += c == '\n' ? "\\n" : "\\r";
      continue;
    }
    if (std::string_view("\\ :=#!\t\f").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

Result<std::string> CopiedSettings(const std::filesystem::path& model) {
  constexpr uint64_t kMostBytes = 1 << 20;
  const std::filesystem::path file = model / "serving.properties";
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return std::string();
  DRAY_ASSIGN_OR_RETURN(const std::string content, ReadFile(file, kMostBytes));
  const auto properties = ParseProperties(content);
  if (!properties.ok()) return properties.status().WithPrefix(file.string());
  std::string text;
  for (const auto& [key, value] : *properties) {
    if (!IsSettled(key)) text += fmt::format("{}={}\n", Escaped(key), Escaped(value));
  }
  return text;
}

}  // namespace dray::cli
