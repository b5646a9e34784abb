// Opcodes and their operands, read from the file; pickle_stack.h does what they say.
#include "checkpoint/torch/pickle.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "checkpoint/tensor_source.h"
#include "checkpoint/torch/pickle_stack.h"

namespace dray::checkpoint {
namespace {

constexpr size_t kMaxOps = 10'000'000;
constexpr size_t kMaxNameBytes = 256;

// All that are read; each is written by torch.save at one of the protocols 2 to 5, or by Python 2.
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
  Status WithPlace(const Status& status) const;
  Status ReadProtocol();
  Status ReadOpsToStop();
  Status Step(Op op);
  Status StepConstant(Op op);
  Status StepContainer(Op op);
  Status StepMemo(Op op);
  Status ReadFrame();
  Status ReadGlobal();
  Status ReadLong();
  template <typename Int>
  Status ReadInt();
  template <typename Size>
  Status ReadText();
  Result<std::string_view> ReadLine();

  ByteReader& reader_;
  const size_t start_;
  PickleStack stack_;
};

Status Bad(std::string_view what) { return {StatusCode::kCorrupt, std::string(what)}; }

Result<PickleDocument> PickleMachine::Run() {
  Status status = ReadProtocol();
  if (status.ok()) status = ReadOpsToStop();
  if (!status.ok()) return WithPlace(status);
  Result<PickleDocument> document = stack_.Finish();
  if (!document.ok()) return WithPlace(document.status());
  return document;
}

Status PickleMachine::WithPlace(const Status& status) const {
  const std::string_view key = stack_.NearestKey();
  return {status.code(), fmt::format("pickle byte {}{}: {}", reader_.offset() - start_,
                                     key.empty() ? "" : fmt::format(", near key {}", Quoted(key)),
                                     status.message())};
}

Status PickleMachine::ReadProtocol() {
  const Result<uint8_t> op = reader_.Read<uint8_t>();
  if (!op.ok() || static_cast<Op>(*op) != Op::kProto) return Bad("it does not start with PROTO");
  DRAY_ASSIGN_OR_RETURN(const auto protocol, reader_.Read<uint8_t>());
  if (protocol < 2 || protocol > 5) return Bad(fmt::format("protocol {} is not in 2..5", protocol));
  return OkStatus();
}

Status PickleMachine::ReadOpsToStop() {
  for (size_t ops = 0; ops < kMaxOps; ++ops) {
    const Result<uint8_t> op = reader_.Read<uint8_t>();
    if (!op.ok()) return Bad("it ends without STOP");
    if (static_cast<Op>(*op) == Op::kStop) return OkStatus();
    DRAY_RETURN_IF_ERROR(Step(static_cast<Op>(*op)));
  }
  return {StatusCode::kResourceExhausted, fmt::format("more than {} opcodes", size_t{kMaxOps})};
}

Status PickleMachine::Step(Op op) {
  switch (op) {
    case Op::kMark:
      return stack_.PushMark();
    case Op::kReduce:
      return stack_.Reduce();
    case Op::kBuild:
      return stack_.Build();
    case Op::kGlobal:
      return ReadGlobal();
    case Op::kStackGlobal:
      return stack_.StackGlobal();
    case Op::kPersistentId:
      return stack_.Persistent();
    case Op::kFrame:
      return ReadFrame();
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
      return StepContainer(op);
    case Op::kGet8:
    case Op::kGet32:
    case Op::kPut8:
    case Op::kPut32:
    case Op::kMemoize:
      return StepMemo(op);
    default:
      return StepConstant(op);
  }
}

Status PickleMachine::StepConstant(Op op) {
  switch (op) {
    case Op::kNone:
      return stack_.Push(PickleKind::kNone, 0);
    case Op::kTrue:
      return stack_.Push(PickleKind::kBool, 1);
    case Op::kFalse:
      return stack_.Push(PickleKind::kBool, 0);
    case Op::kInt32:
      return ReadInt<int32_t>();
    case Op::kUint8:
      return ReadInt<uint8_t>();
    case Op::kUint16:
      return ReadInt<uint16_t>();
    case Op::kLong:
      return ReadLong();
    case Op::kFloat:  // no tensor depends on one, so its value is not kept
      DRAY_RETURN_IF_ERROR(reader_.Skip(sizeof(double)));
      return stack_.Push(PickleKind::kFloat, 0);
    case Op::kText8:
    case Op::kString8:
      return ReadText<uint8_t>();
    case Op::kText32:
    case Op::kString32:
      return ReadText<uint32_t>();
    case Op::kText64:
      return ReadText<uint64_t>();
    default:
      return {StatusCode::kInvalidArgument,
              fmt::format("opcode {:#04x} is none of those that state dicts are made of",
                          static_cast<int>(op))};
  }
}

Status PickleMachine::StepContainer(Op op) {
  switch (op) {
    case Op::kEmptyDict:
      return stack_.PushNode(PickleKind::kDict, 0);
    case Op::kEmptyList:
      return stack_.PushNode(PickleKind::kList, 0);
    case Op::kEmptyTuple:
      return stack_.PushNode(PickleKind::kTuple, 0);
    case Op::kTuple1:
      return stack_.PushNode(PickleKind::kTuple, 1);
    case Op::kTuple2:
      return stack_.PushNode(PickleKind::kTuple, 2);
    case Op::kTuple3:
      return stack_.PushNode(PickleKind::kTuple, 3);
    case Op::kAppend:
      return stack_.AddItems(1, PickleKind::kList);
    case Op::kSetItem:
      return stack_.AddItems(2, PickleKind::kDict);
    default:
      break;
  }
  DRAY_ASSIGN_OR_RETURN(const size_t count, stack_.PopMark());
  if (op == Op::kTuple) return stack_.PushNode(PickleKind::kTuple, count);
  return stack_.AddItems(count, op == Op::kAppends ? PickleKind::kList : PickleKind::kDict);
}

Status PickleMachine::StepMemo(Op op) {
  if (op == Op::kMemoize) return stack_.Memoize();
  size_t index = 0;
  if (op == Op::kGet8 || op == Op::kPut8) {
    DRAY_ASSIGN_OR_RETURN(index, reader_.Read<uint8_t>());
  } else {
    DRAY_ASSIGN_OR_RETURN(index, reader_.Read<uint32_t>());
  }
  return op == Op::kGet8 || op == Op::kGet32 ? stack_.Get(index) : stack_.Put(index);
}

// A hint for buffered readers: the bytes up to the next frame.
Status PickleMachine::ReadFrame() {
  DRAY_ASSIGN_OR_RETURN(const auto size, reader_.Read<uint64_t>());
  if (size > reader_.remaining())
    return Bad(fmt::format("a frame of {} bytes goes beyond the end", size));
  return OkStatus();
}

template <typename Int>
Status PickleMachine::ReadInt() {
  DRAY_ASSIGN_OR_RETURN(const auto value, reader_.Read<Int>());
  return stack_.Push(PickleKind::kInt, value);
}

// A little-endian two's complement number of any length.
Status PickleMachine::ReadLong() {
  DRAY_ASSIGN_OR_RETURN(const auto size, reader_.Read<uint8_t>());
  DRAY_ASSIGN_OR_RETURN(const std::string_view bytes, reader_.ReadText(size));
  if (size > sizeof(int64_t)) return stack_.PushText(PickleKind::kLong, bytes);
  const bool negative = size > 0 && (static_cast<uint8_t>(bytes.back()) & 0x80) != 0;
  uint64_t bits = negative ? ~uint64_t{0} : 0;
  for (size_t i = size; i-- > 0;) bits = bits << 8 | static_cast<uint8_t>(bytes[i]);
  return stack_.Push(PickleKind::kInt, static_cast<int64_t>(bits));
}

template <typename Size>
Status PickleMachine::ReadText() {
  DRAY_ASSIGN_OR_RETURN(const auto size, reader_.Read<Size>());
  DRAY_ASSIGN_OR_RETURN(const std::string_view text, reader_.ReadText(size));
  return stack_.PushText(PickleKind::kText, text);
}

Result<std::string_view> PickleMachine::ReadLine() {
  const size_t start = reader_.offset();
  size_t size = 0;
  for (;; ++size) {
    DRAY_ASSIGN_OR_RETURN(const auto c, reader_.Read<char>());
    if (c == '\n') break;
    if (size == kMaxNameBytes) {
      return Bad(fmt::format("a name of more than {} bytes", size_t{kMaxNameBytes}));
    }
  }
  DRAY_RETURN_IF_ERROR(reader_.Seek(start));
  DRAY_ASSIGN_OR_RETURN(const std::string_view line, reader_.ReadText(size));
  DRAY_RETURN_IF_ERROR(reader_.Skip(1));
  return line;
}

Status PickleMachine::ReadGlobal() {
  DRAY_ASSIGN_OR_RETURN(const std::string_view module, ReadLine());
  DRAY_ASSIGN_OR_RETURN(const std::string_view name, ReadLine());
  return stack_.PushGlobal(module, name);
}

}  // namespace

Result<PickleDocument> ReadPickle(ByteReader& reader) { return PickleMachine(reader).Run(); }

}  // namespace dray::checkpoint
