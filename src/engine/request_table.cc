#include "engine/request_table.h"

#include <utility>
#include <vector>

#include "base/check.h"

namespace dray::engine {

Request& RequestTable::Add(std::unique_ptr<Request> request) {
  Request& added = *request;
  requests_.emplace(added.id, std::move(request));
  return added;
}

Sequence& RequestTable::Add(std::unique_ptr<Sequence> sequence) {
  Sequence& added = *sequence;
  added.id = SequenceId(next_sequence_id_++);
  added.request->open_sequences.push_back(added.id);
  sequences_.emplace(added.id, std::move(sequence));
  return added;
}

Request* RequestTable::Find(RequestId id) const {
  const auto found = requests_.find(id);
  return found == requests_.end() ? nullptr : found->second.get();
}

Sequence* RequestTable::Find(SequenceId id) const {
  const auto found = sequences_.find(id);
  return found == sequences_.end() ? nullptr : found->second.get();
}

std::unique_ptr<Request> RequestTable::Remove(RequestId id) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return nullptr;
  std::unique_ptr<Request> request = std::move(found->second);
  requests_.erase(found);
  for (const SequenceId sequence : request->open_sequences) sequences_.erase(sequence);
  return request;
}

Request& RequestTable::Remove(SequenceId id) {
  const auto found = sequences_.find(id);
  DRAY_CHECK(found != sequences_.end());
  Request& request = *found->second->request;
  sequences_.erase(found);
  std::erase(request.open_sequences, id);
  return request;
}

}  // namespace dray::engine
