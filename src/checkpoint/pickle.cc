#include "checkpoint/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "checkpoint/tensor_source.h"

namespace dray::checkpoint {

// A state dict takes about 75 opcodes, 23 values, 8 memo slots and 5 nodes for each tensor, so
// these limits leave room for 100,000 tensors in one file, and keep a hostile file below 150 MB.
constexpr size_t kMaxOps = 10'000'000;
constexpr size_t kMaxMemo = 1'000'000;
constexpr size_t kMaxStack = 1'000'000;
constexpr size_t kMaxValues = 3'000'000;
constexpr size_t kMaxNodes = 600'000;
constexpr size_t kMaxTexts = 2'000'000;

enum class Op : uint8_t {
  kMark = '(',
  kStop = '.',
  kReduce = 'R',
  kBuild = 'b',
  kGlobal = 'c',
  kPersistentId = 'Q',
  kAppend = 'a',
  kAppends = 'e',
  kSetItem = 's',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyList = ']',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNone = 'N',
  kTrue = 0x88,
  kFalse = 0x89,
  kInt32 = 'J',
  kUint8 = 'K',
  kUint16 = 'M',
  kLong = 0x8A,
  kFloat = 'G',
  kText8 = 0x8C,
  kText32 = 'X',
  kText64 = 0x8D,
  kString8 = 'U',   // Python 2's str
  kString32 = 'T',  // likewise
  kGet8 = 'h',
  kGet32 = 'j',
  kPut8 = 'q',
  kPut32 = 'r',
  kMemoize = 0x94,
  kStackGlobal = 0x93,
  kFrame = 0x95,
  kProto = 0x80,
};

class PickleMachine {
 public:
  explicit PickleMachine(ByteReader& reader) : reader_(reader), start_(reader.offset()) {}

  Result<PickleDocument> Run();

 private:
  Status Bad(std::string_view what) const { return {StatusCode::kCorrupt, std::string(what)}; }
  Status WithPlace(const Status& status) const;

  Status Start();
  Status Step(Op op);
  Status Constant(Op op);
  Status Container(Op op);
  Status Memo(Op op);
  Status Finish();

  Status Push(PickleKind kind, int64_t payload);
  Status PushText(PickleKind kind, size_t size);
  template <typename Size>
  Status PushTextOfSize();
  template <typename Int>
  Status PushInt();
  Status PushLong();
  Status PushNode(PickleKind kind, size_t count);
  Status PushGlobal(std::string_view module, std::string_view name);
  Status ReadGlobal();
  Result<std::string_view> ReadLine();

  // The number of values above the last mark, which is taken away.
  Result<size_t> PopMark();
  // Whether there are `count` values above the last mark.
  Status Need(size_t count) const;
  // Moves the top `count` values into the container below them, whose kind must be fitting.
  Status AddItems(size_t count, PickleKind kind);
  Status Reduce();
  Status Build();
  Status Persistent();
  Status StackGlobal();
  bool IsOrderedDict(PickleValue value) const;
  template <typename Index>
  Status Get();
  Status Put(size_t index);

  ByteReader& reader_;
  size_t start_;
  PickleDocument document_;
  std::vector<PickleValue> stack_;
  std::vector<size_t> marks_;  // stack heights
  std::vector<PickleValue> memo_;
  size_t memo_used_ = 0;
  size_t values_ = 0;  // in containers
  bool stopped_ = false;
};

namespace {

bool IsTuple(PickleValue value) { return value.kind == PickleKind::kTuple; }

}  // namespace

std::string_view Name(PickleKind kind) {
  static constexpr std::string_view kNames[] = {
      "nothing", "None",   "a bool", "an integer", "a long integer", "a float",      "a string",
      "a tuple", "a list", "a dict", "a name",     "an object",      "external data"};
  return kNames[static_cast<size_t>(kind)];
}

Result<PickleDocument> ReadPickle(ByteReader& reader) { return PickleMachine(reader).Run(); }

Result<PickleDocument> PickleMachine::Run() {
  Status status = Start();
  for (size_t ops = 0; status.ok() && !stopped_; ++ops) {
    if (ops == kMaxOps) {
      status = {StatusCode::kResourceExhausted,
                fmt::format("more than {} opcodes", size_t{kMaxOps})};
      break;
    }
    Result<uint8_t> op = reader_.Read<uint8_t>();
    status = op.ok() ? Step(static_cast<Op>(*op)) : Bad("it ends without STOP");
  }
  if (!status.ok()) return WithPlace(status);
  return std::move(document_);
}

// Adds the offset, and the key of the outermost dict at which the machine was: the last text on the
// stack below the second mark.
Status PickleMachine::WithPlace(const Status& status) const {
  const size_t limit = marks_.size() > 1 ? marks_[1] : stack_.size();
  std::string near;
  for (size_t i = 0; i < limit; ++i) {
    if (stack_[i].kind == PickleKind::kText) near = document_.AsText(stack_[i]);
  }
  return {status.code(), fmt::format("pickle byte {}{}: {}", reader_.offset() - start_,
                                     near.empty() ? "" : fmt::format(", near key {}", Quoted(near)),
                                     status.message())};
}

Status PickleMachine::Start() {
  DRAY_ASSIGN_OR_RETURN(const auto op, reader_.Read<uint8_t>());
  if (static_cast<Op>(op) != Op::kProto) return Bad("it does not start with PROTO");
  DRAY_ASSIGN_OR_RETURN(const auto protocol, reader_.Read<uint8_t>());
  if (protocol < 2 || protocol > 5) return Bad(fmt::format("protocol {} is not in 2..5", protocol));
  return OkStatus();
}

Status PickleMachine::Step(Op op) {
  switch (op) {
    case Op::kMark:
      if (marks_.size() >= kMaxStack) return Bad("too many marks");
      marks_.push_back(stack_.size());
      return OkStatus();
    case Op::kStop:
      return Finish();
    case Op::kReduce:
      return Reduce();
    case Op::kBuild:
      return Build();
    case Op::kGlobal:
      return ReadGlobal();
    case Op::kStackGlobal:
      return StackGlobal();
    case Op::kPersistentId:
      return Persistent();
    case Op::kFrame: {  // a hint for buffered readers
      DRAY_ASSIGN_OR_RETURN(const auto size, reader_.Read<uint64_t>());
      if (size > reader_.remaining()) return Bad("a frame goes beyond the end");
      return OkStatus();
    }
    case Op::kAppend:
    case Op::kAppends:
    case Op::kSetItem:
    case Op::kSetItems:
    case Op::kEmptyDict:
    case Op::kEmptyList:
    case Op::kEmptyTuple:
    case Op::kTuple:
    case Op::kTuple1:
    case Op::kTuple2:
    case Op::kTuple3:
      return Container(op);
    case Op::kGet8:
    case Op::kGet32:
    case Op::kPut8:
    case Op::kPut32:
    case Op::kMemoize:
      return Memo(op);
    default:
      return Constant(op);
  }
}

Status PickleMachine::Constant(Op op) {
  switch (op) {
    case Op::kNone:
      return Push(PickleKind::kNone, 0);
    case Op::kTrue:
      return Push(PickleKind::kBool, 1);
    case Op::kFalse:
      return Push(PickleKind::kBool, 0);
    case Op::kInt32:
      return PushInt<int32_t>();
    case Op::kUint8:
      return PushInt<uint8_t>();
    case Op::kUint16:
      return PushInt<uint16_t>();
    case Op::kLong:
      return PushLong();
    case Op::kFloat: {  // no tensor depends on one, so its value is not kept
      DRAY_RETURN_IF_ERROR(reader_.Skip(sizeof(double)));
      return Push(PickleKind::kFloat, 0);
    }
    case Op::kText8:
    case Op::kString8:
      return PushTextOfSize<uint8_t>();
    case Op::kText32:
    case Op::kString32:
      return PushTextOfSize<uint32_t>();
    case Op::kText64:
      return PushTextOfSize<uint64_t>();
    default:
      return {StatusCode::kInvalidArgument,
              fmt::format("opcode {:#04x} is none of those that state dicts are made of",
                          static_cast<int>(op))};
  }
}

Status PickleMachine::Container(Op op) {
  switch (op) {
    case Op::kEmptyDict:
      return PushNode(PickleKind::kDict, 0);
    case Op::kEmptyList:
      return PushNode(PickleKind::kList, 0);
    case Op::kEmptyTuple:
      return PushNode(PickleKind::kTuple, 0);
    case Op::kTuple1:
      return PushNode(PickleKind::kTuple, 1);
    case Op::kTuple2:
      return PushNode(PickleKind::kTuple, 2);
    case Op::kTuple3:
      return PushNode(PickleKind::kTuple, 3);
    case Op::kAppend:
      return AddItems(1, PickleKind::kList);
    case Op::kSetItem:
      return AddItems(2, PickleKind::kDict);
    default:
      break;
  }
  DRAY_ASSIGN_OR_RETURN(const size_t count, PopMark());
  if (op == Op::kTuple) return PushNode(PickleKind::kTuple, count);
  return AddItems(count, op == Op::kAppends ? PickleKind::kList : PickleKind::kDict);
}

Status PickleMachine::Memo(Op op) {
  switch (op) {
    case Op::kGet8:
      return Get<uint8_t>();
    case Op::kGet32:
      return Get<uint32_t>();
    case Op::kPut8: {
      DRAY_ASSIGN_OR_RETURN(const auto index, reader_.Read<uint8_t>());
      return Put(index);
    }
    case Op::kPut32: {
      DRAY_ASSIGN_OR_RETURN(const auto index, reader_.Read<uint32_t>());
      return Put(index);
    }
    default:
      return Put(memo_used_);
  }
}

Status PickleMachine::Finish() {
  if (!marks_.empty() || stack_.size() != 1) {
    return Bad(
        fmt::format("STOP with {} values and {} marks on the stack", stack_.size(), marks_.size()));
  }
  document_.root = stack_.back();
  stopped_ = true;
  return OkStatus();
}

Status PickleMachine::Push(PickleKind kind, int64_t payload) {
  if (stack_.size() >= kMaxStack) {
    return {StatusCode::kResourceExhausted,
            fmt::format("more than {} values on the stack", size_t{kMaxStack})};
  }
  stack_.push_back({kind, payload});
  return OkStatus();
}

Status PickleMachine::PushText(PickleKind kind, size_t size) {
  DRAY_ASSIGN_OR_RETURN(const std::string_view text, reader_.ReadText(size));
  if (document_.texts_.size() >= kMaxTexts) {
    return {StatusCode::kResourceExhausted, fmt::format("more than {} strings", size_t{kMaxTexts})};
  }
  document_.texts_.push_back(text);
  return Push(kind, static_cast<int64_t>(document_.texts_.size() - 1));
}

template <typename Size>
Status PickleMachine::PushTextOfSize() {
  DRAY_ASSIGN_OR_RETURN(const auto size, reader_.Read<Size>());
  return PushText(PickleKind::kText, size);
}

template <typename Int>
Status PickleMachine::PushInt() {
  DRAY_ASSIGN_OR_RETURN(const auto value, reader_.Read<Int>());
  return Push(PickleKind::kInt, value);
}

// A little-endian two's complement number of any length.
Status PickleMachine::PushLong() {
  DRAY_ASSIGN_OR_RETURN(const auto size, reader_.Read<uint8_t>());
  if (size > sizeof(int64_t)) return PushText(PickleKind::kLong, size);
  DRAY_ASSIGN_OR_RETURN(const auto bytes, reader_.ReadBytes(size));
  uint64_t bits = size > 0 && (bytes.back() & std::byte{0x80}) != std::byte{0} ? ~uint64_t{0} : 0;
  for (size_t i = size; i-- > 0;) bits = bits << 8 | std::to_integer<uint64_t>(bytes[i]);
  return Push(PickleKind::kInt, static_cast<int64_t>(bits));
}

Status PickleMachine::Need(size_t count) const {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() - floor >= count) return OkStatus();
  return Bad(
      fmt::format("{} values wanted, but only {} are on the stack", count, stack_.size() - floor));
}

Result<size_t> PickleMachine::PopMark() {
  if (marks_.empty()) return Bad("no mark on the stack");
  const size_t count = stack_.size() - marks_.back();
  marks_.pop_back();
  return count;
}

// Replaces the top `count` values by a node that holds them.
Status PickleMachine::PushNode(PickleKind kind, size_t count) {
  DRAY_RETURN_IF_ERROR(Need(count));
  if (document_.nodes_.size() >= kMaxNodes || values_ + count > kMaxValues) {
    return {StatusCode::kResourceExhausted,
            fmt::format("more than {} containers or {} values in them", size_t{kMaxNodes},
                        size_t{kMaxValues})};
  }
  values_ += count;
  document_.nodes_.emplace_back(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return Push(kind, static_cast<int64_t>(document_.nodes_.size() - 1));
}

Status PickleMachine::AddItems(size_t count, PickleKind kind) {
  DRAY_RETURN_IF_ERROR(Need(count + 1));
  const PickleValue target = stack_[stack_.size() - count - 1];
  const bool fits = target.kind == kind || (kind == PickleKind::kDict && IsOrderedDict(target));
  if (!fits) return Bad(fmt::format("items for {} are added to {}", Name(kind), Name(target.kind)));
  if (kind == PickleKind::kDict && count % 2 != 0) return Bad("a key without a value");
  if (values_ + count > kMaxValues) {
    return {StatusCode::kResourceExhausted,
            fmt::format("more than {} values in containers", size_t{kMaxValues})};
  }
  values_ += count;
  auto& items = document_.nodes_[target.payload];
  items.insert(items.end(), stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return OkStatus();
}

bool PickleMachine::IsOrderedDict(PickleValue value) const {
  return value.kind == PickleKind::kCall &&
         document_.AsGlobal(document_.Items(value)[0]).global == TorchGlobal::kOrderedDict;
}

Status PickleMachine::Reduce() {
  DRAY_RETURN_IF_ERROR(Need(2));
  const PickleValue function = stack_[stack_.size() - 2];
  if (function.kind != PickleKind::kGlobal || !IsCallable(document_.AsGlobal(function).global)) {
    return Bad(fmt::format("REDUCE of {}, which is no function of state dicts",
                           function.kind == PickleKind::kGlobal ? document_.AsGlobal(function).name
                                                                : Name(function.kind)));
  }
  if (!IsTuple(stack_.back())) return Bad("REDUCE with arguments that are no tuple");
  return PushNode(PickleKind::kCall, 2);
}

// The attributes of an OrderedDict (torch's _metadata), which no tensor depends on: dropped.
Status PickleMachine::Build() {
  DRAY_RETURN_IF_ERROR(Need(2));
  const PickleValue target = stack_[stack_.size() - 2];
  if (!IsOrderedDict(target))
    return Bad(fmt::format("BUILD of {}, not of an OrderedDict", Name(target.kind)));
  if (stack_.back().kind != PickleKind::kDict) return Bad("BUILD with a state that is no dict");
  stack_.pop_back();
  return OkStatus();
}

Status PickleMachine::Persistent() {
  DRAY_RETURN_IF_ERROR(Need(1));
  if (!IsTuple(stack_.back())) return Bad("BINPERSID of what is no tuple");
  document_.persistent_ids_.push_back(stack_.back());
  return PushNode(PickleKind::kPersistent, 1);
}

Result<std::string_view> PickleMachine::ReadLine() {
  constexpr size_t kMaxNameBytes = 256;
  const size_t start = reader_.offset();
  size_t size = 0;
  for (;; ++size) {
    DRAY_ASSIGN_OR_RETURN(const auto c, reader_.Read<char>());
    if (c == '\n') break;
    if (size == kMaxNameBytes)
      return Bad(fmt::format("a name of more than {} bytes", size_t{kMaxNameBytes}));
  }
  DRAY_RETURN_IF_ERROR(reader_.Seek(start));
  DRAY_ASSIGN_OR_RETURN(const std::string_view line, reader_.ReadText(size));
  DRAY_RETURN_IF_ERROR(reader_.Skip(1));
  return line;
}

Status PickleMachine::ReadGlobal() {
  DRAY_ASSIGN_OR_RETURN(const std::string_view module, ReadLine());
  DRAY_ASSIGN_OR_RETURN(const std::string_view name, ReadLine());
  return PushGlobal(module, name);
}

Status PickleMachine::StackGlobal() {
  DRAY_RETURN_IF_ERROR(Need(2));
  const PickleValue module = stack_[stack_.size() - 2];
  const PickleValue name = stack_.back();
  if (module.kind != PickleKind::kText || name.kind != PickleKind::kText) {
    return Bad("STACK_GLOBAL of what is no pair of strings");
  }
  stack_.resize(stack_.size() - 2);
  return PushGlobal(document_.AsText(module), document_.AsText(name));
}

Status PickleMachine::PushGlobal(std::string_view module, std::string_view name) {
  DRAY_ASSIGN_OR_RETURN(const size_t place, FindTorchName(module, name));
  return Push(PickleKind::kGlobal, static_cast<int64_t>(place));
}

template <typename Index>
Status PickleMachine::Get() {
  DRAY_ASSIGN_OR_RETURN(const auto index, reader_.Read<Index>());
  if (index >= memo_.size() || memo_[index].kind == PickleKind::kUnset) {
    return Bad(fmt::format("memo slot {} is read before it is written", index));
  }
  return Push(memo_[index].kind, memo_[index].payload);
}

Status PickleMachine::Put(size_t index) {
  DRAY_RETURN_IF_ERROR(Need(1));
  if (index >= kMaxMemo) {
    return {StatusCode::kResourceExhausted,
            fmt::format("memo slot {} is beyond the limit of {}", index, size_t{kMaxMemo})};
  }
  if (index >= memo_.size())
    memo_.resize(std::max(index + 1, std::min(kMaxMemo, 2 * memo_.size())));
  if (memo_[index].kind == PickleKind::kUnset) ++memo_used_;
  memo_[index] = stack_.back();
  return OkStatus();
}

}  // namespace dray::checkpoint
