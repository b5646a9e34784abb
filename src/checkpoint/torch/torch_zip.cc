// What torch 1.6 and later write.
#include <fmt/format.h>
#include <zlib.h>

#include <utility>

#include "base/parse/byte_reader.h"
#include "base/parse/parse_number.h"
#include "checkpoint/torch/pickle.h"
#include "checkpoint/torch/torch_containers.h"
#include "checkpoint/torch/zip_reader.h"

namespace dray::checkpoint {
namespace {

using Bytes = std::span<const std::byte>;

constexpr size_t kMaxPickleBytes = 100'000'000;  // as much as a safetensors header may take
constexpr int64_t kMaxArchiveVersion = 10;       // of torch 2; the layout has been the same since 1

Status Corrupt(const std::string& path, std::string_view what) {
  return {StatusCode::kCorrupt, fmt::format("{}: {}", path, what)};
}

std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

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

Result<TorchStateDict> ReadArchivePickle(const ZipEntry& entry, const std::string& path,
                                         TorchRoot root) {
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
  Result<TorchStateDict> state_dict = ReadStateDict(*document, root);
  if (!state_dict.ok()) return state_dict.status().WithPrefix(fmt::format("{}: data.pkl", path));
  return state_dict;
}

// The bytes of every storage, each an entry named by the storage's key.
Result<std::vector<Bytes>> FindStorages(const TorchStateDict& state_dict, const ZipArchive& archive,
                                        const std::string& folder, const std::string& path) {
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
  return storages;
}

}  // namespace

Result<FileContent> ReadTorchZip(Bytes bytes, const std::string& path, TorchRoot root) {
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
                        ReadArchivePickle(*archive.Find(folder + "data.pkl"), path, root));
  DRAY_ASSIGN_OR_RETURN(const std::vector<Bytes> storages,
                        FindStorages(state_dict, archive, folder, path));
  return BindStorages(std::move(state_dict), storages);
}

}  // namespace dray::checkpoint
