// Writes weight files byte by byte, sound or not: what the malformed cases and the unit tests are
// made of. Test support; never linked into the server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dray::checkpoint {

// `value` as `bytes` little-endian bytes.
std::string LittleEndian(uint64_t value, int bytes);

// A safetensors file; `header_bytes` overrides the length that it states.
std::string SafetensorsFile(std::string_view header, std::string_view data,
                            std::optional<uint64_t> header_bytes = {});

struct PickleStorage {
  std::string type = "FloatStorage";
  std::string key = "0";
  int64_t elements = 6;
  bool legacy = false;
};

struct PickleTensor {
  PickleStorage storage = {};
  int64_t offset = 0;
  std::vector<int64_t> shape = {2, 3};
  std::vector<int64_t> strides = {3, 1};
};

// Pickle opcodes, one call each, in the protocol 2 forms that torch writes.
class PickleWriter {
 public:
  PickleWriter& Raw(std::string_view bytes);
  PickleWriter& Op(char op) { return Raw({&op, 1}); }
  PickleWriter& Proto(int version = 2);
  PickleWriter& Text(std::string_view text);
  // As BININT1, BININT or LONG1, whichever is the shortest that holds it.
  PickleWriter& Int(int64_t value);
  PickleWriter& Global(std::string_view module, std::string_view name);
  PickleWriter& StackGlobal(std::string_view module, std::string_view name);
  PickleWriter& Ints(const std::vector<int64_t>& values);  // a tuple
  PickleWriter& OrderedDict();                             // an empty one

  // ("storage", torch.<type>, key, "cpu", elements) BINPERSID; a legacy one ends with None.
  PickleWriter& Persistent(const PickleStorage& storage);

  // A call of _rebuild_tensor_v2.
  PickleWriter& Rebuild(const PickleTensor& tensor);

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// The pickle of {"w": tensor}.
std::string StateDictPickle(const PickleTensor& tensor);

// One entry of a ZIP archive; what is set overrides what would be true.
struct ZipEntrySpec {
  std::string name;
  std::string data;
  uint16_t flags = 0;
  uint16_t method = 0;
  std::optional<uint32_t> crc32;
  std::string extra;  // of the local header

  struct Overrides {
    std::optional<std::string> name;
    std::optional<uint16_t> flags;
    std::optional<uint16_t> method;
    std::optional<uint32_t> crc32;
    std::optional<uint32_t> compressed;
    std::optional<uint32_t> size;
    std::optional<uint32_t> offset;
    std::optional<std::string> extra;
    std::optional<uint32_t> signature;
    uint16_t disk = 0;
    std::string comment;
  };
  Overrides local;
  Overrides central;
  std::optional<std::string> descriptor;  // in place of the sound one that flag bit 3 asks for
  std::string gap;                        // bytes after the entry
};

// A ZIP archive; likewise.
struct ZipSpec {
  std::vector<ZipEntrySpec> entries;
  std::string prefix;
  std::string before_directory;
  std::string after_directory;
  std::string suffix;
  bool zip64 = false;

  struct End {
    std::optional<uint32_t> signature;
    uint16_t disk = 0;
    uint16_t directory_disk = 0;
    std::optional<uint16_t> disk_entries;
    std::optional<uint16_t> entries;
    std::optional<uint32_t> size;
    std::optional<uint32_t> offset;
    std::string comment;
  };
  End end;

  struct Zip64End {
    std::optional<uint32_t> signature;
    std::optional<uint64_t> record_bytes;
    uint32_t disk = 0;
    std::optional<uint64_t> disk_entries;
    std::optional<uint64_t> entries;
    std::optional<uint64_t> size;
    std::optional<uint64_t> offset;
    std::optional<uint64_t> locator_offset;
    uint32_t locator_disk = 0;
    uint32_t locator_disks = 1;
  };
  Zip64End end64;

  std::string Bytes() const;
  ZipEntrySpec& Entry(std::string_view ending);  // the one whose name ends so
};

// What torch.save writes for {"w": f32 tensor of shape [2, 3]}: data.pkl,
// byteorder, data/0, version.
ZipSpec SoundTorchZip();
// The same with another data.pkl.
std::string TorchZipWithPickle(const std::string& pickle);

// The parts of a legacy torch file; the defaults make a sound one of the same tensor.
struct LegacySpec {
  std::string magic;
  std::string protocol;
  std::string system;
  std::string state_dict;
  std::string keys;
  std::string storages;

  LegacySpec();
  std::string Bytes() const { return magic + protocol + system + state_dict + keys + storages; }
};

}  // namespace dray::checkpoint
