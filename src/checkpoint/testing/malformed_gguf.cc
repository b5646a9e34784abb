// The GGUF cases of malformed_files.h.
#include <fmt/format.h>

#include <bit>
#include <optional>
#include <string_view>
#include <utility>

#include "checkpoint/testing/malformed_builders.h"
#include "checkpoint/testing/malformed_files.h"

namespace dray::checkpoint {
namespace {

using Cases = std::vector<MalformedCase>;

// Numbers of the format's kinds of values.
constexpr uint32_t kUint8 = 0, kUint32 = 4, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9,
                   kUint64 = 10, kFloat64 = 12;
// And of some tensor types.
constexpr uint32_t kF32 = 0, kF16 = 1, kQ40 = 2, kQ4K = 12, kI8 = 24;

std::string U32(uint64_t value) { return LittleEndian(value, 4); }
std::string U64(uint64_t value) { return LittleEndian(value, 8); }
std::string Text(std::string_view text) { return U64(text.size()) + std::string(text); }
std::string Key(std::string_view key, uint32_t type, std::string_view value) {
  return Text(key) + U32(type) + std::string(value);
}
std::string ArrayOf(uint32_t type, uint64_t count, std::string_view elements) {
  return U32(type) + U64(count) + std::string(elements);
}

std::string Info(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                 uint64_t offset) {
  std::string out = Text(name) + U32(dims.size());
  for (const uint64_t dim : dims) out += U64(dim);
  return out + U32(type) + U64(offset);
}

// A file; what is set overrides what would be true.
struct Gguf {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> num_tensors = {};
  std::optional<uint64_t> num_keys = {};
  std::vector<std::string> keys = {Key("general.architecture", kString, Text("llama")),
                                   Key("list", kArray, ArrayOf(kString, 2, Text("a") + Text(""))),
                                   Key("size", kUint32, U32(7))};
  std::vector<std::string> infos = {Info("a", {4, 2}, kF32, 0), Info("b", {32, 2}, kQ40, 32)};
  size_t data_bytes = 68;
  size_t alignment = 32;

  std::string Header() const {
    std::string out = magic + U32(version) + U64(num_tensors.value_or(infos.size())) +
                      U64(num_keys.value_or(keys.size()));
    for (const std::string& key : keys) out += key;
    for (const std::string& info : infos) out += info;
    return out;
  }
  std::string Bytes() const {
    std::string out = Header();
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    return out + std::string(data_bytes, '\x11');
  }
};

std::string WithKey(const std::string& key) {
  Gguf file;
  file.keys.push_back(key);
  return file.Bytes();
}

std::string WithInfos(std::vector<std::string> infos, size_t data_bytes) {
  Gguf file;
  file.infos = std::move(infos);
  file.data_bytes = data_bytes;
  return file.Bytes();
}

void AddTruncations(Cases& cases) {
  const Gguf file;
  const std::string whole = file.Bytes();
  for (size_t size = 0; size < whole.size(); size += size < 40 ? 1 : 3) {
    const char* expected = size < 4                      ? "too few for a GGUF file"
                           : size < file.Header().size() ? " left"
                                                         : "it was cut short";
    cases.push_back({fmt::format("truncated_to_{}", size), whole.substr(0, size), expected});
  }
}

void AddVersions(Cases& cases) {
  for (const uint32_t version : {0u, 1u, 4u, 17u, 0x00030001u, ~0u}) {
    Gguf file;
    file.version = version;
    cases.push_back({fmt::format("version_{}", version), file.Bytes(), "its version is"});
  }
  for (const uint32_t version : {1u, 2u, 3u}) {
    Gguf file;
    file.version = version << 24;
    cases.push_back({fmt::format("big_endian_{}", version), file.Bytes(), "big-endian"});
  }
  for (const char* magic : {"gguf", "GGML", "FUGG", "PK\x03\x04", "ggjt"}) {
    Gguf file;
    file.magic = magic;
    cases.push_back({fmt::format("magic_{}", cases.size()), file.Bytes(), "it begins with"});
  }
  cases.push_back({"git_lfs_pointer",
                   "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
                   "Git LFS pointer"});
  cases.push_back({"safetensors", SafetensorsFile("{}", ""), "it begins with"});
}

void AddCounts(Cases& cases) {
  for (const uint64_t count : {3ull, 4ull, 1000ull, 100'000ull}) {
    Gguf file;
    file.num_tensors = count;
    file.data_bytes = 0;
    cases.push_back({fmt::format("{}_tensors_said", count), file.Bytes(), "tensor"});
  }
  for (const uint64_t count : {100'001ull, 1ull << 32, 1ull << 63, ~0ull}) {
    Gguf file;
    file.num_tensors = count;
    cases.push_back({fmt::format("{}_tensors_said", count), file.Bytes(), "above the limit"});
    file = Gguf();
    file.num_keys = count;
    cases.push_back({fmt::format("{}_keys_said", count), file.Bytes(), "above the limit"});
  }
  for (const uint64_t count : {4ull, 5ull}) {
    Gguf file;
    file.num_keys = count;
    cases.push_back({fmt::format("{}_keys_said", count), file.Bytes(), "above the limit of"});
  }
}

void AddKeys(Cases& cases) {
  const auto add = [&](const std::string& name, const std::string& key, const char* expected) {
    cases.push_back({name, WithKey(key), expected});
  };
  add("empty_key", Key("", kUint32, U32(1)), "is empty");
  add("repeated_key", Key("size", kUint32, U32(7)), "stands there twice");
  add("long_key", Key(std::string(65536, 'k'), kUint32, U32(7)), "above the limit of 65535");
  for (const uint64_t size : {1ull << 20, 1ull << 31, 1ull << 32, 1ull << 63, ~0ull}) {
    add(fmt::format("key_of_{}_bytes", size), U64(size) + "key", "above the limit");
  }
  for (const uint32_t type : {13u, 14u, 100u, 0x08000000u, ~0u}) {
    add(fmt::format("value_type_{}", type), Key("k", type, U64(1)), "which does not exist");
  }
  for (const uint8_t value : {2, 3, 255}) {
    add(fmt::format("boolean_{}", value), Key("k", kBool, LittleEndian(value, 1)), "a boolean is");
  }
  for (const uint64_t size : {(16ull << 20) + 1, 1ull << 32, 1ull << 63, ~0ull}) {
    add(fmt::format("text_of_{}_bytes", size), Key("k", kString, U64(size)), "above the limit");
  }
  for (const uint64_t size : {1000ull, 16ull << 20}) {
    add(fmt::format("text_of_{}_bytes_said", size), Key("k", kString, U64(size)), " left");
  }
}

void AddArrays(Cases& cases) {
  const auto add = [&](const std::string& name, const std::string& array, const char* expected) {
    cases.push_back({name, WithKey(Key("k", kArray, array)), expected});
  };
  for (const uint64_t count : {1ull << 20, 1ull << 32, 1ull << 61, 1ull << 63, ~0ull}) {
    add(fmt::format("array_of_{}", count), ArrayOf(kUint8, count, "x"), "elements are wanted");
    add(fmt::format("array_of_{}_texts", count), ArrayOf(kString, count, Text("x")),
        "elements are wanted");
  }
  for (const uint32_t type : {13u, 200u, ~0u}) {
    add(fmt::format("array_of_type_{}", type), ArrayOf(type, 1, "xxxx"), "which does not exist");
  }
  add("array_of_too_many", ArrayOf(kUint8, 4'000'001, std::string(4'000'001, 'x')), "hold above");
  std::string many;
  for (int i = 0; i < 5; ++i) many += ArrayOf(kUint8, 900'000, std::string(900'000, 'x'));
  add("arrays_of_too_many", ArrayOf(kArray, 5, many), "hold above");
  std::string nested = ArrayOf(kUint8, 1, "x");
  for (int depth = 1; depth < 8; ++depth) {
    nested = ArrayOf(kArray, 1, nested);
    if (depth >= 4) add(fmt::format("array_{}_deep", depth + 1), nested, "deep in each other");
  }
  add("array_cut_short", ArrayOf(kFloat64, 40, ""), " left");
}

void AddAlignments(Cases& cases) {
  const auto add = [&](const std::string& name, uint32_t type, const std::string& value) {
    cases.push_back({"alignment_" + name, WithKey(Key("general.alignment", type, value)),
                     "general.alignment is"});
  };
  for (const uint32_t value : {0u, 3u, 24u, 33u, (1u << 20) + 1, 1u << 21, 1u << 31, ~0u}) {
    add(fmt::format("{}", value), kUint32, U32(value));
  }
  add("huge", kUint64, U64(1ull << 63));
  add("text", kString, Text("32"));
  add("float", kFloat32, U32(std::bit_cast<uint32_t>(32.5f)));
  Gguf file;
  file.keys.push_back(Key("general.alignment", kUint32, U32(64)));
  file.alignment = 64;
  cases.push_back({"offset_below_alignment", file.Bytes(), "no multiple of the alignment 64"});
}

void AddNames(Cases& cases) {
  const auto add = [&](const std::string& name, const std::string& info, const char* expected) {
    cases.push_back({name, WithInfos({info}, 64), expected});
  };
  add("empty_name", Info("", {4}, kF32, 0), "the name is empty");
  add("name_with_newline", Info("a\nb", {4}, kF32, 0), "control characters");
  add("name_with_zero", Info(std::string_view("a\0b", 3), {4}, kF32, 0), "control characters");
  add("long_name", Info(std::string(257, 'n'), {4}, kF32, 0), "above the limit of 256");
  for (const uint64_t size : {1ull << 32, 1ull << 63, ~0ull}) {
    add(fmt::format("name_of_{}_bytes", size), U64(size), "above the limit");
  }
  cases.push_back({"repeated_name",
                   WithInfos({Info("a", {4}, kF32, 0), Info("a", {4}, kF32, 32)}, 64),
                   "stands there twice"});
}

void AddShapes(Cases& cases) {
  const auto add = [&](const std::string& name, const std::string& info, const char* expected) {
    cases.push_back({name, WithInfos({info}, 64), expected});
  };
  add("rank_0", Info("t", {}, kF32, 0), "it has 0 dimensions");
  add("rank_5", Info("t", {1, 1, 1, 1, 1}, kF32, 0), "it has 5 dimensions");
  for (const uint64_t rank : {6ull, 1ull << 31, (1ull << 32) - 1}) {
    add(fmt::format("rank_{}", rank), Text("t") + U32(rank) + U64(1), "dimensions, not 1 to 4");
  }
  for (const uint64_t dim : {0ull, 1ull << 63, ~0ull}) {
    add(fmt::format("dimension_{}", dim), Info("t", {4, dim}, kF32, 0), "dimension 2 is");
  }
  add("elements_overflow", Info("t", {1ull << 32, 1ull << 31}, kI8, 0), "overflows 64 bits");
  add("elements_overflow_twice", Info("t", {1ull << 62, 4, 1ull << 62, 4}, kI8, 0),
      "overflows 64 bits");
  add("bytes_overflow", Info("t", {1ull << 61}, kF32, 0), "bytes overflows");
  add("blocks_are_large", Info("t", {1ull << 62}, kQ40, 0), "reach beyond the file");
  for (const uint64_t cols : {1, 31, 33, 48}) {
    add(fmt::format("q4_0_rows_of_{}", cols), Info("t", {cols, 1}, kQ40, 0), "no whole number");
  }
  for (const uint64_t cols : {32, 255, 257}) {
    add(fmt::format("q4_k_rows_of_{}", cols), Info("t", {cols, 1}, kQ4K, 0), "no whole number");
  }
}

void AddPlaces(Cases& cases) {
  const auto add = [&](const std::string& name, std::vector<std::string> infos,
                       const char* expected) {
    cases.push_back({name, WithInfos(std::move(infos), 64), expected});
  };
  for (const uint64_t offset : {1, 4, 31, 33}) {
    add(fmt::format("offset_{}", offset), {Info("t", {1}, kF32, offset)}, "no multiple");
  }
  for (const uint64_t offset : {64ull, 96ull, 1ull << 32, 1ull << 63, ~0ull - 31}) {
    add(fmt::format("offset_{}", offset), {Info("t", {1}, kF32, offset)}, "reach beyond the file");
  }
  add("one_too_long", {Info("t", {17}, kF32, 0)}, "reach beyond the file");
  add("one_block_too_long", {Info("t", {32, 4}, kQ40, 0)}, "reach beyond the file");
  add("same_place", {Info("a", {8}, kF32, 0), Info("b", {8}, kF32, 0)}, "overlap");
  add("overlap", {Info("a", {9}, kF32, 0), Info("b", {8}, kF32, 32)}, "overlap");
  add("overlap_in_other_order", {Info("b", {8}, kF32, 32), Info("a", {9}, kF32, 0)}, "overlap");
  add("overlap_of_blocks", {Info("a", {32, 2}, kQ40, 0), Info("b", {2}, kF16, 32)}, "overlap");
  add("one_holds_another", {Info("a", {16}, kF32, 0), Info("b", {2}, kF16, 32)}, "overlap");
}

}  // namespace

std::vector<MalformedCase> MalformedGguf() {
  Cases cases;
  AddTruncations(cases);
  AddVersions(cases);
  AddCounts(cases);
  AddKeys(cases);
  AddArrays(cases);
  AddAlignments(cases);
  AddNames(cases);
  AddShapes(cases);
  AddPlaces(cases);
  return cases;
}

std::vector<WellFormedFile> WellFormedGguf() {
  std::vector<WellFormedFile> files = {{"plain", Gguf().Bytes()}};
  const auto with = [&](const char* name, const Gguf& file) {
    files.push_back({name, file.Bytes()});
  };
  with("version_2", {.version = 2});
  with("appended", {.data_bytes = 1000});
  with("nothing", {.keys = {}, .infos = {}, .data_bytes = 0});
  with("keys_alone", {.infos = {}, .data_bytes = 0});
  with("alignment_1", {.keys = {Key("general.alignment", kUint32, U32(1))},
                       .infos = {Info("a", {1}, kI8, 0), Info("b", {1}, kF32, 1)},
                       .data_bytes = 5,
                       .alignment = 1});
  with("alignment_of_8_bits", {.keys = {Key("general.alignment", kUint8, LittleEndian(64, 1))},
                               .infos = {Info("a", {1}, kI8, 64)},
                               .data_bytes = 65,
                               .alignment = 64});
  with("hole", {.infos = {Info("a", {1}, kI8, 320)}, .data_bytes = 321});
  with("any_order", {.infos = {Info("b", {8}, kF32, 32), Info("a", {8}, kF32, 0)}});
  with("four_dimensions", {.infos = {Info("a", {32, 1, 2, 1}, kQ40, 0)}});
  for (const uint32_t type : {16u, 23u, 39u, 4u, 31u, 99u, ~0u}) {
    files.push_back({fmt::format("type_{}", type), WithInfos({Info("t", {256}, type, 0)}, 64)});
  }
  const std::string nested = ArrayOf(kArray, 1, ArrayOf(kArray, 1, ArrayOf(kUint8, 1, "x")));
  files.push_back({"nested_arrays", WithKey(Key("k", kArray, nested))});
  files.push_back({"empty_array", WithKey(Key("k", kArray, ArrayOf(kString, 0, "")))});
  files.push_back({"bytes_that_are_no_text", WithKey(Key("\xFF", kString, Text("\xFE\xFF")))});
  files.push_back({"largest_number", WithKey(Key("k", kUint64, U64(~0ull)))});
  return files;
}

}  // namespace dray::checkpoint
