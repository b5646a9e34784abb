// What torch wrote before 1.6, and still does with _use_new_zipfile_serialization=False.
#include <fmt/format.h>

#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/parse/byte_reader.h"
#include "checkpoint/torch/pickle.h"
#include "checkpoint/torch/torch_containers.h"

namespace dray::checkpoint {
namespace {

using Bytes = std::span<const std::byte>;

Status Corrupt(const std::string& path, std::string_view what) {
  return {StatusCode::kCorrupt, fmt::format("{}: {}", path, what)};
}

constexpr std::string_view kLegacyMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr int64_t kLegacyProtocol = 1001;

// Five pickles (magic number, protocol, system, state dict, storage keys) and the storages, each
// after a count of its elements.
class LegacyReader {
 public:
  LegacyReader(Bytes bytes, const std::string& path, TorchRoot root)
      : path_(path), root_(root), reader_(bytes, "torch file") {}

  Result<FileContent> Read();

 private:
  Result<PickleDocument> Next(std::string_view what);
  Status CheckPreamble();
  Result<Bytes> ReadStorage(const TorchStorage& storage);
  Result<std::vector<Bytes>> ReadStorages(const TorchStateDict& state_dict);

  const std::string& path_;
  const TorchRoot root_;
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

// In the order of state_dict.storages, though the file has them in the order of its own
// list of keys.
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
  Result<TorchStateDict> state_dict = ReadStateDict(document, root_);
  if (!state_dict.ok()) return state_dict.status().WithPrefix(fmt::format("{}: state dict", path_));
  DRAY_ASSIGN_OR_RETURN(const std::vector<Bytes> storages, ReadStorages(*state_dict));
  return BindStorages(std::move(state_dict).value(), storages);
}

}  // namespace

Result<FileContent> ReadTorchLegacy(Bytes bytes, const std::string& path, TorchRoot root) {
  return LegacyReader(bytes, path, root).Read();
}

}  // namespace dray::checkpoint
