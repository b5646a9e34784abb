// What libdray_mpi.so gives to the program that opens it: MPI's point-to-point messages behind
// functions of plain C types. The program itself is linked to no MPI, and needs none to run.
//
// All functions may be called by several threads at a time. They return 0 or an error code of MPI,
// which error_text explains.
#pragma once

#include <cstdint>

extern "C" {

// Counts changes of this file: the program refuses a library of another version.
enum : uint32_t { kDrayMpiVersion = 1 };
enum : int32_t { kDrayMpiAnySource = -1 };

// This process among those that were started together.
struct DrayMpiJob {
  int32_t rank;
  int32_t world;
  int32_t local_rank;  // among those of this machine
  int32_t local_world;
};

// A send or a receive under way. All zeros: none.
struct DrayMpiRequest {
  uint64_t bits;
  int32_t in_use;
};

struct DrayMpiApi {
  uint32_t version;  // kDrayMpiVersion
  const char* implementation;

  // Starts MPI, once for the process. Collective: returns when all ranks have called it.
  int32_t (*start)(DrayMpiJob* job);
  // Ends MPI. Waits until all ranks have called it.
  int32_t (*finish)();
  // Begins to send `bytes` (below 2^31). The memory stays as it is until the request is done. With
  // `until_received`, it is done only when the receiver has begun to receive.
  int32_t (*send)(const void* data, int64_t bytes, int32_t to, int32_t tag, int32_t until_received,
                  DrayMpiRequest* request);
  // Begins to receive at most `bytes` from rank `from` or kDrayMpiAnySource.
  int32_t (*receive)(void* data, int64_t bytes, int32_t from, int32_t tag, DrayMpiRequest* request);
  // Lets messages make progress. Sets done to 1 if the request is done, or none is in use; then it
  // is free, and `bytes` is the size of a received message.
  int32_t (*test)(DrayMpiRequest* request, int32_t* done, int64_t* bytes);
  // Gives up a receive, or ends it if its message has come already.
  int32_t (*cancel)(DrayMpiRequest* request);
  void (*error_text)(int32_t error, char* text, int64_t size);
};

// The library's only function.
const DrayMpiApi* DrayMpiGetApi();
using DrayMpiGetApiFunction = const DrayMpiApi* (*)();

}  // extern "C"

inline constexpr char kDrayMpiGetApiName[] = "DrayMpiGetApi";
