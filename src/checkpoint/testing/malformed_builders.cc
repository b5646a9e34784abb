#include "checkpoint/testing/malformed_builders.h"

#include <zlib.h>

#include "base/check.h"

namespace dray::checkpoint {
namespace {

uint32_t Crc32(std::string_view data) {
  return static_cast<uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

constexpr uint16_t kHasDescriptor = 1 << 3;

// What the local and the central header have in common, from the flags on.
std::string CommonHeader(const ZipEntrySpec& entry, const ZipEntrySpec::Overrides& over,
                         bool sizes_follow) {
  const std::string name = over.name.value_or(entry.name);
  const auto size = static_cast<uint32_t>(sizes_follow ? 0 : entry.data.size());
  const uint32_t crc = sizes_follow ? 0 : entry.crc32.value_or(Crc32(entry.data));
  return LittleEndian(over.flags.value_or(entry.flags), 2) +
         LittleEndian(over.method.value_or(entry.method), 2) + std::string(4, '\0') +
         LittleEndian(over.crc32.value_or(crc), 4) +
         LittleEndian(over.compressed.value_or(size), 4) +
         LittleEndian(over.size.value_or(size), 4) + LittleEndian(name.size(), 2) +
         LittleEndian(over.extra.value_or("").size(), 2);
}

std::string LocalPart(const ZipEntrySpec& entry) {
  ZipEntrySpec::Overrides over = entry.local;
  if (!over.extra) over.extra = entry.extra;
  const bool sizes_follow = (entry.flags & kHasDescriptor) != 0;
  std::string out = LittleEndian(over.signature.value_or(0x04034B50), 4) + LittleEndian(0, 2);
  out += CommonHeader(entry, over, sizes_follow) + over.name.value_or(entry.name) + *over.extra;
  out += entry.data;
  if (entry.descriptor) {
    out += *entry.descriptor;
  } else if (sizes_follow && !entry.data.empty()) {
    const uint32_t crc = entry.crc32.value_or(Crc32(entry.data));
    out += LittleEndian(0x08074B50, 4) + LittleEndian(crc, 4) + LittleEndian(entry.data.size(), 4) +
           LittleEndian(entry.data.size(), 4);
  }
  return out + entry.gap;
}

std::string CentralPart(const ZipEntrySpec& entry, size_t offset) {
  const ZipEntrySpec::Overrides& over = entry.central;
  std::string out = LittleEndian(over.signature.value_or(0x02014B50), 4) + LittleEndian(0, 4);
  out += CommonHeader(entry, over, false) + LittleEndian(over.comment.size(), 2) +
         LittleEndian(over.disk, 2) + LittleEndian(0, 2) + LittleEndian(0, 4) +
         LittleEndian(over.offset.value_or(static_cast<uint32_t>(offset)), 4);
  return out + over.name.value_or(entry.name) + over.extra.value_or("") + over.comment;
}

std::string Zip64Part(const ZipSpec::Zip64End& end, size_t entries, size_t size, size_t offset) {
  const uint64_t count = end.entries.value_or(entries);
  std::string out = LittleEndian(end.signature.value_or(0x06064B50), 4) +
                    LittleEndian(end.record_bytes.value_or(44), 8) + LittleEndian(0x2D032D, 4);
  out += LittleEndian(end.disk, 4) + LittleEndian(0, 4) +
         LittleEndian(end.disk_entries.value_or(count), 8) + LittleEndian(count, 8) +
         LittleEndian(end.size.value_or(size), 8) + LittleEndian(end.offset.value_or(offset), 8);
  out += LittleEndian(0x07064B50, 4) + LittleEndian(end.locator_disk, 4) +
         LittleEndian(end.locator_offset.value_or(offset + size), 8) +
         LittleEndian(end.locator_disks, 4);
  return out;
}

std::string EndPart(const ZipSpec::End& end, size_t entries, size_t size, size_t offset) {
  const auto count = end.entries.value_or(static_cast<uint16_t>(entries));
  return LittleEndian(end.signature.value_or(0x06054B50), 4) + LittleEndian(end.disk, 2) +
         LittleEndian(end.directory_disk, 2) + LittleEndian(end.disk_entries.value_or(count), 2) +
         LittleEndian(count, 2) + LittleEndian(end.size.value_or(static_cast<uint32_t>(size)), 4) +
         LittleEndian(end.offset.value_or(static_cast<uint32_t>(offset)), 4) +
         LittleEndian(end.comment.size(), 2) + end.comment;
}

constexpr size_t kSampleBytes = 6 * sizeof(float);  // of the tensor in the sound files

}  // namespace

std::string LittleEndian(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

std::string SafetensorsFile(std::string_view header, std::string_view data,
                            std::optional<uint64_t> header_bytes) {
  std::string out = LittleEndian(header_bytes.value_or(header.size()), 8);
  out += header;
  out += data;
  return out;
}

PickleWriter& PickleWriter::Raw(std::string_view bytes) {
  bytes_ += bytes;
  return *this;
}

PickleWriter& PickleWriter::Proto(int version) {
  return Op('\x80').Raw(LittleEndian(static_cast<uint64_t>(version), 1));
}

PickleWriter& PickleWriter::Text(std::string_view text) {
  return Op('X').Raw(LittleEndian(text.size(), 4)).Raw(text);
}

PickleWriter& PickleWriter::Int(int64_t value) {
  const auto bits = static_cast<uint64_t>(value);
  if (value >= 0 && value < 256) return Op('K').Raw(LittleEndian(bits, 1));
  if (value == static_cast<int32_t>(value)) return Op('J').Raw(LittleEndian(bits, 4));
  return Op('\x8A').Raw("\x08").Raw(LittleEndian(bits, 8));
}

PickleWriter& PickleWriter::Global(std::string_view module, std::string_view name) {
  return Op('c').Raw(module).Op('\n').Raw(name).Op('\n');
}

PickleWriter& PickleWriter::StackGlobal(std::string_view module, std::string_view name) {
  return Text(module).Text(name).Op('\x93');
}

PickleWriter& PickleWriter::Ints(const std::vector<int64_t>& values) {
  Op('(');
  for (const int64_t value : values) Int(value);
  return Op('t');
}

PickleWriter& PickleWriter::OrderedDict() {
  return Global("collections", "OrderedDict").Op(')').Op('R');
}

PickleWriter& PickleWriter::Persistent(const PickleStorage& storage) {
  Op('(').Text("storage").Global("torch", storage.type).Text(storage.key).Text("cpu");
  Int(storage.elements);
  if (storage.legacy) Op('N');
  return Op('t').Op('Q');
}

PickleWriter& PickleWriter::Rebuild(const PickleTensor& tensor) {
  Global("torch._utils", "_rebuild_tensor_v2").Op('(').Persistent(tensor.storage);
  return Int(tensor.offset)
      .Ints(tensor.shape)
      .Ints(tensor.strides)
      .Op('\x89')
      .OrderedDict()
      .Raw("tR");
}

std::string StateDictPickle(const PickleTensor& tensor) {
  return PickleWriter().Proto().Raw("}(").Text("w").Rebuild(tensor).Raw("u.").bytes();
}

std::string ZipSpec::Bytes() const {
  std::string out = prefix;
  std::vector<size_t> offsets;
  for (const ZipEntrySpec& entry : entries) {
    offsets.push_back(out.size());
    out += LocalPart(entry);
  }
  out += before_directory;
  const size_t offset = out.size();
  for (size_t i = 0; i < entries.size(); ++i) out += CentralPart(entries[i], offsets[i]);
  const size_t size = out.size() - offset;
  out += after_directory;
  if (zip64) out += Zip64Part(end64, entries.size(), size, offset);
  return out + EndPart(end, entries.size(), size, offset) + suffix;
}

ZipEntrySpec& ZipSpec::Entry(std::string_view ending) {
  for (ZipEntrySpec& entry : entries) {
    if (entry.name.ends_with(ending)) return entry;
  }
  CheckFailed("no such entry", "ZipSpec::Entry", __FILE__, __LINE__);
}

ZipSpec SoundTorchZip() {
  constexpr uint16_t kTorchFlags = 0x0808;  // UTF-8 names and descriptors
  std::string data;
  for (size_t i = 0; i < kSampleBytes; ++i) data += static_cast<char>(i);
  ZipSpec spec;
  spec.zip64 = true;
  const auto add = [&](const char* name, const std::string& content) {
    ZipEntrySpec entry;
    entry.name = name;
    entry.data = content;
    entry.flags = kTorchFlags;
    spec.entries.push_back(entry);
  };
  add("m/data.pkl", StateDictPickle({}));
  add("m/byteorder", "little");
  add("m/data/0", data);
  add("m/version", "3\n");
  return spec;
}

std::string TorchZipWithPickle(const std::string& pickle) {
  ZipSpec spec = SoundTorchZip();
  spec.Entry("data.pkl").data = pickle;
  return spec.Bytes();
}

LegacySpec::LegacySpec() {
  magic = PickleWriter().Proto().Raw("\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19.").bytes();
  protocol = PickleWriter().Proto().Int(1001).Op('.').bytes();
  system = PickleWriter()
               .Proto()
               .Raw("}(")
               .Text("protocol_version")
               .Int(1001)
               .Text("little_endian")
               .Op('\x88')
               .Raw("u.")
               .bytes();
  PickleTensor tensor;
  tensor.storage.legacy = true;
  state_dict = StateDictPickle(tensor);
  keys = PickleWriter().Proto().Raw("](").Text("0").Raw("e.").bytes();
  storages = LittleEndian(6, 8) + std::string(kSampleBytes, '\x3F');
}

}  // namespace dray::checkpoint
