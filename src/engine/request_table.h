// The requests that an engine works on, and their sequences, by id. A step in flight names
// sequences by id, because they may end before it is back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "base/ids.h"
#include "engine/sequence.h"

namespace dray::engine {

class RequestTable {
 public:
  Request& Add(std::unique_ptr<Request> request);
  // Gives the sequence an id, and adds it to the open sequences of its request.
  Sequence& Add(std::unique_ptr<Sequence> sequence);

  // Returns null if the request has ended.
  Request* Find(RequestId id) const;
  // Returns null if the sequence has ended.
  Sequence* Find(SequenceId id) const;
  // Removes a request and all its sequences. Returns null if the request has ended before.
  std::unique_ptr<Request> Remove(RequestId id);
  // Removes one sequence, which must exist, and returns its request.
  Request& Remove(SequenceId id);

  // Calls `visit` with each sequence, in no particular order.
  template <typename Visit>
  void ForEachSequence(const Visit& visit) const {
    for (const auto& [id, sequence] : sequences_) visit(*sequence);
  }

  size_t size() const { return requests_.size(); }
  bool empty() const { return requests_.empty(); }
  // Returns any of the requests; there must be one.
  RequestId any() const { return requests_.begin()->first; }

 private:
  std::unordered_map<RequestId, std::unique_ptr<Request>> requests_;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  uint64_t next_sequence_id_ = 1;
};

}  // namespace dray::engine
