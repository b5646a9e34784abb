#include "checkpoint/torch/torch_state_dict.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/checked_math.h"
#include "checkpoint/untrusted_json.h"

namespace dray::checkpoint {
namespace {

using Values = std::span<const PickleValue>;

// Limits what one tensor of a file may make its reader walk through.
constexpr size_t kMaxPickledRank = 64;

// A recorded call: what was to be called, with what.
struct Call {
  TorchGlobal function;
  Values arguments;
};

class StateDictReader {
 public:
  StateDictReader(const PickleDocument& document, TorchRoot root)
      : document_(document), root_(root) {}

  Result<TorchStateDict> Read();

 private:
  static Status Corrupt(std::string_view what) { return {StatusCode::kCorrupt, std::string(what)}; }

  Status ReadStorages();
  Status AddStorage(Values id);
  Result<Values> RootItems() const;
  Status AddEntry(PickleValue key, PickleValue value);
  Status AddScaledTensor(const std::string& name, PickleValue list);
  Status AddNamed(const std::string& name, const Call& call);
  Status AddTensor(const std::string& name, const Call& call);
  Status AddView(TorchTensor tensor, Values shape, Values strides);
  // The call behind `value` that makes a tensor, seen through parameters and attributes; nothing if
  // it makes none.
  std::optional<Call> TensorCall(PickleValue value) const;
  bool HoldsTensors(PickleValue dict) const;
  std::optional<Values> DictItems(PickleValue value) const;
  // A tuple of integers that are not negative, or a torch.Size of one.
  Result<Values> ReadInts(PickleValue value, std::string_view what) const;
  Status CheckReach(const TorchTensor& tensor, int64_t elements) const;

  bool Is(PickleValue value, PickleKind kind) const { return value.kind == kind; }

  const PickleDocument& document_;
  const TorchRoot root_;
  TorchStateDict result_;
  std::unordered_map<std::string_view, size_t> storage_of_key_;
  std::unordered_set<std::string> names_;
};

// Persistent ids are ("storage", type, key, location, elements) with, in the legacy container, a
// sixth member for views of storages, which no torch since 0.4 has written.
Status StateDictReader::AddStorage(Values id) {
  const auto text = [&](size_t i, std::string_view expected) {
    return Is(id[i], PickleKind::kText) &&
           (expected.empty() || document_.AsText(id[i]) == expected);
  };
  const bool shape_ok = (id.size() == 5 || (id.size() == 6 && Is(id[5], PickleKind::kNone))) &&
                        text(0, "storage") && Is(id[1], PickleKind::kGlobal) && text(2, "") &&
                        text(3, "") && Is(id[4], PickleKind::kInt);
  if (!shape_ok) {
    return Corrupt("a persistent id is not (\"storage\", type, key, location, number of elements)");
  }
  const TorchStorage storage{document_.AsText(id[2]), &document_.AsGlobal(id[1]),
                             document_.AsInt(id[4])};
  if (storage.type->global != TorchGlobal::kStorageType) {
    return Corrupt(
        fmt::format("storage {}: {} is no storage type", Quoted(storage.key), storage.type->name));
  }
  if (storage.elements < 0 || !CheckedMul<int64_t>(storage.elements, storage.type->element_bytes)) {
    return Corrupt(fmt::format("storage {}: {} elements of {} bytes", Quoted(storage.key),
                               storage.elements, storage.type->element_bytes));
  }
  const auto [it, is_new] = storage_of_key_.emplace(storage.key, result_.storages.size());
  if (is_new) {
    result_.storages.push_back(storage);
    return OkStatus();
  }
  const TorchStorage& before = result_.storages[it->second];
  if (before.type != storage.type || before.elements != storage.elements) {
    return Corrupt(fmt::format("storage {}: once {} of {} elements, once {} of {}",
                               Quoted(storage.key), before.type->name, before.elements,
                               storage.type->name, storage.elements));
  }
  return OkStatus();
}

Status StateDictReader::ReadStorages() {
  for (const PickleValue id : document_.persistent_ids()) {
    DRAY_RETURN_IF_ERROR(AddStorage(document_.Items(id)));
  }
  return OkStatus();
}

// Keys and values of a dict, or of an OrderedDict that was filled after its construction.
std::optional<Values> StateDictReader::DictItems(PickleValue value) const {
  if (Is(value, PickleKind::kDict)) return document_.Items(value);
  if (!Is(value, PickleKind::kCall)) return std::nullopt;
  const Values items = document_.Items(value);
  if (document_.AsGlobal(items[0]).global != TorchGlobal::kOrderedDict) return std::nullopt;
  return items.subspan(2);
}

Result<Values> StateDictReader::RootItems() const {
  const std::optional<Values> items = DictItems(document_.root);
  if (!items)
    return Corrupt(fmt::format("it holds {}, not a state dict", Name(document_.root.kind)));
  if (Is(document_.root, PickleKind::kCall) &&
      !document_.Items(document_.Items(document_.root)[1]).empty()) {
    return Status(StatusCode::kUnsupported,
                  "its OrderedDict is filled by its constructor, as Python 2 wrote it; load and "
                  "save it again "
                  "with a current torch");
  }
  return *items;
}

std::optional<Call> StateDictReader::TensorCall(PickleValue value) const {
  if (!Is(value, PickleKind::kCall)) return std::nullopt;
  const auto as_call = [&](PickleValue call) {
    const Values items = document_.Items(call);
    return Call{document_.AsGlobal(items[0]).global, document_.Items(items[1])};
  };
  Call call = as_call(value);
  // A parameter wraps a tensor, attributes wrap either: three layers at most in what torch writes.
  for (int layer = 0; layer < 3; ++layer) {
    const Values arguments = call.arguments;
    switch (call.function) {
      case TorchGlobal::kRebuildTensor:
      case TorchGlobal::kRebuildTensorWithDType:
        return call;
      case TorchGlobal::kRebuildParameter:
      case TorchGlobal::kRebuildParameterWithState:
        if (arguments.size() < 3 || !Is(arguments[0], PickleKind::kCall)) return std::nullopt;
        call = as_call(arguments[0]);
        break;
      case TorchGlobal::kRebuildFromType:  // (function, type, arguments, state)
        if (arguments.size() != 4 || !Is(arguments[0], PickleKind::kGlobal) ||
            !Is(arguments[2], PickleKind::kTuple)) {
          return std::nullopt;
        }
        call = Call{document_.AsGlobal(arguments[0]).global, document_.Items(arguments[2])};
        break;
      default:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

bool StateDictReader::HoldsTensors(PickleValue dict) const {
  const std::optional<Values> items = DictItems(dict);
  if (!items) return false;
  for (size_t i = 1; i < items->size(); i += 2) {
    if (TensorCall((*items)[i])) return true;
  }
  return false;
}

Result<Values> StateDictReader::ReadInts(PickleValue value, std::string_view what) const {
  if (Is(value, PickleKind::kCall)) {
    const Values items = document_.Items(value);
    const Values arguments = document_.Items(items[1]);
    if (document_.AsGlobal(items[0]).global == TorchGlobal::kSize && arguments.size() == 1) {
      value = arguments[0];
    }
  }
  if (!Is(value, PickleKind::kTuple))
    return Corrupt(fmt::format("its {} is {}", what, Name(value.kind)));
  const Values ints = document_.Items(value);
  if (ints.size() > kMaxPickledRank)
    return Corrupt(fmt::format("its {} has {} numbers", what, ints.size()));
  for (const PickleValue number : ints) {
    if (!Is(number, PickleKind::kInt) || document_.AsInt(number) < 0) {
      return Corrupt(fmt::format("its {} holds what is no integer in 0..2^63-1", what));
    }
  }
  return ints;
}

// The last element that the view reaches must be in the storage.
Status StateDictReader::CheckReach(const TorchTensor& tensor, int64_t elements) const {
  const TorchStorage& storage = result_.storages[tensor.storage];
  std::optional<int64_t> end = tensor.offset;
  if (elements > 0) {
    for (int i = 0; i < tensor.shape.rank(); ++i) {
      const auto step = CheckedMul(tensor.shape[i] - 1, tensor.strides[i]);
      end = end && step ? CheckedAdd(*end, *step) : std::nullopt;
    }
    end = end ? CheckedAdd<int64_t>(*end, 1) : std::nullopt;
  }
  if (end && *end <= storage.elements) return OkStatus();
  return Corrupt(
      fmt::format("offset {}, shape {} and its strides reach beyond the {} elements of storage {}",
                  tensor.offset, tensor.shape.ToString(), storage.elements, Quoted(storage.key)));
}

Status StateDictReader::AddView(TorchTensor tensor, Values shape, Values strides) {
  if (shape.size() > static_cast<size_t>(Shape::kMaxRank)) {
    result_.unreadable.push_back({tensor.name,
                                  fmt::format("it has {} dimensions, and dray reads at most {}",
                                              shape.size(), int{Shape::kMaxRank}),
                                  nullptr});
    return OkStatus();
  }
  std::vector<int64_t> dims;
  for (size_t i = 0; i < shape.size(); ++i) {
    dims.push_back(document_.AsInt(shape[i]));
    tensor.strides[i] = document_.AsInt(strides[i]);
  }
  tensor.shape = Shape(dims);
  const std::optional<int64_t> elements = tensor.shape.CheckedElements();
  if (!elements) return Corrupt(fmt::format("shape {} overflows 64 bits", tensor.shape.ToString()));
  DRAY_RETURN_IF_ERROR(CheckReach(tensor, *elements));
  const TorchStorage& storage = result_.storages[tensor.storage];
  if (!storage.type->dtype) {
    result_.unreadable.push_back(
        {tensor.name,
         fmt::format("its storage is a {}, which dray does not read", storage.type->name),
         nullptr});
  } else if (*elements > storage.elements) {
    // A view with stride 0 can be larger than any memory.
    result_.unreadable.push_back(
        {tensor.name,
         fmt::format("it is an expanded view, {} elements over a storage of {}", *elements,
                     storage.elements),
         nullptr});
  } else {
    result_.tensors.push_back(std::move(tensor));
  }
  return OkStatus();
}

// Arguments: storage, offset, shape, strides, requires_grad, hooks, and then the dtype
// (v3) and metadata.
Status StateDictReader::AddTensor(const std::string& name, const Call& call) {
  const Values arguments = call.arguments;
  const bool has_dtype = call.function == TorchGlobal::kRebuildTensorWithDType;
  const size_t required = has_dtype ? 7 : 6;
  if (arguments.size() < required || arguments.size() > required + 1) {
    return Corrupt(
        fmt::format("it is rebuilt from {} arguments, not {}", arguments.size(), required));
  }
  if (!Is(arguments[0], PickleKind::kPersistent)) {
    return Corrupt(fmt::format("its storage is {}", Name(arguments[0].kind)));
  }
  if (!Is(arguments[1], PickleKind::kInt) || document_.AsInt(arguments[1]) < 0) {
    return Corrupt("its storage offset is no integer in 0..2^63-1");
  }
  DRAY_ASSIGN_OR_RETURN(const Values shape, ReadInts(arguments[2], "shape"));
  DRAY_ASSIGN_OR_RETURN(const Values strides, ReadInts(arguments[3], "strides"));
  if (shape.size() != strides.size()) {
    return Corrupt(
        fmt::format("it has {} dimensions but {} strides", shape.size(), strides.size()));
  }
  if (has_dtype) {  // torch uses this form only for types that have no storage class
    result_.unreadable.push_back({name, "its dtype is one that dray does not read", nullptr});
    return OkStatus();
  }
  const Values id = document_.Items(document_.Items(arguments[0])[0]);
  TorchTensor tensor;
  tensor.name = name;
  tensor.storage = storage_of_key_.at(document_.AsText(id[2]));
  tensor.offset = document_.AsInt(arguments[1]);
  return AddView(std::move(tensor), shape, strides);
}

Status StateDictReader::AddNamed(const std::string& name, const Call& call) {
  if (!names_.insert(name).second)
    return Corrupt(fmt::format("tensor {} stands twice", Quoted(name)));
  return AddTensor(name, call).WithPrefix(fmt::format("tensor {}", Quoted(name)));
}

// A tensor and its scales.
Status StateDictReader::AddScaledTensor(const std::string& name, PickleValue list) {
  const Values items = document_.Items(list);
  const std::optional<Call> tensor = items.size() == 2 ? TensorCall(items[0]) : std::nullopt;
  const std::optional<Call> scale = items.size() == 2 ? TensorCall(items[1]) : std::nullopt;
  if (!tensor || !scale) {
    return Corrupt(
        fmt::format("key {} holds a list that is not a tensor and its scales", Quoted(name)));
  }
  DRAY_RETURN_IF_ERROR(AddNamed(name, *tensor));
  return AddNamed(name + std::string(kScaleSuffix), *scale);
}

Status StateDictReader::AddEntry(PickleValue key, PickleValue value) {
  if (!Is(key, PickleKind::kText) || !IsSaneName(document_.AsText(key))) {
    return Corrupt(
        fmt::format("a key of the state dict is {}, not a name",
                    Is(key, PickleKind::kText) ? Quoted(document_.AsText(key)) : Name(key.kind)));
  }
  const std::string name(document_.AsText(key));
  if (root_ == TorchRoot::kScaledStateDict && Is(value, PickleKind::kList)) {
    return AddScaledTensor(name, value);
  }
  const std::optional<Call> call = TensorCall(value);
  if (!call) {
    if (!HoldsTensors(value)) return OkStatus();
    return {StatusCode::kUnsupported,
            fmt::format(
                "key {} holds a dict of tensors; dray reads flat state dicts, as save_pretrained "
                "writes them: save that dict alone",
                Quoted(name))};
  }
  return AddNamed(name, *call);
}

Result<TorchStateDict> StateDictReader::Read() {
  DRAY_RETURN_IF_ERROR(ReadStorages());
  if (root_ == TorchRoot::kTensor) {
    const std::optional<Call> call = TensorCall(document_.root);
    if (!call) return Corrupt(fmt::format("it holds {}, not a tensor", Name(document_.root.kind)));
    DRAY_RETURN_IF_ERROR(AddNamed(std::string(kOnlyTensor), *call));
    return std::move(result_);
  }
  DRAY_ASSIGN_OR_RETURN(const Values items, RootItems());
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    DRAY_RETURN_IF_ERROR(AddEntry(items[i], items[i + 1]));
  }
  if (names_.empty() && root_ != TorchRoot::kScaledStateDict) {
    return Corrupt("its state dict holds no tensors");
  }
  return std::move(result_);
}

}  // namespace

Result<TorchStateDict> ReadStateDict(const PickleDocument& document, TorchRoot root) {
  return StateDictReader(document, root).Read();
}

}  // namespace dray::checkpoint
