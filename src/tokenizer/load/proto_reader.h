// Reads the fields of a serialized protobuf message, one after the other, without a schema. Untrusted: every
// length is checked against what is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/parse/byte_reader.h"
#include "base/status.h"

namespace dray::tokenizer {

struct ProtoField {
  // What follows a field's number in the file.
  enum class Kind { kVarint, kFixed64, kBytes, kFixed32 };

  uint32_t number = 0;
  Kind kind = Kind::kVarint;
  uint64_t value = 0;      // of a number, its bits
  std::string_view bytes;  // of kBytes; a view of the message

  bool Is(uint32_t wanted, Kind wanted_kind) const {
    return number == wanted && kind == wanted_kind;
  }
  // The bits of a kFixed32 as a number.
  float AsFloat() const;
};

class ProtoReader {
 public:
  // `what` names the message in errors; both must outlive the reader.
  ProtoReader(std::string_view message, std::string_view what);

  // The next field, or nothing at the end. kCorrupt if the bytes are not a message.
  Result<std::optional<ProtoField>> Next();

 private:
  Result<uint64_t> Varint();
  Status Corrupt(std::string_view problem) const;

  ByteReader reader_;
  std::string_view what_;
};

}  // namespace dray::tokenizer
