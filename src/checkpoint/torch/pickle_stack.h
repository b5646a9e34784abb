// The state of the restricted pickle machine: its stack, marks and memo, and the document that
// grows from them. Separate from pickle.cc, which reads opcodes and their operands from the file
// and calls this.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "checkpoint/torch/pickle.h"

namespace dray::checkpoint {

// Every operation checks what it takes from the stack and what it adds to the document, so any
// sequence of calls is safe. kCorrupt or kInvalidArgument for what no pickler writes,
// kResourceExhausted at a limit.
class PickleStack {
 public:
  Status Push(PickleKind kind, int64_t payload);
  // kText or kLong.
  Status PushText(PickleKind kind, std::string_view text);
  Status PushGlobal(std::string_view module, std::string_view name);
  // Replaces the top `count` values by a container that holds them.
  Status PushNode(PickleKind kind, size_t count);

  Status PushMark();
  // The number of values above the last mark, which is taken away.
  Result<size_t> PopMark();

  // Moves the top `count` values into the list or dict below them; `kind` says which it must be.
  Status AddItems(size_t count, PickleKind kind);
  // Function and arguments become a kCall: a record, not a call.
  Status Reduce();
  // Drops the attributes of an OrderedDict (torch's _metadata), on which no tensor depends.
  Status Build();
  // A tuple becomes a kPersistent.
  Status Persistent();
  // Two strings become the name that they spell.
  Status StackGlobal();

  // Pushes what the memo holds at `index`.
  Status Get(size_t index);
  // Copies the top value into the memo at `index`, or at the next free place.
  Status Put(size_t index);
  Status Memoize() { return Put(memo_used_); }

  // The document, whose root is the only value left on the stack.
  Result<PickleDocument> Finish();

  // The key of the outermost dict at which the machine is, for error messages; empty if it
  // is at none.
  std::string_view NearestKey() const;

 private:
  // Whether there are `count` values above the last mark.
  Status Need(size_t count) const;
  bool IsOrderedDict(PickleValue value) const;

  PickleDocument document_;
  std::vector<PickleValue> stack_;
  std::vector<size_t> marks_;  // stack heights
  std::vector<PickleValue> memo_;
  size_t memo_used_ = 0;
  size_t values_ = 0;  // in containers
};

}  // namespace dray::checkpoint
