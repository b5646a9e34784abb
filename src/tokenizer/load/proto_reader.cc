#include "tokenizer/load/proto_reader.h"

#include <fmt/format.h>

#include <bit>

namespace dray::tokenizer {
namespace {

constexpr int kBitsInByte = 7;  // of a varint; the eighth says whether another byte follows
constexpr int kMaxShift = 63;
constexpr uint64_t kMaxFieldNumber = (uint64_t{1} << 29) - 1;

}  // namespace

float ProtoField::AsFloat() const { return std::bit_cast<float>(static_cast<uint32_t>(value)); }

ProtoReader::ProtoReader(std::string_view message, std::string_view what)
    : reader_(std::as_bytes(std::span(message)), what), what_(what) {}

Status ProtoReader::Corrupt(std::string_view problem) const {
  return {StatusCode::kCorrupt, fmt::format("{}: {}, before byte {}: the file is damaged, or not a "
                                            "protobuf message",
                                            what_, problem, reader_.offset())};
}

Result<uint64_t> ProtoReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift <= kMaxShift; shift += kBitsInByte) {
    DRAY_ASSIGN_OR_RETURN(const auto byte, reader_.Read<uint8_t>());
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return Corrupt("an integer has more than 64 bits");
}

Result<std::optional<ProtoField>> ProtoReader::Next() {
  if (reader_.remaining() == 0) return std::optional<ProtoField>();
  DRAY_ASSIGN_OR_RETURN(const uint64_t tag, Varint());
  ProtoField field;
  const uint64_t number = tag >> 3;
  if (number == 0 || number > kMaxFieldNumber) {
    return Corrupt(fmt::format("a field has the number {}", number));
  }
  field.number = static_cast<uint32_t>(number);
  switch (tag & 7) {
    case 0: {
      DRAY_ASSIGN_OR_RETURN(field.value, Varint());
      break;
    }
    case 1: {
      field.kind = ProtoField::Kind::kFixed64;
      DRAY_ASSIGN_OR_RETURN(field.value, reader_.Read<uint64_t>());
      break;
    }
    case 2: {
      field.kind = ProtoField::Kind::kBytes;
      DRAY_ASSIGN_OR_RETURN(const uint64_t size, Varint());
      if (size > reader_.remaining()) {
        return Corrupt(
            fmt::format("a field declares {} bytes, but {} follow", size, reader_.remaining()));
      }
      DRAY_ASSIGN_OR_RETURN(field.bytes, reader_.ReadText(size));
      break;
    }
    case 5: {
      field.kind = ProtoField::Kind::kFixed32;
      DRAY_ASSIGN_OR_RETURN(const auto bits, reader_.Read<uint32_t>());
      field.value = bits;
      break;
    }
    default:
      return Corrupt(fmt::format("a field has the wire type {}", tag & 7));
  }
  return std::optional(field);
}

}  // namespace dray::tokenizer
