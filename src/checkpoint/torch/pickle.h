// A restricted pickle machine: it turns the opcodes of a pickled state dict into plain data and can
// do nothing else. Names must be in the table of torch_globals.h; REDUCE and BINPERSID, which in
// Python call something, only record what was to be called and with which arguments
// (torch_state_dict.h reads those records). Opcodes that torch.save does not write for state dicts
// are refused.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/parse/byte_reader.h"
#include "base/status.h"
#include "checkpoint/torch/torch_globals.h"

namespace dray::checkpoint {

enum class PickleKind : uint8_t {
  kUnset,  // a hole in the memo; never part of a document
  kNone,
  kBool,
  kInt,
  kLong,  // an integer beyond 64 bits, kept as its bytes
  kFloat,
  kText,  // str, and the byte strings of Python 2
  kTuple,
  kList,
  kDict,
  kGlobal,
  kCall,        // REDUCE: a function's name and its arguments
  kPersistent,  // BINPERSID: a reference to data outside the pickle
};
// "None", "a tuple", ...: for error messages.
std::string_view Name(PickleKind kind);

// One value, 16 bytes; what does not fit in is in the document at `payload`.
struct PickleValue {
  PickleKind kind = PickleKind::kUnset;
  int64_t payload = 0;
};

// What one pickle holds: a graph of values under `root`. Graphs may be cyclic; walk them with
// bounded depth.
class PickleDocument {
 public:
  PickleValue root;

  bool AsBool(PickleValue value) const { return value.payload != 0; }
  int64_t AsInt(PickleValue value) const { return value.payload; }
  // kText and kLong.
  std::string_view AsText(PickleValue value) const { return texts_[value.payload]; }
  const TorchName& AsGlobal(PickleValue value) const {
    return TorchNameAt(static_cast<size_t>(value.payload));
  }
  // kTuple and kList: the elements. kDict: key, value, key, value, ... kCall: the function, its
  // arguments (a tuple), and then as kDict what was set on the result. kPersistent: the id.
  std::span<const PickleValue> Items(PickleValue value) const { return nodes_[value.payload]; }
  // The ids of all kPersistent values, in the order of the file.
  std::span<const PickleValue> persistent_ids() const { return persistent_ids_; }

 private:
  friend class PickleStack;

  std::vector<std::string_view> texts_;  // views of the file
  std::vector<std::vector<PickleValue>> nodes_;
  std::vector<PickleValue> persistent_ids_;
};

// Runs one pickle, from its PROTO to its STOP, and leaves `reader` behind it. Errors say where in
// the pickle, and near which key of the outermost dict; the caller adds the file's name. The
// document's texts are views of the reader's bytes.
Result<PickleDocument> ReadPickle(ByteReader& reader);

}  // namespace dray::checkpoint
