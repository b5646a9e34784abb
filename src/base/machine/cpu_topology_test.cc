#include "base/machine/cpu_topology.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "base/machine/cpu_info.h"

namespace dray {
namespace {

using Nodes = std::vector<std::vector<int>>;

TEST(CpuTopologyTest, ReadsTheKernelsLists) {
  EXPECT_EQ(ParseCpuList("0-3,8,10-11\n"), (std::vector<int>{0, 1, 2, 3, 8, 10, 11}));
  EXPECT_EQ(ParseCpuList("5"), std::vector<int>{5});
  EXPECT_EQ(ParseCpuList(""), std::vector<int>{});  // a node of memory alone
  EXPECT_EQ(ParseCpuList("\n"), std::vector<int>{});
}

TEST(CpuTopologyTest, RefusesWhatIsNoList) {
  for (const char* text : {"a", "1-", "-1", "3-1", "1,,2", ",", "1-2-3", "0-4000000000", "99999",
                           "0-65535,0-65535", "1;2", "0x1"}) {
    EXPECT_EQ(ParseCpuList(text), std::nullopt) << text;
  }
}

class NodeFolder {
 public:
  explicit NodeFolder(const std::string& name)
      : root_(std::filesystem::path(testing::TempDir()) / name) {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  void Add(const std::string& node, const std::string& list) const {
    std::filesystem::create_directories(root_ / node);
    std::ofstream(root_ / node / "cpulist") << list << "\n";
  }
  const std::filesystem::path& root() const { return root_; }

 private:
  std::filesystem::path root_;
};

TEST(CpuTopologyTest, GroupsByNode) {
  const NodeFolder folder("two_nodes");
  folder.Add("node1", "2-3,6-7");
  folder.Add("node0", "0-1,4-5");
  folder.Add("node10", "");  // memory without processors
  folder.Add("power", "0-7");
  EXPECT_EQ(CpusByNode({0, 1, 2, 3, 4, 5, 6, 7}, folder.root()),
            (Nodes{{0, 1, 4, 5}, {2, 3, 6, 7}}));
  EXPECT_EQ(CpusByNode({2, 6}, folder.root()), (Nodes{{2, 6}})) << "an affinity mask";
  EXPECT_EQ(CpusByNode({3, 4, 9}, folder.root()), (Nodes{{4, 9}, {3}})) << "9 is nobody's";
}

TEST(CpuTopologyTest, WithoutADescriptionThereIsOneNode) {
  EXPECT_EQ(CpusByNode({0, 5}, "/nonexistent"), (Nodes{{0, 5}}));
  const NodeFolder folder("broken_nodes");
  folder.Add("node0", "what is this");
  folder.Add("nodeX", "0-5");
  EXPECT_EQ(CpusByNode({0, 5}, folder.root()), (Nodes{{0, 5}}));
}

TEST(CpuTopologyTest, ThisMachinesProcessorsAreAllThereOnce) {
  std::vector<int> all;
  for (const auto& node : CpusByNode(AllowedCpus()))
    all.insert(all.end(), node.begin(), node.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, AllowedCpus());
}

}  // namespace
}  // namespace dray
