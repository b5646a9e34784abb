// All families, with one source file for each layout of checkpoints. family_registry.cc lists them.
#pragma once

#include "model/families/family_spec.h"

namespace dray::model {

extern const FamilySpec kBertFamily;
extern const FamilySpec kBloomFamily;
extern const FamilySpec kCamembertFamily;
extern const FamilySpec kDistilBertFamily;
extern const FamilySpec kGpt2Family;
extern const FamilySpec kGptJFamily;
extern const FamilySpec kGptNeoFamily;
extern const FamilySpec kGptNeoxFamily;
extern const FamilySpec kLlamaFamily;
extern const FamilySpec kMistralFamily;
extern const FamilySpec kMt5Family;
extern const FamilySpec kOptFamily;
extern const FamilySpec kQwen2Family;
extern const FamilySpec kQwen3Family;
extern const FamilySpec kRobertaFamily;
extern const FamilySpec kT5Family;
extern const FamilySpec kXlmRobertaFamily;

}  // namespace dray::model
