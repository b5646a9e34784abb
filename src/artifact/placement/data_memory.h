// The memory behind the addresses of an artifact's weights. At first all of it is the mapping of the data file.
// This class puts memory of the process's own in place of parts of the mapping, at the same addresses and with
// the same bytes. So matrices that point there need not know what lies behind an address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "artifact/mapped_artifact.h"
#include "artifact/placement/byte_range.h"
#include "artifact/placement/data_reader.h"
#include "base/status.h"

namespace dray::artifact {

// All ranges begin at multiples of kPageBytes (base/machine/huge_pages.h), and end at one or at the file's end.
//
// Threads: any, for ranges that have no byte in common.
class DataMemory {
 public:
  static Result<DataMemory> Open(std::shared_ptr<const MappedArtifact> artifact,
                                 ReadThrough through);

  const MappedArtifact& artifact() const { return *artifact_; }

  // Reads the range into memory of its own, in huge pages where the system has some, and puts this in the
  // range's place. Other threads may read the range meanwhile. kResourceExhausted if there is no memory; errors
  // of DataReader::Read. After an error the mapping is still there.
  Status Copy(ByteRange range) const;
  // Puts memory without content in the range's place, for Fill and Empty.
  Status Reserve(ByteRange range) const;
  // Reads the bytes of a reserved range from the file. Errors of DataReader::Read.
  Status Fill(ByteRange range) const;
  // Gives the memory of a reserved range back to the system.
  void Empty(ByteRange range) const;

 private:
  DataMemory(std::shared_ptr<const MappedArtifact> artifact, DataReader reader)
      : artifact_(std::move(artifact)), reader_(std::move(reader)) {}
  // The whole pages of the range.
  std::span<std::byte> PagesOf(ByteRange range) const;

  std::shared_ptr<const MappedArtifact> artifact_;
  DataReader reader_;
};

}  // namespace dray::artifact
