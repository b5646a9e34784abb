// The pickle cases of malformed_files.h, each in a sound archive, and the sound variants
// of torch files.
#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "checkpoint/testing/malformed_builders.h"
#include "checkpoint/testing/malformed_files.h"

namespace dray::checkpoint {
namespace {

using Cases = std::vector<MalformedCase>;
using Tensor = PickleTensor;

void Add(Cases& cases, const std::string& name, const PickleWriter& pickle,
         const std::string& expected) {
  cases.push_back({"pickle_" + name, TorchZipWithPickle(pickle.bytes()), expected});
}

// {"w": <value>}
PickleWriter InDict(const PickleWriter& value) {
  return PickleWriter().Proto().Raw("}(").Text("w").Raw(value.bytes()).Raw("u.");
}

constexpr std::string_view kAllowedOps =
    "(.RbcQaesu}])tNJKMGXUThjqr\x80\x85\x86\x87\x88\x89\x8A\x8C\x8D\x93\x94\x95";

// Every opcode that is not read, where a value is expected.
void AddForbiddenOps(Cases& cases) {
  for (int op = 0; op < 256; ++op) {
    if (kAllowedOps.find(static_cast<char>(op)) != std::string_view::npos && op != 0x80) continue;
    Add(cases, fmt::format("opcode_{:02x}", op),
        InDict(PickleWriter().Op(static_cast<char>(op)).Raw("os\nsystem\n")),
        fmt::format("opcode {:#04x}", op));
  }
}

// Every opcode that takes something, where there is nothing.
void AddUnderflows(Cases& cases) {
  for (const char op : std::string_view("RbQasqrt\x85\x86\x87\x93\x94ue")) {
    const auto code = static_cast<unsigned char>(op);
    Add(cases, fmt::format("underflow_{:02x}", code),
        PickleWriter().Proto().Op(op).Raw(std::string(8, '\0')), "pickle byte");
    Add(cases, fmt::format("underflow_at_mark_{:02x}", code),
        PickleWriter().Proto().Raw("}}}((").Op(op).Raw(std::string(8, '\0')).Raw("."),
        "pickle byte");
  }
  Add(cases, "stop_on_empty_stack", PickleWriter().Proto().Op('.'), "STOP with 0 values");
  Add(cases, "stop_on_two_values", PickleWriter().Proto().Raw("}}."), "STOP with 2 values");
  Add(cases, "stop_within_mark", PickleWriter().Proto().Raw("}(."), "1 marks");
  Add(cases, "no_stop", PickleWriter().Proto().Raw("}"), "without STOP");
  Add(cases, "bytes_after_stop", PickleWriter().Raw(StateDictPickle({})).Raw("x"),
      "follow the end");
  Add(cases, "second_pickle", PickleWriter().Raw(StateDictPickle({})).Raw(StateDictPickle({})),
      "follow the end");
  const std::string whole = StateDictPickle({});
  for (size_t size = 0; size < whole.size(); size += 13) {
    Add(cases, fmt::format("truncated_to_{}", size), PickleWriter().Raw(whole.substr(0, size)),
        "data.pkl");
  }
}

void AddOperands(Cases& cases) {
  Add(cases, "no_proto", PickleWriter().Raw("}."), "PROTO");
  for (const int version : {0, 1, 6, 255}) {
    Add(cases, fmt::format("protocol_{}", version), PickleWriter().Proto(version).Raw("}."),
        "protocol");
  }
  const auto raw = [&](const char* name, const std::string& bytes, const char* expected) {
    Add(cases, name, InDict(PickleWriter().Raw(bytes)), expected);
  };
  raw("text_beyond", "X" + LittleEndian(1000, 4), "wanted");
  raw("text_4g", "X" + LittleEndian(0xFFFFFFFF, 4), "wanted");
  raw("text64_huge", "\x8D" + LittleEndian(~0ull, 8), "wanted");
  raw("text64_sign_bit", "\x8D" + LittleEndian(1ull << 63, 8), "wanted");
  raw("text8_beyond", "\x8C\xFF", "wanted");
  raw("string_beyond", "T" + LittleEndian(0x7FFFFFFF, 4), "wanted");
  raw("string_negative", "T" + LittleEndian(0xFFFFFFFF, 4), "wanted");
  raw("long_beyond", "\x8A\xFF", "wanted");
  raw("frame_beyond", "\x95" + LittleEndian(1000, 8), "frame");
  raw("frame_huge", "\x95" + LittleEndian(~0ull, 8), "frame");
  raw("name_without_end", "c" + std::string(100, 'a'), "wanted");
  raw("name_too_long", "c" + std::string(300, 'a') + "\nb\n", "name of more than");
  raw("memo_unset", "h\x05", "memo slot 5");
  raw("memo_unset_32", "j" + LittleEndian(77, 4), "memo slot 77");
  raw("memo_far", "Nr" + LittleEndian(1'000'000, 4), "memo slot 1000000");
  raw("memo_farthest", "Nr" + LittleEndian(0xFFFFFFFF, 4), "memo slot 4294967295");
}

void AddForbiddenNames(Cases& cases) {
  const std::pair<const char*, const char*> names[] = {
      {"os", "system"},
      {"posix", "system"},
      {"nt", "system"},
      {"os", "popen"},
      {"subprocess", "Popen"},
      {"subprocess", "check_output"},
      {"builtins", "eval"},
      {"builtins", "exec"},
      {"builtins", "getattr"},
      {"builtins", "__import__"},
      {"__builtin__", "eval"},
      {"__builtin__", "apply"},
      {"sys", "modules"},
      {"importlib", "import_module"},
      {"runpy", "run_path"},
      {"pickle", "loads"},
      {"_pickle", "loads"},
      {"torch", "load"},
      {"torch.serialization", "load"},
      {"torch.hub", "load"},
      {"torch.jit", "load"},
      {"torch.utils.cpp_extension", "load"},
      {"numpy", "load"},
      {"numpy.core.multiarray", "_reconstruct"},
      {"joblib", "load"},
      {"pip", "main"},
      {"ctypes", "CDLL"},
      {"socket", "socket"},
      {"urllib.request", "urlopen"},
      {"webbrowser", "open"},
      {"code", "interact"},
      {"pdb", "run"},
      {"timeit", "timeit"},
      {"operator", "attrgetter"},
      {"functools", "partial"},
      {"types", "FunctionType"},
      {"marshal", "loads"},
      {"asyncio", "run"},
      {"shutil", "rmtree"},
      {"torch.storage", "_load_from_bytes"},
      {"collections", "Counter"},
      {"collections", "OrderedDict.fromkeys"},
      {"collections.OrderedDict", "OrderedDict"},
      {"", ""},
      {"torch._utils", "_rebuild_tensor"},
      {"torch._utils", "_rebuild_tensor_v2 "},
      {"torch", "_utils._rebuild_tensor_v2"},
      {"torch._utils", "__class__"},
      {"Torch", "FloatStorage"},
      {"torch", "floatstorage"},
      {"torch.cuda", "FloatStorage"},
  };
  for (const auto& [module, name] : names) {
    const std::string text = fmt::format("{}.{}", module, name);
    Add(cases, fmt::format("name_{}", cases.size()),
        InDict(PickleWriter().Global(module, name).Text("id").Raw("\x85R")), text);
    Add(cases, fmt::format("stack_name_{}", cases.size()),
        InDict(PickleWriter().StackGlobal(module, name).Raw(")R")), text);
  }
  const char* unread[] = {"_rebuild_qtensor", "_rebuild_sparse_tensor",
                          "_rebuild_sparse_csr_tensor", "_rebuild_nested_tensor",
                          "_rebuild_meta_tensor_no_storage"};
  for (const char* name : unread) {
    Add(cases, fmt::format("unread{}", name),
        InDict(PickleWriter().Global("torch._utils", name).Raw(")R")), "does not read");
  }
  Add(cases, "stack_name_of_ints", InDict(PickleWriter().Int(1).Int(2).Op('\x93')), "STACK_GLOBAL");
}

void AddCalls(Cases& cases) {
  const auto add = [&](const char* name, const PickleWriter& value, const char* expected) {
    Add(cases, name, InDict(value), expected);
  };
  add("reduce_text", PickleWriter().Text("os.system").Raw(")R"), "REDUCE of a string");
  add("reduce_storage_type", PickleWriter().Global("torch", "FloatStorage").Raw(")R"),
      "REDUCE of FloatStorage");
  add("reduce_dtype", PickleWriter().Global("torch", "float16").Raw(")R"), "REDUCE of float16");
  add("reduce_tensor_type", PickleWriter().Global("torch", "Tensor").Raw(")R"), "REDUCE of Tensor");
  add("reduce_result", PickleWriter().OrderedDict().Raw(")R"), "REDUCE of an object");
  add("reduce_with_list", PickleWriter().Global("collections", "OrderedDict").Raw("]R"),
      "no tuple");
  add("build_tensor", PickleWriter().Rebuild({}).Raw("}b"), "BUILD of an object");
  add("build_dict", PickleWriter().Raw("}}b"), "BUILD of a dict");
  add("build_name", PickleWriter().Global("collections", "OrderedDict").Raw("}b"),
      "BUILD of a name");
  add("build_with_tuple", PickleWriter().OrderedDict().Raw(")b"), "no dict");
  add("append_to_dict", PickleWriter().Raw("}Na"), "added to a dict");
  add("append_to_tuple", PickleWriter().Raw(")Na"), "added to a tuple");
  add("set_item_of_list", PickleWriter().Raw("]NNs"), "added to a list");
  add("set_item_of_tensor", PickleWriter().Rebuild({}).Raw("NNs"), "added to an object");
  add("set_items_odd", PickleWriter().Raw("}(NNNu"), "a key without a value");
  add("persistent_text", PickleWriter().Text("0").Op('Q'), "BINPERSID");
  add("persistent_empty", PickleWriter().Raw(")Q"), "persistent id");
  add("persistent_module",
      PickleWriter()
          .Op('(')
          .Text("module")
          .Global("torch", "FloatStorage")
          .Text("0")
          .Text("cpu")
          .Int(6)
          .Raw("tQ"),
      "persistent id");
  add("persistent_view",
      PickleWriter()
          .Op('(')
          .Text("storage")
          .Global("torch", "FloatStorage")
          .Text("0")
          .Text("cpu")
          .Int(6)
          .Text("view")
          .Raw("tQ"),
      "persistent id");
  add("persistent_type_text",
      PickleWriter()
          .Op('(')
          .Text("storage")
          .Text("FloatStorage")
          .Text("0")
          .Text("cpu")
          .Int(6)
          .Raw("tQ"),
      "persistent id");
  add("persistent_type_function",
      PickleWriter()
          .Op('(')
          .Text("storage")
          .Global("collections", "OrderedDict")
          .Text("0")
          .Text("cpu")
          .Int(6)
          .Raw("tQ"),
      "no storage type");
  add("persistent_key_int",
      PickleWriter()
          .Op('(')
          .Text("storage")
          .Global("torch", "FloatStorage")
          .Int(0)
          .Text("cpu")
          .Int(6)
          .Raw("tQ"),
      "persistent id");
}

void AddTensors(Cases& cases) {
  const auto add = [&](const char* name, const Tensor& tensor, const char* expected) {
    cases.push_back(
        {fmt::format("tensor_{}", name), TorchZipWithPickle(StateDictPickle(tensor)), expected});
  };
  constexpr int64_t kMax = INT64_MAX;
  add("key_missing", {.storage = {.key = "1"}}, "m/data/1");
  add("key_empty", {.storage = {.key = ""}}, "m/data/");
  add("key_other_entry", {.storage = {.key = "../version"}}, "m/data/../version");
  add("key_with_nul", {.storage = {.key = std::string("0\0", 2)}}, "m/data/0");
  add("more_elements", {.storage = {.elements = 7}}, "m/data/0");
  add("fewer_elements", {.storage = {.elements = 5}}, "beyond the 5 elements");
  add("no_elements", {.storage = {.elements = 0}}, "beyond the 0 elements");
  add("negative_elements", {.storage = {.elements = -1}}, "storage \"0\": -1 elements");
  add("elements_overflow", {.storage = {.elements = kMax}}, "storage \"0\"");
  add("wider_type", {.storage = {.type = "DoubleStorage"}}, "m/data/0");
  add("narrower_type", {.storage = {.type = "HalfStorage"}}, "m/data/0");
  add("quantised_type", {.storage = {.type = "QInt8Storage"}}, "quantised");
  add("unknown_type", {.storage = {.type = "StringStorage"}}, "StringStorage");
  add("offset_one_too_far", {.offset = 1}, "tensor \"w\": offset 1");
  add("offset_at_end", {.offset = 6}, "tensor \"w\": offset 6");
  add("offset_far", {.offset = kMax}, "tensor \"w\": offset");
  add("offset_negative", {.offset = -1}, "tensor \"w\": its storage offset");
  add("shape_too_long", {.shape = {7}, .strides = {1}}, "tensor \"w\": offset 0");
  add("shape_negative", {.shape = {-2, 3}}, "tensor \"w\": its shape");
  add("shape_both_negative", {.shape = {-2, -3}}, "tensor \"w\": its shape");
  add("shape_overflow", {.shape = {1ll << 32, 1ll << 32}, .strides = {0, 0}},
      "tensor \"w\": shape");
  add("stride_too_long", {.shape = {2, 3}, .strides = {4, 1}}, "tensor \"w\": offset 0");
  add("stride_negative", {.strides = {3, -1}}, "tensor \"w\": its strides");
  add("stride_overflow", {.strides = {kMax, 1}}, "tensor \"w\": offset 0");
  add("stride_product_overflow", {.shape = {3, 2}, .strides = {kMax, 1}}, "tensor \"w\": offset 0");
  add("stride_sum_overflow", {.shape = {2, 2}, .strides = {kMax, kMax}}, "tensor \"w\": offset 0");
  add("stride_missing", {.shape = {2, 3}, .strides = {3}}, "tensor \"w\": it has 2 dimensions");
  add("stride_too_many", {.shape = {2, 3}, .strides = {3, 1, 1}},
      "tensor \"w\": it has 2 dimensions");
  add("empty_but_offset_beyond", {.offset = 7, .shape = {0}, .strides = {1}},
      "tensor \"w\": offset 7");
  add("rank_65", {.shape = std::vector<int64_t>(65, 1), .strides = std::vector<int64_t>(65, 1)},
      "tensor \"w\": its shape has 65");
}

// Wrong arguments of _rebuild_tensor_v2: each in turn replaced by None, and too few or too many.
void AddArguments(Cases& cases) {
  const auto call = [](int replaced, int count) {
    PickleWriter writer;
    writer.Global("torch._utils", "_rebuild_tensor_v2").Op('(');
    for (int i = 0; i < count; ++i) {
      if (i == replaced)
        writer.Op('N');
      else if (i == 0)
        writer.Persistent({});
      else if (i == 1)
        writer.Int(0);
      else if (i == 2)
        writer.Ints({2, 3});
      else if (i == 3)
        writer.Ints({3, 1});
      else
        writer.Op('\x89');
    }
    return writer.Raw("tR");
  };
  for (int i = 0; i < 4; ++i)
    Add(cases, fmt::format("argument_{}_none", i), InDict(call(i, 6)), "tensor \"w\"");
  for (const int count : {0, 1, 2, 3, 4, 5, 8, 20}) {
    Add(cases, fmt::format("{}_arguments", count), InDict(call(-1, count)), "tensor \"w\"");
  }
  const auto shape = [&](const char* name, const PickleWriter& dims) {
    PickleWriter writer;
    writer.Global("torch._utils", "_rebuild_tensor_v2")
        .Op('(')
        .Persistent({})
        .Int(0)
        .Raw(dims.bytes())
        .Ints({3, 1})
        .Op('\x89')
        .OrderedDict();
    Add(cases, name, InDict(writer.Raw("tR")), "tensor \"w\": its shape");
  };
  shape("shape_list", PickleWriter().Raw("]"));
  shape("shape_int", PickleWriter().Int(6));
  shape("shape_of_floats", PickleWriter().Raw("(G" + std::string(8, '\0') + "K\x03t"));
  shape("shape_of_bools", PickleWriter().Raw("(\x88\x88t"));
  shape("shape_of_longs", PickleWriter().Raw("(\x8A\x09" + std::string(9, '\1') + "K\x03t"));
  shape("shape_of_tuples", PickleWriter().Raw("())t"));
  shape("shape_size_of_nothing", PickleWriter().Global("torch", "Size").Raw(")R"));
  shape("shape_size_of_size",
        PickleWriter().Global("torch", "Size").Global("torch", "Size").Raw(")R\x85R"));
}

void AddStateDicts(Cases& cases) {
  const auto add = [&](const char* name, const PickleWriter& pickle, const char* expected) {
    Add(cases, name, pickle, expected);
  };
  const auto root = [] { return PickleWriter().Proto(); };
  add("root_none", root().Raw("N."), "None");
  add("root_list", root().Raw("](").Rebuild({}).Raw("e."), "a list, not a state dict");
  add("root_list_of_itself",
      root().Raw("]q").Raw(std::string(1, '\0')).Raw("h").Raw(std::string(1, '\0')).Raw("a."),
      "a list");
  add("root_tensor", root().Rebuild({}).Raw("."), "not a state dict");
  add("root_storage", root().Persistent({}).Raw("."), "not a state dict");
  add("root_name", root().Global("torch", "FloatStorage").Raw("."), "not a state dict");
  add("root_constructed",
      root()
          .Global("collections", "OrderedDict")
          .Raw("](]")
          .Text("w")
          .Raw("a")
          .Rebuild({})
          .Raw("ae\x85R."),
      "Python 2");
  add("root_empty", root().Raw("}."), "no tensors");
  add("only_numbers", root().Raw("}").Text("a").Int(1).Raw("s."), "no tensors");
  add("dict_of_itself",
      root()
          .Raw("}q")
          .Raw(std::string(1, '\0'))
          .Text("a")
          .Raw("h")
          .Raw(std::string(1, '\0'))
          .Raw("s."),
      "no tensors");
  add("nested_dict", root().Raw("}").Text("model").Raw("}").Text("w").Rebuild({}).Raw("ss."),
      "key \"model\"");
  add("nested_ordered_dict",
      root().Raw("}").Text("module").OrderedDict().Text("w").Rebuild({}).Raw("ss."),
      "key \"module\"");
  add("key_int", root().Raw("}").Int(1).Rebuild({}).Raw("s."), "a key of the state dict");
  add("key_none", root().Raw("}N").Rebuild({}).Raw("s."), "a key of the state dict");
  add("key_empty", root().Raw("}").Text("").Rebuild({}).Raw("s."), "a key of the state dict");
  add("key_newline", root().Raw("}").Text("w\n").Rebuild({}).Raw("s."), "a key of the state dict");
  add("key_twice", root().Raw("}(").Text("w").Rebuild({}).Text("w").Rebuild({}).Raw("u."),
      "tensor \"w\" stands twice");
  Tensor other;
  other.storage.elements = 3;
  add("storage_of_two_sizes",
      root().Raw("}(").Text("w").Rebuild({}).Text("v").Rebuild(other).Raw("u."), "storage \"0\"");
  other.storage = {.type = "IntStorage"};
  add("storage_of_two_types",
      root().Raw("}(").Text("w").Rebuild({}).Text("v").Rebuild(other).Raw("u."), "storage \"0\"");
  PickleWriter parameters;  // parameters of parameters, more than torch nests
  for (int i = 0; i < 5; ++i) parameters.Global("torch._utils", "_rebuild_parameter").Op('(');
  parameters.Rebuild({});
  for (int i = 0; i < 5; ++i) parameters.Op('\x88').OrderedDict().Raw("tR");
  add("nested_parameters", InDict(parameters), "no tensors");
  PickleWriter own_argument;  // a parameter whose data is itself, through the memo
  own_argument.Global("torch._utils", "_rebuild_parameter")
      .Raw("(N\x88NtRq")
      .Raw(std::string(1, '\7'));
  add("parameter_of_none", InDict(own_argument), "no tensors");
}

// Files of some megabytes that would take much more as Python objects.
void AddBombs(Cases& cases) {
  const auto repeat = [](std::string_view unit, size_t times) {
    std::string out;
    for (size_t i = 0; i < times; ++i) out += unit;
    return PickleWriter().Proto().Raw(out).Raw(".");
  };
  Add(cases, "bomb_of_marks", repeat("(", 1'100'000), "marks");
  Add(cases, "bomb_of_values", repeat("N", 1'100'000), "on the stack");
  Add(cases, "bomb_of_dicts", repeat("}", 700'000), "containers");
  Add(cases, "bomb_of_nesting", repeat(")\x85", 700'000), "containers");
  Add(cases, "bomb_of_strings",
      PickleWriter().Proto().Raw("]").Raw(
          repeat("U" + std::string(1, '\0') + "a", 2'100'000).bytes().substr(2)),
      "strings");
  Add(cases, "bomb_of_items",
      PickleWriter().Proto().Raw("]").Raw(repeat("Na", 3'100'000).bytes().substr(2)),
      "values in containers");
  const std::string puts = repeat(std::string("q\0", 2), 10'000'001).bytes().substr(2);
  Add(cases, "bomb_of_opcodes", PickleWriter().Proto().Raw("N").Raw(puts), "opcodes");
  PickleWriter laughs = PickleWriter().Proto().Raw("]q").Raw(std::string(1, '\0'));
  for (int i = 0; i < 30; ++i) {  // lists of ten references to the list before: 10^30 leaves
    laughs.Raw("](");
    for (int k = 0; k < 10; ++k) laughs.Op('h').Op(static_cast<char>(i));
    laughs.Raw("eq").Op(static_cast<char>(i + 1)).Raw("\x86").Raw("h").Op(static_cast<char>(i + 1));
  }
  Add(cases, "bomb_of_references", laughs.Raw("."), "STOP with");
}

}  // namespace

std::vector<MalformedCase> MalformedPickles() {
  Cases cases;
  AddForbiddenOps(cases);
  AddUnderflows(cases);
  AddOperands(cases);
  AddForbiddenNames(cases);
  AddCalls(cases);
  AddTensors(cases);
  AddArguments(cases);
  AddStateDicts(cases);
  AddBombs(cases);
  return cases;
}

}  // namespace dray::checkpoint
