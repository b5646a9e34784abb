// The safetensors cases of malformed_files.h.
#include <fmt/format.h>

#include <array>
#include <iterator>
#include <string_view>
#include <utility>

#include "checkpoint/testing/malformed_builders.h"
#include "checkpoint/testing/malformed_files.h"

namespace dray::checkpoint {
namespace {

using Cases = std::vector<MalformedCase>;

constexpr std::string_view kHeader =
    R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"U8","shape":[5],"data_offsets":[24,29]}})";
const std::string kData(29, '\x11');

struct DTypeBits {
  std::string_view name;
  int bits;
};
constexpr std::array kDTypes = {
    DTypeBits{"F32", 32},        DTypeBits{"F16", 16},    DTypeBits{"BF16", 16},
    DTypeBits{"F64", 64},        DTypeBits{"I8", 8},      DTypeBits{"U8", 8},
    DTypeBits{"I16", 16},        DTypeBits{"I32", 32},    DTypeBits{"I64", 64},
    DTypeBits{"BOOL", 8},        DTypeBits{"U16", 16},    DTypeBits{"U32", 32},
    DTypeBits{"U64", 64},        DTypeBits{"C64", 64},    DTypeBits{"F8_E5M2", 8},
    DTypeBits{"F8_E4M3", 8},     DTypeBits{"F8_E8M0", 8}, DTypeBits{"F8_E4M3FNUZ", 8},
    DTypeBits{"F8_E5M2FNUZ", 8}, DTypeBits{"F6_E2M3", 6}, DTypeBits{"F6_E3M2", 6},
    DTypeBits{"F4", 4},
};

std::string Tensor(std::string_view name, std::string_view dtype, std::string_view shape,
                   int64_t begin, int64_t end) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", name, dtype,
                     shape, begin, end);
}

// A file whose header is one object with these members, over `data_bytes` bytes.
std::string File(const std::vector<std::string>& members, size_t data_bytes) {
  return SafetensorsFile(fmt::format("{{{}}}", fmt::join(members, ",")),
                         std::string(data_bytes, '\x22'));
}

void AddTruncations(Cases& cases) {
  const std::string whole = SafetensorsFile(kHeader, kData);
  for (size_t size = 0; size < whole.size(); size += size < 16 ? 1 : 5) {
    const char* expected = "data_offsets";
    if (size < 8 + kHeader.size()) expected = "header length";
    cases.push_back({fmt::format("truncated_to_{}", size), whole.substr(0, size), expected});
  }
  for (const size_t more : {1, 8, 4096}) {
    cases.push_back({fmt::format("{}_bytes_appended", more), whole + std::string(more, '\0'),
                     "data bytes follow the header"});
  }
}

void AddHeaderLengths(Cases& cases) {
  const uint64_t size = kHeader.size();
  for (const uint64_t wrong : {size - 1, size - 2, size - 60, uint64_t{1}, uint64_t{2}}) {
    cases.push_back({fmt::format("header_length_{}", wrong), SafetensorsFile(kHeader, kData, wrong),
                     "header: JSON"});
  }
  cases.push_back(
      {"header_length_0", SafetensorsFile(kHeader, kData, 0), "header does not start with '{'"});
  for (const uint64_t wrong : {size + 1, size + 10}) {
    cases.push_back({fmt::format("header_length_{}", wrong), SafetensorsFile(kHeader, kData, wrong),
                     "header: JSON"});
  }
  const uint64_t beyond[] = {size + 30, 1000, 65536, 99'999'999, 100'000'000};
  for (const uint64_t wrong : beyond) {
    cases.push_back({fmt::format("header_length_{}", wrong), SafetensorsFile(kHeader, kData, wrong),
                     "beyond the end of the file"});
  }
  const uint64_t huge[] = {100'000'001, (1ull << 31) - 1,    1ull << 31, (1ull << 32) - 1,
                           1ull << 32,  (1ull << 32) + size, 1ull << 62, (1ull << 63) - 1,
                           1ull << 63,  ~0ull - 7,           ~0ull};
  for (const uint64_t wrong : huge) {
    cases.push_back({fmt::format("header_length_{}", wrong), SafetensorsFile(kHeader, kData, wrong),
                     "above the format's limit"});
  }
}

void AddBrokenJson(Cases& cases) {
  const std::string sound(kHeader);
  const std::string deep = "{\"a\":" + std::string(150, '[') + std::string(150, ']') + "}";
  const std::pair<const char*, std::string> headers[] = {
      {"only_open", "{"},
      {"unclosed", sound.substr(0, sound.size() - 1)},
      {"closed_twice", sound + "}"},
      {"two_objects", sound + sound},
      {"trailing_comma", sound.substr(0, sound.size() - 1) + ",}"},
      {"missing_colon", R"({"a" {"dtype":"F32","shape":[],"data_offsets":[0,4]}})"},
      {"missing_comma", R"({"a":{"dtype":"F32" "shape":[],"data_offsets":[0,4]}})"},
      {"single_quotes", R"({'a':{'dtype':'F32','shape':[],'data_offsets':[0,4]}})"},
      {"bare_key", R"({a:{"dtype":"F32","shape":[],"data_offsets":[0,4]}})"},
      {"comment", "{/* */" + sound.substr(1)},
      {"nan", R"({"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}})"},
      {"infinity", R"({"a":{"dtype":"F32","shape":[Infinity],"data_offsets":[0,4]}})"},
      {"hexadecimal", R"({"a":{"dtype":"F32","shape":[0x1],"data_offsets":[0,4]}})"},
      {"leading_zero", R"({"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}})"},
      {"plus_sign", R"({"a":{"dtype":"F32","shape":[+1],"data_offsets":[0,4]}})"},
      {"unclosed_string", R"({"a":{"dtype":"F32)"},
      {"bad_escape", R"({"a\x":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})"},
      {"lone_surrogate", R"({"\ud800":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})"},
      {"raw_newline", "{\"a\n\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}"},
      {"invalid_utf8", "{\"\xC3\x28\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}"},
      {"overlong_utf8", "{\"\xC0\xAF\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}"},
      {"nul_padding", sound + std::string(8, '\0')},
      {"nul_inside", sound.substr(0, 20) + std::string(1, '\0') + sound.substr(20)},
      {"too_deep", deep},
      {"only_commas", "{,,,,}"},
  };
  for (const auto& [name, header] : headers) {
    cases.push_back({fmt::format("json_{}", name), SafetensorsFile(header, kData), "header: JSON"});
  }
  const std::pair<const char*, std::string> others[] = {
      {"array", "[1]"},          {"string", "\"{\""},    {"number", "1"},
      {"null", "null"},          {"space", " " + sound}, {"bom", "\xEF\xBB\xBF" + sound},
      {"newline", "\n" + sound},
  };
  for (const auto& [name, header] : others) {
    cases.push_back({fmt::format("starts_with_{}", name), SafetensorsFile(header, kData),
                     "header does not start with '{'"});
  }
  std::string bomb = "{\"a\":[0";
  for (int i = 0; i < 1'100'000; ++i) bomb += ",0";
  cases.push_back({"json_value_bomb", SafetensorsFile(bomb + "]}", ""), "JSON values"});
}

// Every field with every wrong kind of value.
void AddWrongKinds(Cases& cases) {
  const std::pair<const char*, const char*> kinds[] = {
      {"null", "null"},         {"true", "true"},         {"number", "1"},
      {"fraction", "1.5"},      {"object", "{}"},         {"string", "\"x\""},
      {"nested", "[[1]]"},      {"strings", "[\"1\"]"},   {"nulls", "[null]"},
      {"negative", "[-1,0]"},   {"fractions", "[0.5,1]"}, {"too_big", "[0,18446744073709551616]"},
      {"exponent", "[0,1e30]"},
  };
  for (const std::string field : {"dtype", "shape", "data_offsets"}) {
    const auto info = [&](std::string_view value) {
      std::string out;
      for (const auto& [name, sound] : {std::pair{"dtype", "\"F32\""}, std::pair{"shape", "[1]"},
                                        std::pair{"data_offsets", "[0,4]"}}) {
        if (name == field && value.empty()) continue;
        out +=
            fmt::format("{}\"{}\":{}", out.empty() ? "" : ",", name, name == field ? value : sound);
      }
      return "\"t\":{" + out + "}";
    };
    const std::string expected = field == "dtype" ? "tensor \"t\"" : field;
    cases.push_back({field + "_missing", File({info("")}, 4), "\"" + field + "\" is missing"});
    for (const auto& [kind, value] : kinds) {
      cases.push_back({fmt::format("{}_is_{}", field, kind), File({info(value)}, 4), expected});
    }
    cases.push_back({field + "_twice", File({fmt::format(R"("t":{{"{0}":1,"{0}":1}})", field)}, 4),
                     "stands twice"});
  }
  for (const auto& [kind, value] : kinds) {
    if (std::string_view(kind) == "object") continue;
    cases.push_back({fmt::format("tensor_is_{}", kind), File({fmt::format("\"t\":{}", value)}, 0),
                     "tensor \"t\": its description"});
  }
  for (const char* offsets : {"[]", "[0]", "[0,4,8]"}) {
    cases.push_back(
        {fmt::format("{}_offsets", std::string_view(offsets).size()),
         File({fmt::format(R"("t":{{"dtype":"F32","shape":[1],"data_offsets":{}}})", offsets)}, 4),
         "not 2"});
  }
}

void AddDTypes(Cases& cases) {
  const char* unknown[] = {"",        "f32",           "F33",  "F32 ", " F32",  "FLOAT32",
                           "float32", "torch.float32", "I128", "Q4_0", "BF-16", "F32\\u0000"};
  int i = 0;
  for (const char* dtype : unknown) {
    cases.push_back({fmt::format("unknown_dtype_{}", i++),
                     File({Tensor("t", dtype, "[1]", 0, 4)}, 4), "tensor \"t\": dtype"});
  }
  for (const auto& [dtype, bits] : kDTypes) {  // eight elements are whole bytes in every type
    const std::pair<const char*, int64_t> wrong_ends[] = {
        {"a_byte_short", bits - 1}, {"a_byte_long", bits + 1}, {"empty", 0}, {"doubled", 2 * bits}};
    for (const auto& [name, end] : wrong_ends) {
      cases.push_back({fmt::format("{}_{}", dtype, name),
                       File({Tensor("t", dtype, "[8]", 0, end)}, static_cast<size_t>(end)),
                       "tensor \"t\": shape [8]"});
    }
    if (bits < 8) {
      cases.push_back({fmt::format("{}_no_whole_bytes", dtype),
                       File({Tensor("t", dtype, "[1]", 0, 1)}, 1), "tensor \"t\": shape [1]"});
    }
  }
}

void AddRanges(Cases& cases) {
  const auto a = [](int64_t begin, int64_t end) {
    return Tensor("a", "U8", fmt::format("[{}]", end - begin), begin, end);
  };
  const auto b = [](int64_t begin, int64_t end) {
    return Tensor("b", "U8", fmt::format("[{}]", end - begin), begin, end);
  };
  const auto add = [&](const char* name, const std::vector<std::string>& members, size_t bytes,
                       const char* expected) {
    cases.push_back({fmt::format("ranges_{}", name), File(members, bytes), expected});
  };
  add("same", {a(0, 4), b(0, 4)}, 4, "overlapping");
  add("overlap_by_one", {a(0, 4), b(3, 8)}, 8, "overlapping");
  add("inside", {a(0, 8), b(2, 4)}, 8, "overlapping");
  add("overlap_backwards", {b(3, 8), a(0, 4)}, 8, "overlapping");
  add("hole", {a(0, 4), b(5, 8)}, 8, "leaving a hole");
  add("hole_backwards", {b(5, 8), a(0, 4)}, 8, "leaving a hole");
  add("late_start", {a(1, 4)}, 4, "leaving a hole");
  add("unused_end", {a(0, 4)}, 5, "5 data bytes follow");
  add("no_tensors_but_data", {}, 1, "1 data bytes follow");
  add("beyond_by_one", {a(0, 5)}, 4, "not a range within");
  add("beyond_far", {a(0, 1'000'000)}, 4, "not a range within");
  add("wholly_beyond", {a(0, 4), b(8, 12)}, 4, "not a range within");
  add("reversed", {Tensor("a", "U8", "[4]", 4, 0)}, 4, "not a range within");
  add("empty_hole", {a(0, 4), Tensor("e", "U8", "[0]", 5, 5)}, 6, "leaving a hole");
  add("empty_inside", {a(0, 4), Tensor("e", "U8", "[0]", 2, 2)}, 4, "overlapping");
  std::vector<std::string> bomb;
  bomb.reserve(1000);
  for (int i = 0; i < 1000; ++i)
    bomb.push_back(Tensor(fmt::format("t{}", i), "U8", "[4096]", 0, 4096));
  add("expansion_bomb", bomb, 4096, "overlapping");
  for (const char* end : {"2147483648", "4294967296", "9223372036854775807"}) {
    const std::string text =
        fmt::format(R"("t":{{"dtype":"U8","shape":[{}],"data_offsets":[0,{}]}})", end, end);
    cases.push_back({fmt::format("ranges_end_{}", end), File({text}, 4), "not a range within"});
  }
}

void AddShapes(Cases& cases) {
  const char* overflowing[] = {
      "[9223372036854775807]",     "[4611686018427387904,2]",   "[4294967296,4294967296]",
      "[2147483648,2147483648,4]", "[0,4611686018427387904,4]", "[65536,65536,65536,65536]",
      "[3037000500,3037000500]",   "[2305843009213693952]",     "[9223372036854775807,0]"};
  int i = 0;
  for (const char* shape : overflowing) {
    // A zero makes the product zero from there on: sound unless the overflow comes first.
    if (std::string_view(shape).starts_with("[0,")) continue;
    cases.push_back({fmt::format("shape_overflow_{}", i++),
                     File({Tensor("t", "F32", shape, 0, 0)}, 0), "overflows 64 bits"});
  }
  const char* wrong[] = {"[]",           "[2]",         "[1,2]", "[1,1,1,1,1,1,1,1,1,2]",
                         "[4294967297]", "[1073741825]"};
  for (const char* shape : wrong) {
    cases.push_back({fmt::format("shape_mismatch_{}", i++),
                     File({Tensor("t", "F32", shape, 0, 0)}, 0), "tensor \"t\": shape"});
  }
}

void AddNames(Cases& cases) {
  const std::string a = Tensor("a", "U8", "[1]", 0, 1);
  cases.push_back(
      {"name_twice", File({a, Tensor("a", "U8", "[1]", 1, 2)}, 2), "\"a\" stands twice"});
  cases.push_back({"name_twice_same", File({a, a}, 1), "\"a\" stands twice"});
  cases.push_back({"name_twice_escaped", File({a, Tensor("\\u0061", "U8", "[1]", 1, 2)}, 2),
                   "\"a\" stands twice"});
  cases.push_back({"metadata_twice", File({"\"__metadata__\":{}", "\"__metadata__\":{}", a}, 1),
                   "__metadata__"});
  const std::pair<const char*, const char*> names[] = {{"empty", ""},
                                                       {"nul", "a\\u0000b"},
                                                       {"newline", "a\\n"},
                                                       {"escape", "\\u001b[2J"},
                                                       {"delete", "\\u007f"}};
  for (const auto& [kind, name] : names) {
    cases.push_back({fmt::format("name_{}", kind), File({Tensor(name, "U8", "[1]", 0, 1)}, 1),
                     "control characters"});
  }
  const std::pair<const char*, const char*> metadata[] = {{"array", "[]"},
                                                          {"string", "\"x\""},
                                                          {"number", "1"},
                                                          {"true", "true"},
                                                          {"of_numbers", R"({"a":1})"},
                                                          {"of_objects", R"({"a":{}})"},
                                                          {"of_arrays", R"({"a":["b"]})"},
                                                          {"of_nulls", R"({"a":null})"},
                                                          {"of_bools", R"({"a":true})"}};
  for (const auto& [kind, value] : metadata) {
    cases.push_back({fmt::format("metadata_{}", kind),
                     File({fmt::format("\"__metadata__\":{}", value), a}, 1), "__metadata__"});
  }
}

void AddOtherFiles(Cases& cases) {
  cases.push_back({"git_lfs_pointer",
                   "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
                   "git lfs pull"});
  cases.push_back(
      {"html", "<!DOCTYPE html><html><body>404 Not Found</body></html>", "header length"});
  cases.push_back({"zeros", std::string(4096, '\0'), "header does not start with '{'"});
  cases.push_back({"ones", std::string(4096, '\xFF'), "header length"});
  cases.push_back({"json_alone", std::string(kHeader), "header length"});
  cases.push_back({"torch_zip", SoundTorchZip().Bytes(), "header length"});
  cases.push_back({"torch_legacy", LegacySpec().Bytes(), "header length"});
}

// A one-bit change in any byte of the header length or of the header's structure.
void AddBitFlips(Cases& cases) {
  const std::string whole = SafetensorsFile(kHeader, kData);
  for (size_t at = 0; at < whole.size() - kData.size(); ++at) {
    const char c = whole[at];
    const bool structure = at < 8 || std::string_view("{}[]:,").find(c) != std::string_view::npos;
    if (!structure) continue;
    std::string content = whole;
    content[at] = static_cast<char>(c ^ 1);
    cases.push_back({fmt::format("bit_flip_at_{}", at), content, "header"});
  }
}

}  // namespace

std::vector<MalformedCase> MalformedSafetensors() {
  Cases cases;
  AddTruncations(cases);
  AddHeaderLengths(cases);
  AddBrokenJson(cases);
  AddWrongKinds(cases);
  AddDTypes(cases);
  AddRanges(cases);
  AddShapes(cases);
  AddNames(cases);
  AddOtherFiles(cases);
  AddBitFlips(cases);
  return cases;
}

std::vector<WellFormedFile> WellFormedSafetensors() {
  const std::string a = Tensor("a", "U8", "[1]", 0, 1);
  return {
      {"plain", SafetensorsFile(kHeader, kData)},
      {"padded_header", SafetensorsFile(std::string(kHeader) + std::string(7, ' '), kData)},
      {"spaced_json",
       SafetensorsFile(
           "{ \"a\" :\n\t{\"dtype\": \"U8\", \"shape\": [ 1 ], \"data_offsets\": [0, 1]} }", "x")},
      {"no_tensors", SafetensorsFile("{}", "")},
      {"metadata", File({R"("__metadata__":{"format":"pt","note":"\u00e4\n"})", a}, 1)},
      {"metadata_null", File({R"("__metadata__":null)", a}, 1)},
      {"metadata_last", File({a, R"("__metadata__":{})"}, 1)},
      {"scalar", File({Tensor("s", "F64", "[]", 0, 8)}, 8)},
      {"zero_dimension",
       File({Tensor("z", "F32", "[3,0]", 0, 0), Tensor("t", "U8", "[2]", 0, 2)}, 2)},
      {"zero_and_huge", File({Tensor("z", "F32", "[0,4611686018427387904,4]", 0, 0)}, 0)},
      {"any_order", File({Tensor("x", "U8", "[2]", 3, 5), Tensor("y", "U8", "[1]", 0, 1),
                          Tensor("z", "U8", "[2]", 1, 3)},
                         5)},
      {"unaligned", File({Tensor("x", "U8", "[1]", 0, 1), Tensor("y", "F32", "[1]", 1, 5)}, 5)},
      {"rank_8", File({Tensor("r", "U8", "[1,1,1,1,1,1,1,2]", 0, 2)}, 2)},
      {"rank_9", File({Tensor("r", "U8", "[1,1,1,1,1,1,1,1,2]", 0, 2)}, 2)},
      {"float8", File({Tensor("f", "F8_E4M3", "[3]", 0, 3)}, 3)},
      {"float4", File({Tensor("f", "F4", "[6]", 0, 3)}, 3)},
      {"unicode_names",
       File({Tensor("gewicht.\xC3\xA4", "U8", "[1]", 0, 1), Tensor("\\u4e2d", "U8", "[1]", 1, 2)},
            2)},
      {"extra_fields",
       File({R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"note":"x"})"}, 1)},
  };
}

}  // namespace dray::checkpoint
