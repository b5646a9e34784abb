#include "checkpoint/torch/pickle_stack.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace dray::checkpoint {
namespace {

// A state dict takes about 75 opcodes, 23 values, 8 memo slots, 5 containers and 2 strings for each
// tensor, so these limits leave room for 100,000 tensors in one file, and keep a hostile one below
// 200 MB.
constexpr size_t kMaxMemo = 1'000'000;
constexpr size_t kMaxStack = 1'000'000;
constexpr size_t kMaxValues = 3'000'000;
constexpr size_t kMaxNodes = 600'000;
constexpr size_t kMaxTexts = 2'000'000;

Status Bad(std::string_view what) { return {StatusCode::kCorrupt, std::string(what)}; }

Status TooMany(size_t limit, std::string_view what) {
  return {StatusCode::kResourceExhausted, fmt::format("more than {} {}", limit, what)};
}

}  // namespace

std::string_view Name(PickleKind kind) {
  static constexpr std::string_view kNames[] = {
      "nothing", "None",   "a bool", "an integer", "a long integer", "a float",      "a string",
      "a tuple", "a list", "a dict", "a name",     "an object",      "external data"};
  return kNames[static_cast<size_t>(kind)];
}

Status PickleStack::Push(PickleKind kind, int64_t payload) {
  if (stack_.size() >= kMaxStack) return TooMany(kMaxStack, "values on the stack");
  stack_.push_back({kind, payload});
  return OkStatus();
}

Status PickleStack::PushText(PickleKind kind, std::string_view text) {
  if (document_.texts_.size() >= kMaxTexts) return TooMany(kMaxTexts, "strings");
  document_.texts_.push_back(text);
  return Push(kind, static_cast<int64_t>(document_.texts_.size() - 1));
}

Status PickleStack::PushGlobal(std::string_view module, std::string_view name) {
  DRAY_ASSIGN_OR_RETURN(const size_t place, FindTorchName(module, name));
  return Push(PickleKind::kGlobal, static_cast<int64_t>(place));
}

Status PickleStack::PushMark() {
  if (marks_.size() >= kMaxStack) return TooMany(kMaxStack, "marks");
  marks_.push_back(stack_.size());
  return OkStatus();
}

Result<size_t> PickleStack::PopMark() {
  if (marks_.empty()) return Bad("no mark on the stack");
  const size_t count = stack_.size() - marks_.back();
  marks_.pop_back();
  return count;
}

Status PickleStack::Need(size_t count) const {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() - floor >= count) return OkStatus();
  return Bad(
      fmt::format("{} values wanted, but only {} are on the stack", count, stack_.size() - floor));
}

Status PickleStack::PushNode(PickleKind kind, size_t count) {
  DRAY_RETURN_IF_ERROR(Need(count));
  if (document_.nodes_.size() >= kMaxNodes) return TooMany(kMaxNodes, "containers");
  if (values_ + count > kMaxValues) return TooMany(kMaxValues, "values in containers");
  values_ += count;
  document_.nodes_.emplace_back(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return Push(kind, static_cast<int64_t>(document_.nodes_.size() - 1));
}

Status PickleStack::AddItems(size_t count, PickleKind kind) {
  DRAY_RETURN_IF_ERROR(Need(count + 1));
  const PickleValue target = stack_[stack_.size() - count - 1];
  const bool fits = target.kind == kind || (kind == PickleKind::kDict && IsOrderedDict(target));
  if (!fits) return Bad(fmt::format("items for {} are added to {}", Name(kind), Name(target.kind)));
  if (kind == PickleKind::kDict && count % 2 != 0) return Bad("a key without a value");
  if (values_ + count > kMaxValues) return TooMany(kMaxValues, "values in containers");
  values_ += count;
  auto& items = document_.nodes_[static_cast<size_t>(target.payload)];
  items.insert(items.end(), stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return OkStatus();
}

bool PickleStack::IsOrderedDict(PickleValue value) const {
  return value.kind == PickleKind::kCall &&
         document_.AsGlobal(document_.Items(value)[0]).global == TorchGlobal::kOrderedDict;
}

Status PickleStack::Reduce() {
  DRAY_RETURN_IF_ERROR(Need(2));
  const PickleValue function = stack_[stack_.size() - 2];
  const bool is_name = function.kind == PickleKind::kGlobal;
  if (!is_name || !IsCallable(document_.AsGlobal(function).global)) {
    return Bad(fmt::format("REDUCE of {}, which is no function of state dicts",
                           is_name ? document_.AsGlobal(function).name : Name(function.kind)));
  }
  if (stack_.back().kind != PickleKind::kTuple)
    return Bad("REDUCE with arguments that are no tuple");
  return PushNode(PickleKind::kCall, 2);
}

Status PickleStack::Build() {
  DRAY_RETURN_IF_ERROR(Need(2));
  const PickleValue target = stack_[stack_.size() - 2];
  if (!IsOrderedDict(target)) {
    return Bad(fmt::format("BUILD of {}, not of an OrderedDict", Name(target.kind)));
  }
  if (stack_.back().kind != PickleKind::kDict) return Bad("BUILD with a state that is no dict");
  stack_.pop_back();
  return OkStatus();
}

Status PickleStack::Persistent() {
  DRAY_RETURN_IF_ERROR(Need(1));
  if (stack_.back().kind != PickleKind::kTuple) return Bad("BINPERSID of what is no tuple");
  document_.persistent_ids_.push_back(stack_.back());
  return PushNode(PickleKind::kPersistent, 1);
}

Status PickleStack::StackGlobal() {
  DRAY_RETURN_IF_ERROR(Need(2));
  const PickleValue module = stack_[stack_.size() - 2];
  const PickleValue name = stack_.back();
  if (module.kind != PickleKind::kText || name.kind != PickleKind::kText) {
    return Bad("STACK_GLOBAL of what is no pair of strings");
  }
  stack_.resize(stack_.size() - 2);
  return PushGlobal(document_.AsText(module), document_.AsText(name));
}

Status PickleStack::Get(size_t index) {
  if (index >= memo_.size() || memo_[index].kind == PickleKind::kUnset) {
    return Bad(fmt::format("memo slot {} is read before it is written", index));
  }
  return Push(memo_[index].kind, memo_[index].payload);
}

Status PickleStack::Put(size_t index) {
  DRAY_RETURN_IF_ERROR(Need(1));
  if (index >= kMaxMemo) {
    return {StatusCode::kResourceExhausted,
            fmt::format("memo slot {} is beyond the limit of {}", index, size_t{kMaxMemo})};
  }
  if (index >= memo_.size()) {
    memo_.resize(std::max(index + 1, std::min(size_t{kMaxMemo}, 2 * memo_.size())));
  }
  if (memo_[index].kind == PickleKind::kUnset) ++memo_used_;
  memo_[index] = stack_.back();
  return OkStatus();
}

Result<PickleDocument> PickleStack::Finish() {
  if (!marks_.empty() || stack_.size() != 1) {
    return Bad(
        fmt::format("STOP with {} values and {} marks on the stack", stack_.size(), marks_.size()));
  }
  document_.root = stack_.back();
  return std::move(document_);
}

// The last string below the second mark: the first mark opens the dict's items, the second an
// argument of the value that is being made.
std::string_view PickleStack::NearestKey() const {
  const size_t limit = marks_.size() > 1 ? std::min(marks_[1], stack_.size()) : stack_.size();
  for (size_t i = limit; i-- > 0;) {
    if (stack_[i].kind == PickleKind::kText) return document_.AsText(stack_[i]);
  }
  return {};
}

}  // namespace dray::checkpoint
