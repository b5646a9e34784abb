// docs/configuration.md lists every setting with the values of the settings table.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "base/file.h"
#include "base/testing/source_dir.h"
#include "settings/foreign/key_page.h"
#include "settings/settings_table.h"

namespace dray::settings {
namespace {

std::string Row(const Setting& setting) {
  return fmt::format("| `{}` | {} | {} | {} |\n", setting.property,
                     setting.flag.empty() ? "" : fmt::format("`--{}`", setting.flag),
                     setting.default_text, setting.doc);
}

std::string Table(Setting::Scope scope) {
  std::string table = "| key | flag | default | meaning |\n| --- | --- | --- | --- |\n";
  for (const Setting& setting : SettingTable()) {
    if (setting.scope == scope) table += Row(setting);
  }
  return table;
}

TEST(ConfigurationDocTest, ListsEverySettingAsItIs) {
  const auto page = ReadFile(SourceDir() / "docs/configuration.md", 1 << 20);
  ASSERT_TRUE(page.ok()) << page.status().message();
  for (const auto scope : {Setting::Scope::kModel, Setting::Scope::kServer}) {
    const std::string table = Table(scope);
    EXPECT_NE(page->find("\n" + table + "\n"), std::string::npos)
        << "docs/configuration.md lacks this table; put it there:\n"
        << table;
  }
}

// docs/configuration-keys.md is what the tables say.
TEST(ConfigurationDocTest, TheKeysOfOtherServersAreDocumented) {
  const auto page = ReadFile(SourceDir() / "docs/configuration-keys.md", 1 << 20);
  ASSERT_TRUE(page.ok()) << page.status().message();
  EXPECT_TRUE(*page == KeyPage()) << "docs/configuration-keys.md is not what the tables of "
                                     "src/settings say; renew it:\n"
                                     "build/release/dray keys > docs/configuration-keys.md";
}

// The page's examples of how names of environment variables are derived.
TEST(ConfigurationDocTest, EnvironmentNames) {
  EXPECT_EQ(EnvironmentName("option.dtype"), "OPTION_DTYPE");
  EXPECT_EQ(EnvironmentName("job_queue_size"), "SERVING_JOB_QUEUE_SIZE");
}

}  // namespace
}  // namespace dray::settings
