#include "checkpoint/torch_file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <cstring>
#include <unordered_map>

#include "base/byte_reader.h"
#include "base/parse_number.h"
#include "checkpoint/pickle.h"
#include "checkpoint/torch_state_dict.h"
#include "checkpoint/untrusted_json.h"
#include "checkpoint/zip_reader.h"

namespace dray::checkpoint {
namespace {

using Bytes = std::span<const std::byte>;

constexpr size_t kMaxPickleBytes = 100'000'000;  // as much as a safetensors header may take
constexpr int64_t kMaxArchiveVersion = 10;  // of torch 2.x; the layout has been the same since 1

Status Corrupt(const std::string& path, std::string_view what) {
  return {StatusCode::kCorrupt, fmt::format("{}: {}", path, what)};
}

bool StartsWith(Bytes bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Joins tensors and the bytes of their storages, given in the order of state_dict.storages.
FileContent Bind(TorchStateDict state_dict, const std::vector<Bytes>& storages) {
  FileContent content{{}, std::move(state_dict.unreadable)};
  content.tensors.reserve(state_dict.tensors.size());
  for (const TorchTensor& tensor : state_dict.tensors) {
    const DType dtype = *state_dict.storages[tensor.storage].type->dtype;
    content.tensors.push_back({.name = std::string(tensor.name),
                               .dtype = dtype,
                               .shape = tensor.shape,
                               .strides = tensor.strides,
                               .data = storages[tensor.storage].data() +
                                       static_cast<size_t>(tensor.offset) * SizeOf(dtype),
                               .file = nullptr});
  }
  return content;
}

// ---- The ZIP container
// -------------------------------------------------------------------------------

// All entries are in one folder, whose name is the file's name at the time of saving.
Result<std::string> ArchiveFolder(const ZipArchive& archive, const std::string& path) {
  if (archive.entries().empty()) return Corrupt(path, "the archive is empty");
  const std::string_view first = archive.entries()[0].name;
  const size_t slash = first.find('/');
  const std::string folder(first.substr(0, slash == std::string_view::npos ? 0 : slash + 1));
  for (const ZipEntry& entry : archive.entries()) {
    if (folder.size() > 1 && entry.name.substr(0, folder.size()) == folder) continue;
    return Corrupt(
        path, fmt::format("archive entry {} is not in one folder with the others, as torch.save "
                          "writes them",
                          Quoted(entry.name)));
  }
  return folder;
}

Status CheckVersion(const ZipEntry& entry, const std::string& path) {
  std::string_view text = AsText(entry.data);
  if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const auto version = ParseInt64(text);
  if (version && *version >= 1 && *version <= kMaxArchiveVersion) return OkStatus();
  return Corrupt(path, fmt::format("archive entry {}: version {} is not in 1..{}",
                                   Quoted(entry.name), Quoted(text), kMaxArchiveVersion));
}

Status CheckByteOrder(const ZipEntry& entry, const std::string& path) {
  if (AsText(entry.data) == "little") return OkStatus();
  return {StatusCode::kUnsupported,
          fmt::format("{}: archive entry {}: byte order {}; only little-endian files are read",
                      path, Quoted(entry.name), Quoted(AsText(entry.data)))};
}

// The CRC of the pickle is checked, because it is read whole anyway. Those of the storages are not:
// that would read every byte of the weights twice, and a CRC stops no forger. Downloads are
// verified by digest.
Status CheckCrc(const ZipEntry& entry, const std::string& path) {
  const auto* data = reinterpret_cast<const Bytef*>(entry.data.data());
  if (::crc32_z(0, data, entry.data.size()) == entry.crc32) return OkStatus();
  return Corrupt(path, fmt::format("archive entry {}: its CRC is wrong", Quoted(entry.name)));
}

Result<TorchStateDict> ReadArchivePickle(const ZipEntry& entry, const std::string& path) {
  if (entry.data.size() > kMaxPickleBytes) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("{}: archive entry {}: {} bytes, above the limit of {}", path,
                              Quoted(entry.name), entry.data.size(), size_t{kMaxPickleBytes}));
  }
  DRAY_RETURN_IF_ERROR(CheckCrc(entry, path));
  ByteReader reader(entry.data, "data.pkl");
  const Result<PickleDocument> document = ReadPickle(reader);
  if (!document.ok()) return document.status().WithPrefix(fmt::format("{}: data.pkl", path));
  if (reader.remaining() > 0) {
    return Corrupt(
        path, fmt::format("data.pkl: {} bytes follow the end of the pickle", reader.remaining()));
  }
  Result<TorchStateDict> state_dict = ReadStateDict(*document);
  if (!state_dict.ok()) return state_dict.status().WithPrefix(fmt::format("{}: data.pkl", path));
  return state_dict;
}

Result<FileContent> ReadZipContainer(Bytes bytes, const std::string& path) {
  DRAY_ASSIGN_OR_RETURN(const ZipArchive archive, ZipArchive::Read(bytes, path));
  DRAY_ASSIGN_OR_RETURN(const std::string folder, ArchiveFolder(archive, path));
  for (const char* name : {"data.pkl", "version"}) {
    if (archive.Find(folder + name) == nullptr) {
      return Corrupt(path, fmt::format("the archive has no entry {}", Quoted(folder + name)));
    }
  }
  DRAY_RETURN_IF_ERROR(CheckVersion(*archive.Find(folder + "version"), path));
  if (const ZipEntry* order = archive.Find(folder + "byteorder")) {
    DRAY_RETURN_IF_ERROR(CheckByteOrder(*order, path));
  }
  DRAY_ASSIGN_OR_RETURN(TorchStateDict state_dict,
                        ReadArchivePickle(*archive.Find(folder + "data.pkl"), path));
  std::vector<Bytes> storages;
  for (const TorchStorage& storage : state_dict.storages) {
    const std::string name = folder + "data/" + std::string(storage.key);
    const ZipEntry* entry = archive.Find(name);
    if (entry == nullptr)
      return Corrupt(path, fmt::format("the archive has no entry {}", Quoted(name)));
    if (entry->data.size() != static_cast<uint64_t>(storage.size_bytes())) {
      return Corrupt(
          path,
          fmt::format("archive entry {} has {} bytes, but data.pkl says {} elements of {}",
                      Quoted(name), entry->data.size(), storage.elements, storage.type->name));
    }
    storages.push_back(entry->data);
  }
  return Bind(std::move(state_dict), storages);
}

// ---- The legacy container
// ----------------------------------------------------------------------------

constexpr std::string_view kLegacyMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr int64_t kLegacyProtocol = 1001;

// Five pickles (magic number, protocol, system, state dict, storage keys) and the storages, each
// after a count of its elements.
class LegacyReader {
 public:
  LegacyReader(Bytes bytes, const std::string& path) : path_(path), reader_(bytes, "torch file") {}

  Result<FileContent> Read();

 private:
  Result<PickleDocument> Next(std::string_view what);
  Status CheckPreamble();
  Result<Bytes> ReadStorage(const TorchStorage& storage);
  Result<std::vector<Bytes>> ReadStorages(const TorchStateDict& state_dict);

  const std::string& path_;
  ByteReader reader_;
};

Result<PickleDocument> LegacyReader::Next(std::string_view what) {
  Result<PickleDocument> document = ReadPickle(reader_);
  if (!document.ok()) return document.status().WithPrefix(fmt::format("{}: {}", path_, what));
  return document;
}

Status LegacyReader::CheckPreamble() {
  DRAY_ASSIGN_OR_RETURN(const PickleDocument magic, Next("magic number"));
  if (magic.root.kind != PickleKind::kLong || magic.AsText(magic.root) != kLegacyMagic) {
    return Corrupt(path_, "it starts with a pickle, but not with the magic number of torch.save");
  }
  DRAY_ASSIGN_OR_RETURN(const PickleDocument protocol, Next("protocol version"));
  if (protocol.root.kind != PickleKind::kInt || protocol.AsInt(protocol.root) != kLegacyProtocol) {
    return Corrupt(path_, fmt::format("protocol version: it is not {}", kLegacyProtocol));
  }
  DRAY_ASSIGN_OR_RETURN(const PickleDocument system, Next("system description"));
  if (system.root.kind != PickleKind::kDict)
    return Corrupt(path_, "system description: it is no dict");
  const auto items = system.Items(system.root);
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (items[i].kind != PickleKind::kText || system.AsText(items[i]) != "little_endian") continue;
    if (items[i + 1].kind == PickleKind::kBool && system.AsBool(items[i + 1])) return OkStatus();
    return {
        StatusCode::kUnsupported,
        fmt::format(
            "{}: system description: \"little_endian\" is not True; only little-endian files are "
            "read",
            path_)};
  }
  return Corrupt(path_, "system description: \"little_endian\" is missing");
}

Result<Bytes> LegacyReader::ReadStorage(const TorchStorage& storage) {
  DRAY_ASSIGN_OR_RETURN(const auto elements, reader_.Read<int64_t>());
  if (elements != storage.elements) {
    return Status(StatusCode::kCorrupt, fmt::format("{} elements, but the state dict says {}",
                                                    elements, storage.elements));
  }
  return reader_.ReadBytes(static_cast<size_t>(storage.size_bytes()));
}

// In the order of state_dict.storages, though the file has them in the order of its own list of
// keys.
Result<std::vector<Bytes>> LegacyReader::ReadStorages(const TorchStateDict& state_dict) {
  std::unordered_map<std::string_view, size_t> waiting;
  for (size_t i = 0; i < state_dict.storages.size(); ++i)
    waiting.emplace(state_dict.storages[i].key, i);
  DRAY_ASSIGN_OR_RETURN(const PickleDocument keys, Next("storage keys"));
  if (keys.root.kind != PickleKind::kList) return Corrupt(path_, "storage keys: they are no list");
  std::vector<Bytes> storages(state_dict.storages.size());
  for (const PickleValue key : keys.Items(keys.root)) {
    const auto it = key.kind == PickleKind::kText ? waiting.find(keys.AsText(key)) : waiting.end();
    if (it == waiting.end()) {
      return Corrupt(path_, fmt::format("storage keys: {} is unknown or stands twice",
                                        key.kind == PickleKind::kText ? Quoted(keys.AsText(key))
                                                                      : Name(key.kind)));
    }
    const Result<Bytes> bytes = ReadStorage(state_dict.storages[it->second]);
    if (!bytes.ok())
      return bytes.status().WithPrefix(fmt::format("{}: storage {}", path_, Quoted(it->first)));
    storages[it->second] = *bytes;
    waiting.erase(it);
  }
  if (!waiting.empty()) {
    return Corrupt(path_,
                   fmt::format("storage keys: {} is missing", Quoted(waiting.begin()->first)));
  }
  if (reader_.remaining() > 0) {
    return Corrupt(path_, fmt::format("{} bytes follow the last storage", reader_.remaining()));
  }
  return storages;
}

Result<FileContent> LegacyReader::Read() {
  DRAY_RETURN_IF_ERROR(CheckPreamble());
  DRAY_ASSIGN_OR_RETURN(const PickleDocument document, Next("state dict"));
  Result<TorchStateDict> state_dict = ReadStateDict(document);
  if (!state_dict.ok()) return state_dict.status().WithPrefix(fmt::format("{}: state dict", path_));
  DRAY_ASSIGN_OR_RETURN(const std::vector<Bytes> storages, ReadStorages(*state_dict));
  return Bind(std::move(state_dict).value(), storages);
}

}  // namespace

Result<FileContent> ReadTorchFile(Bytes bytes, const std::string& path) {
  DRAY_RETURN_IF_ERROR(CheckNotGitLfsPointer(bytes, path));
  if (StartsWith(bytes, "PK\x03\x04")) return ReadZipContainer(bytes, path);
  if (StartsWith(bytes, "\x80")) return LegacyReader(bytes, path).Read();
  return Corrupt(
      path, "it starts neither as a ZIP archive nor as a pickle, so torch.save did not write it");
}

}  // namespace dray::checkpoint
