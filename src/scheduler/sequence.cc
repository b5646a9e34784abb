#include "scheduler/sequence.h"

namespace dray::scheduler {

void SequenceQueue::InsertFromFront(std::vector<Sequence>& table, SequenceIndex index) {
  SequenceIndex next = front_;
  while (next != kNoSequence && table[next].order < table[index].order) next = table[next].next;
  InsertBefore(table, index, next);
}

void SequenceQueue::InsertFromBack(std::vector<Sequence>& table, SequenceIndex index) {
  SequenceIndex next = kNoSequence;
  SequenceIndex previous = back_;
  while (previous != kNoSequence && table[index].order < table[previous].order) {
    next = previous;
    previous = table[previous].previous;
  }
  InsertBefore(table, index, next);
}

void SequenceQueue::InsertBefore(std::vector<Sequence>& table, SequenceIndex index,
                                 SequenceIndex next) {
  const SequenceIndex previous = next == kNoSequence ? back_ : table[next].previous;
  table[index].previous = previous;
  table[index].next = next;
  (previous == kNoSequence ? front_ : table[previous].next) = index;
  (next == kNoSequence ? back_ : table[next].previous) = index;
  ++size_;
}

void SequenceQueue::Remove(std::vector<Sequence>& table, SequenceIndex index) {
  Sequence& sequence = table[index];
  (sequence.previous == kNoSequence ? front_ : table[sequence.previous].next) = sequence.next;
  (sequence.next == kNoSequence ? back_ : table[sequence.next].previous) = sequence.previous;
  sequence.previous = sequence.next = kNoSequence;
  --size_;
}

}  // namespace dray::scheduler
