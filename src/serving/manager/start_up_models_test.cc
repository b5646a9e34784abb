#include "serving/manager/start_up_models.h"

#include <gtest/gtest.h>

#include <fstream>

#include "serving/manager/url_pattern.h"

namespace dray::serving {
namespace {

namespace fs = std::filesystem;

class StartUpModelsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "start_up_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    store_ = pattern;
    for (const char* folder : {"b", "a", ".hidden"}) fs::create_directories(store_ / folder);
    for (const char* file : {"c.tar.gz", "d.gguf", "README.md"})
      std::ofstream(store_ / file) << "x";
    fs::create_symlink("loop", store_ / "loop");
  }
  void TearDown() override { fs::remove_all(store_); }
  // "name:version=url" of each, with the store's path left out.
  std::string List(const std::string& load_models) {
    const auto models = ListStartUpModels(store_, load_models);
    if (!models.ok()) return models.status().message();
    std::string text;
    for (const Registration& model : *models) {
      EXPECT_EQ(model.origin, ModelOrigin::kStartUp);
      std::string url = model.url;
      if (url.starts_with(store_.string())) url = url.substr(store_.string().size());
      text += model.name + ":" + model.version + "=" + url + " ";
    }
    return text;
  }

  fs::path store_;
};

TEST_F(StartUpModelsTest, AStoreHasItsModels) {
  EXPECT_EQ(List("ALL"), "a:=/a b:=/b c:=/c.tar.gz d:=/d.gguf ");
  EXPECT_EQ(List("NONE"), "");
  // A folder's name has no extension.
  fs::create_directories(store_ / "llama-3.1");
  EXPECT_EQ(List("ALL"), "a:=/a b:=/b c:=/c.tar.gz d:=/d.gguf llama_3_1:=/llama-3.1 ");
  fs::remove(store_ / "llama-3.1");
  std::ofstream(store_ / "config.json") << "{}";
  EXPECT_EQ(ListStartUpModels(store_, "ALL")->size(), 1U);
  EXPECT_EQ(ListStartUpModels(store_, "ALL")->front().url, store_.string());
  EXPECT_TRUE(ListStartUpModels("", "ALL")->empty());
  EXPECT_EQ(ListStartUpModels("/no/such/store", "ALL").status().code(), StatusCode::kNotFound);
}

TEST_F(StartUpModelsTest, AListNamesModels) {
  EXPECT_EQ(List("b,/other/m.zip"), "b:=/b m:=/other/m.zip ");
  EXPECT_EQ(List("x=a y:v2=b,z::Python=/other/m=1.zip"), "x:=/a y:v2=/b z:=/other/m=1.zip ");
  EXPECT_EQ(List("/other/m=1.zip"), "m_1:=/other/m=1.zip ");
  EXPECT_EQ(List("none"), "");
  EXPECT_EQ(List("[x:v1:Python:*]=a  [y]=b,All"),
            "x:v1=/a y:=/b a:=/a b:=/b c:=/c.tar.gz d:=/d.gguf ");
  const auto models = ListStartUpModels(store_, "[x:v1:Python:gpu0;gpu1]=a");
  EXPECT_EQ(models->front().settings,
            (Properties{{"engine", "Python"}, {"load_on_devices", "gpu0;gpu1"}}));
  EXPECT_EQ(List("[x:v1"),
            "load_models has \"[x:v1\"; an item is a URL, or "
            "[name:version:engine:devices]=URL");
}

TEST(UrlPatternTest, MatchesWholeUrls) {
  const auto pattern = UrlPattern::Compile("/models/[a-z]+|/other");
  ASSERT_TRUE(pattern.ok());
  EXPECT_TRUE(pattern->Matches("/models/gpt"));
  EXPECT_TRUE(pattern->Matches("/other"));
  for (const std::string& url : {std::string(""), std::string("/models/"),
                                 std::string("/models/gpt/.."), std::string("x/models/gpt"),
                                 std::string("/other\n"), "/models/" + std::string(4096, 'a')}) {
    EXPECT_FALSE(pattern->Matches(url)) << url.substr(0, 50);
  }
  EXPECT_EQ(UrlPattern::Compile("(").status().code(), StatusCode::kInvalidArgument);
  // No pattern that names a folder leads out of it.
  const auto below = UrlPattern::Compile("(file://)?/models/.*");
  EXPECT_TRUE(below->Matches("file:///models/a..b/..c"));
  EXPECT_FALSE(below->Matches("/models/../etc"));
  EXPECT_FALSE(below->Matches("file:///models/a/.."));
  // Back-tracking without end is stopped.
  const auto slow = UrlPattern::Compile("(a+)+b");
  ASSERT_TRUE(slow.ok());
  EXPECT_FALSE(slow->Matches(std::string(4000, 'a')));
}

}  // namespace
}  // namespace dray::serving
