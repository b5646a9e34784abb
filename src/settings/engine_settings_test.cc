#include "settings/engine_settings.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace dray::settings {
namespace {

std::string HostfileError(const ModelSettings& settings) {
  return std::string(MakeLoadModelOptions(settings, "model").status().message());
}

TEST(EngineSettingsTest, AHostfileIsForRanksOverMpi) {
  const auto file = std::filesystem::path(::testing::TempDir()) / "hosts";
  std::ofstream(file) << "localhost slots=2\n";
  ModelSettings settings;
  EXPECT_EQ(MakeLoadModelOptions(settings, "model")->ranks.hostfile, "");
  settings.hostfile = file;
  EXPECT_EQ(HostfileError(settings),
            "hostfile is \"" + file.string() +
                "\": only ranks over MPI are on several machines; set rank_transport to mpi");
  settings.rank_transport = engine::RankTransport::kMpi;
  EXPECT_EQ(MakeLoadModelOptions(settings, "model")->ranks.hostfile, file);
  settings.hostfile = "/no/such/file";
  EXPECT_EQ(HostfileError(settings),
            "hostfile is \"/no/such/file\": there is no such file; write a line such as \"node1 "
            "slots=2\" for each machine");
}

}  // namespace
}  // namespace dray::settings
