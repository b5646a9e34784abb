#include "checkpoint/torch/torch_file.h"

#include <cstring>
#include <string_view>
#include <utility>

#include "checkpoint/torch/torch_containers.h"
#include "checkpoint/untrusted_json.h"

namespace dray::checkpoint {
namespace {

using Bytes = std::span<const std::byte>;

bool StartsWith(Bytes bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

}  // namespace

FileContent BindStorages(TorchStateDict state_dict, const std::vector<Bytes>& storages) {
  FileContent content{{}, std::move(state_dict.unreadable)};
  content.tensors.reserve(state_dict.tensors.size());
  for (const TorchTensor& tensor : state_dict.tensors) {
    const DType dtype = *state_dict.storages[tensor.storage].type->dtype;
    content.tensors.push_back({.name = tensor.name,
                               .dtype = dtype,
                               .shape = tensor.shape,
                               .strides = tensor.strides,
                               .data = storages[tensor.storage].data() +
                                       static_cast<size_t>(tensor.offset) * SizeOf(dtype),
                               .file = nullptr});
  }
  return content;
}

Result<FileContent> ReadTorchFile(Bytes bytes, const std::string& path) {
  return ReadTorchFile(bytes, path, TorchRoot::kStateDict);
}

Result<FileContent> ReadTorchFile(Bytes bytes, const std::string& path, TorchRoot root) {
  DRAY_RETURN_IF_ERROR(CheckNotGitLfsPointer(bytes, path));
  if (StartsWith(bytes, "PK\x03\x04")) return ReadTorchZip(bytes, path, root);
  if (StartsWith(bytes, "\x80")) return ReadTorchLegacy(bytes, path, root);
  return Status(StatusCode::kCorrupt,
                path +
                    ": it starts neither as a ZIP archive nor as a pickle, so torch.save did not "
                    "write it");
}

}  // namespace dray::checkpoint
