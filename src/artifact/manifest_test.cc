// The manifest: what is written is what is read, and no other text is.
#include "artifact/manifest.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "artifact/checksum.h"

namespace dray::artifact {
namespace {

using kernels::MatrixSpec;
using kernels::WeightFormat;
using kernels::ZeroPoint;

Manifest Example() {
  Manifest manifest;
  manifest.layout = "panels-32";
  manifest.packed_on = "avx2";
  manifest.model = Json::MakeObject({{"family", "llama"}});
  manifest.files = {
      {"config.json", 10, 7}, {"tokenizer.json", 0, 8}, {"1_Pooling/config.json", 5, 9}};
  manifest.data = {10'000, 4096, {1, 2, 3}};
  MatrixSpec spec = MatrixSpec::Of(3, 5, {WeightFormat::kI4, 32, ZeroPoint::kPerGroup});
  spec.input_scale = 0.1f;
  manifest.tensors = {
      {"norm", std::nullopt, 16, 0, 64},
      {"layers.0.qkv", spec, 0, 64, 4000},
      {"head",
       MatrixSpec::Of(2, 2, {WeightFormat::kI8, 0, ZeroPoint::kNone, kernels::Inputs::kFloat}), 0,
       4096, 5000}};
  return manifest;
}

// The text with a right checksum, whatever its content.
std::string Sealed(const Json& json) {
  std::string text = json.Dump(1);
  text.resize(text.size() - 2);
  return text + ",\n \"checksum\": \"" + ChecksumText(Checksum(text)) + "\"\n}\n";
}

Json Parsed(const Manifest& manifest) {
  Json json = Json::Parse(FormatManifest(manifest)).value();
  json.AsObject()->pop_back();
  return json;
}

TEST(ManifestTest, WhatIsWrittenIsRead) {
  const Manifest manifest = Example();
  const auto read = ParseManifest(FormatManifest(manifest), "m");
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(FormatManifest(*read), FormatManifest(manifest));
  EXPECT_EQ(read->tensors[1].matrix->input_scale, 0.1f);
  EXPECT_EQ(read->tensors[2].matrix->inputs, kernels::Inputs::kFloat);
  EXPECT_EQ(read->data.checksums, manifest.data.checksums);
  EXPECT_EQ(Sealed(Parsed(manifest)), FormatManifest(manifest));
}

TEST(ManifestTest, EveryChangedByteIsFound) {
  const std::string text = FormatManifest(Example());
  for (size_t i = 0; i < text.size(); ++i) {
    for (const char flip : {1, 0x20, 0x40}) {
      std::string damaged = text;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      EXPECT_FALSE(ParseManifest(damaged, "m").ok()) << i;
    }
    EXPECT_FALSE(ParseManifest(text.substr(0, i), "m").ok()) << i;
  }
  EXPECT_FALSE(ParseManifest(text + "\n", "m").ok());
}

// One change of a sound manifest, and what the error must name.
struct Case {
  const char* what;
  std::function<void(Json&)> change;
  const char* names;
};

Json& Member(Json& json, std::string_view key) {
  for (auto& [name, value] : *json.AsObject()) {
    if (name == key) return value;
  }
  return json;
}
Json& Element(Json& json, std::string_view key, size_t idx) {
  return (*Member(json, key).AsArray())[idx];
}

const Case kCases[] = {
    {"another format", [](Json& m) { m.Set("format", "zip"); }, "format"},
    {"a later version", [](Json& m) { m.Set("version", 2); }, "version 2"},
    {"no layout", [](Json& m) { m.Set("layout", nullptr); }, "layout"},
    {"no model", [](Json& m) { m.Set("model", 3); }, "model"},
    {"a path", [](Json& m) { Element(m, "files", 0).Set("name", "../config.json"); }, "files[0]"},
    {"an absolute path", [](Json& m) { Element(m, "files", 0).Set("name", "/etc/passwd"); },
     "files[0]"},
    {"the folder", [](Json& m) { Element(m, "files", 0).Set("name", ".."); }, "files[0]"},
    {"no name", [](Json& m) { Element(m, "files", 0).Set("name", ""); }, "files[0]"},
    {"a folder", [](Json& m) { Element(m, "files", 0).Set("name", "a/"); }, "files[0]"},
    {"a way out", [](Json& m) { Element(m, "files", 0).Set("name", "a/../../b"); }, "files[0]"},
    {"another spelling", [](Json& m) { Element(m, "files", 0).Set("name", "a//b"); }, "files[0]"},
    {"a line break", [](Json& m) { Element(m, "files", 0).Set("name", "a\nb"); }, "files[0]"},
    {"a file twice", [](Json& m) { Element(m, "files", 1).Set("name", "config.json"); },
     "files[1]"},
    {"the manifest itself", [](Json& m) { Element(m, "files", 1).Set("name", kManifestName); },
     "files[1]"},
    {"a negative size", [](Json& m) { Element(m, "files", 1).Set("bytes", -1); }, "bytes"},
    {"a short checksum", [](Json& m) { Element(m, "files", 1).Set("checksum", "12"); }, "checksum"},
    {"another data file", [](Json& m) { Member(m, "data").Set("name", "x"); }, "data"},
    {"no data", [](Json& m) { Member(m, "data").Set("bytes", 0); }, "bytes"},
    {"tiny chunks", [](Json& m) { Member(m, "data").Set("chunk_bytes", 1); }, "chunk_bytes"},
    {"a chunk without a checksum", [](Json& m) { Member(m, "data").Set("bytes", 13'000); },
     "checksums"},
    {"an offset between lines", [](Json& m) { Element(m, "tensors", 1).Set("offset", 65); },
     "offset"},
    {"shared bytes", [](Json& m) { Element(m, "tensors", 1).Set("offset", 0); }, "tensors[1]"},
    {"beyond the end", [](Json& m) { Element(m, "tensors", 2).Set("bytes", 5905); }, "bytes"},
    {"a size that overflows", [](Json& m) { Element(m, "tensors", 2).Set("bytes", INT64_MAX); },
     "bytes"},
    {"a name twice", [](Json& m) { Element(m, "tensors", 1).Set("name", "norm"); }, "name"},
    {"no rows", [](Json& m) { Element(m, "tensors", 1).Set("rows", 0); }, "rows"},
    {"a vector of another size", [](Json& m) { Element(m, "tensors", 0).Set("elements", 17); },
     "bytes"},
    {"an unknown form",
     [](Json& m) { Member(Element(m, "tensors", 1), "form").Set("format", "int2"); }, "format"},
    {"a group too large",
     [](Json& m) { Member(Element(m, "tensors", 1), "form").Set("group", 256); }, "group"},
    {"a negative scale", [](Json& m) { Element(m, "tensors", 1).Set("input_scale", -1); },
     "input_scale"},
};

TEST(ManifestTest, WhatContradictsItselfIsRefused) {
  for (const Case& c : kCases) {
    Json json = Parsed(Example());
    c.change(json);
    const auto read = ParseManifest(Sealed(json), "folder/manifest");
    ASSERT_FALSE(read.ok()) << c.what;
    EXPECT_NE(read.status().message().find("folder/manifest"), std::string::npos) << c.what;
    EXPECT_NE(read.status().message().find(c.names), std::string::npos)
        << c.what << ": " << read.status().message();
  }
}

}  // namespace
}  // namespace dray::artifact
