// The legacy container's cases of malformed_files.h, and the sound variants of torch files.
#include <fmt/format.h>

#include <iterator>

#include "checkpoint/testing/malformed_builders.h"
#include "checkpoint/testing/malformed_files.h"

namespace dray::checkpoint {
namespace {

using Cases = std::vector<MalformedCase>;

template <typename Change>
void Add(Cases& cases, const char* name, const char* expected, const Change& change) {
  LegacySpec spec;
  change(spec);
  cases.push_back({fmt::format("legacy_{}", name), spec.Bytes(), expected});
}

PickleWriter Pickle() { return PickleWriter().Proto(); }

std::string System(const std::string& little_endian) {
  return Pickle().Raw("}").Text("little_endian").Raw(little_endian).Raw("s.").bytes();
}

void AddPreambles(Cases& cases) {
  const auto add = [&](const char* name, const char* expected, const auto& change) {
    Add(cases, name, expected, change);
  };
  add("magic_int", "magic number",
      [](LegacySpec& s) { s.magic = Pickle().Int(1).Raw(".").bytes(); });
  add("magic_other", "magic number", [](LegacySpec& s) { s.magic[6] = '\0'; });
  add("magic_text", "magic number",
      [](LegacySpec& s) { s.magic = Pickle().Text("PK").Raw(".").bytes(); });
  add("magic_call", "magic number",
      [](LegacySpec& s) { s.magic = Pickle().Global("os", "system").Raw(")R.").bytes(); });
  add("protocol_1000", "protocol version",
      [](LegacySpec& s) { s.protocol = Pickle().Int(1000).Raw(".").bytes(); });
  add("protocol_text", "protocol version",
      [](LegacySpec& s) { s.protocol = Pickle().Text("1001").Raw(".").bytes(); });
  add("protocol_missing", "protocol version", [](LegacySpec& s) { s.protocol.clear(); });
  add("system_list", "system description",
      [](LegacySpec& s) { s.system = Pickle().Raw("].").bytes(); });
  add("system_empty", "system description",
      [](LegacySpec& s) { s.system = Pickle().Raw("}.").bytes(); });
  add("system_big_endian", "little-endian", [](LegacySpec& s) { s.system = System("\x89"); });
  add("system_endian_int", "little-endian", [](LegacySpec& s) { s.system = System("K\x01"); });
  add("system_call", "system description",
      [](LegacySpec& s) { s.system = System("cos\nsystem\n)R"); });
}

void AddKeys(Cases& cases) {
  const auto add = [&](const char* name, const char* expected, const std::string& keys) {
    Add(cases, name, expected, [&](LegacySpec& s) { s.keys = keys; });
  };
  add("keys_missing", "storage keys", "");
  add("keys_tuple", "storage keys", Pickle().Text("0").Raw("\x85.").bytes());
  add("keys_empty", "storage keys: \"0\" is missing", Pickle().Raw("].").bytes());
  add("keys_other", "storage keys: \"1\"", Pickle().Raw("](").Text("1").Raw("e.").bytes());
  add("keys_int", "storage keys: an integer", Pickle().Raw("](").Int(0).Raw("e.").bytes());
  add("keys_one_more", "storage keys: \"1\"",
      Pickle().Raw("](").Text("0").Text("1").Raw("e.").bytes());
  add("keys_twice", "storage keys: \"0\"",
      Pickle().Raw("](").Text("0").Text("0").Raw("e.").bytes());
}

void AddStorages(Cases& cases) {
  const auto add = [&](const char* name, const char* expected, const std::string& storages) {
    Add(cases, name, expected, [&](LegacySpec& s) { s.storages = storages; });
  };
  add("storages_missing", "storage \"0\"", "");
  add("storage_count_cut", "storage \"0\"", "1234");
  add("storage_count_less", "storage \"0\"", LittleEndian(5, 8) + std::string(24, '\0'));
  add("storage_count_more", "storage \"0\"", LittleEndian(7, 8) + std::string(28, '\0'));
  add("storage_count_negative", "storage \"0\"", LittleEndian(~0ull, 8) + std::string(24, '\0'));
  add("storage_count_huge", "storage \"0\"", LittleEndian(1ull << 62, 8) + std::string(24, '\0'));
  add("storage_cut", "storage \"0\"", LittleEndian(6, 8) + std::string(23, '\0'));
  add("storage_and_more", "follow the last storage", LittleEndian(6, 8) + std::string(25, '\0'));
}

void AddStateDicts(Cases& cases) {
  const auto add = [&](const char* name, const char* expected, const PickleTensor& tensor) {
    Add(cases, name, expected, [&](LegacySpec& s) { s.state_dict = StateDictPickle(tensor); });
  };
  add("tensor_beyond", "tensor \"w\"", {.offset = 1});
  add("tensor_stride_beyond", "tensor \"w\"", {.strides = {5, 1}});
  add("storage_elements_overflow", "storage \"0\"", {.storage = {.elements = INT64_MAX}});
  add("storage_elements_other", "storage \"0\"", {.storage = {.elements = 9}});
  Add(cases, "state_dict_call", "posix.system", [](LegacySpec& s) {
    s.state_dict =
        Pickle().Raw("}").Text("w").Global("posix", "system").Text("id").Raw("\x85Rs.").bytes();
  });
  Add(cases, "state_dict_missing", "state dict", [](LegacySpec& s) { s.state_dict.clear(); });
  const std::string whole = LegacySpec().Bytes();
  for (size_t size = 1; size < whole.size(); size += 17) {
    cases.push_back({fmt::format("legacy_truncated_to_{}", size), whole.substr(0, size), ":"});
  }
}

void AddOtherFiles(Cases& cases) {
  cases.push_back({"torch_empty_file", "", "torch.save did not write it"});
  cases.push_back({"torch_text", "hello", "torch.save did not write it"});
  cases.push_back(
      {"torch_gzip", "\x1F\x8B\x08" + std::string(50, '\0'), "torch.save did not write it"});
  cases.push_back({"torch_tar", std::string("storages") + std::string(500, '\0'),
                   "torch.save did not write it"});
  cases.push_back({"torch_zeros", std::string(4096, '\0'), "torch.save did not write it"});
  cases.push_back({"torch_lfs_pointer", "version https://git-lfs.github.com/spec/v1\nsize 1\n",
                   "git lfs pull"});
  cases.push_back({"torch_safetensors", SafetensorsFile("{}", ""), "torch.save did not write it"});
}

// Archives as other writers than torch make them.
std::vector<WellFormedFile> WellFormedZips() {
  ZipSpec plain = SoundTorchZip();
  plain.zip64 = false;
  for (ZipEntrySpec& entry : plain.entries) entry.flags = 0;
  ZipSpec padded = SoundTorchZip();
  for (ZipEntrySpec& entry : padded.entries) entry.extra = "FB" + LittleEndian(5, 2) + "ZZZZZ";
  ZipSpec wide = SoundTorchZip();
  ZipEntrySpec& storage = wide.Entry("data/0");
  storage.central.size = storage.central.compressed = 0xFFFFFFFF;
  storage.central.extra =
      LittleEndian(1, 2) + LittleEndian(16, 2) + LittleEndian(24, 8) + LittleEndian(24, 8);
  ZipSpec saturated = SoundTorchZip();
  saturated.end.entries = 0xFFFF;
  saturated.end.size = saturated.end.offset = 0xFFFFFFFF;
  ZipSpec old = SoundTorchZip();
  old.entries.erase(old.entries.begin() + 1);  // before 2.0 there was no byteorder
  ZipSpec other_folder = SoundTorchZip();
  for (ZipEntrySpec& entry : other_folder.entries)
    entry.name = "pytorch_model/" + entry.name.substr(2);
  return {{"as_torch_writes", SoundTorchZip().Bytes()},
          {"narrow_without_descriptors", plain.Bytes()},
          {"padded", padded.Bytes()},
          {"zip64_sizes", wide.Bytes()},
          {"zip64_end_only", saturated.Bytes()},
          {"no_byteorder", old.Bytes()},
          {"other_folder", other_folder.Bytes()}};
}

}  // namespace

std::vector<MalformedCase> MalformedLegacyFiles() {
  Cases cases;
  AddPreambles(cases);
  AddKeys(cases);
  AddStorages(cases);
  AddStateDicts(cases);
  AddOtherFiles(cases);
  return cases;
}

std::vector<MalformedCase> MalformedTorchFiles() {
  Cases all = MalformedZips();
  for (Cases more : {MalformedPickles(), MalformedLegacyFiles()}) {
    std::move(more.begin(), more.end(), std::back_inserter(all));
  }
  return all;
}

std::vector<WellFormedFile> WellFormedTorchFiles() {
  using Tensor = PickleTensor;
  std::vector<WellFormedFile> files = WellFormedZips();
  const auto add = [&](const char* name, const Tensor& tensor) {
    files.push_back({name, TorchZipWithPickle(StateDictPickle(tensor))});
  };
  add("transposed", {.shape = {3, 2}, .strides = {1, 3}});
  add("inner_view", {.offset = 1, .shape = {2, 2}, .strides = {3, 1}});
  add("overlapping_windows", {.shape = {2, 3}, .strides = {1, 1}});
  add("scalar_at_the_end", {.offset = 5, .shape = {}, .strides = {}});
  add("empty_at_the_end", {.offset = 6, .shape = {0}, .strides = {1}});
  add("expanded", {.shape = {1000, 6}, .strides = {0, 1}});
  add("ints", {.storage = {.type = "IntStorage"}});
  add("complex",
      {.storage = {.type = "ComplexFloatStorage", .elements = 3}, .shape = {3}, .strides = {1}});
  files.push_back(
      {"python2_strings",
       TorchZipWithPickle(PickleWriter().Proto().Raw("}U\x01w").Rebuild({}).Raw("s.").bytes())});
  files.push_back({"legacy", LegacySpec().Bytes()});
  return files;
}

}  // namespace dray::checkpoint
