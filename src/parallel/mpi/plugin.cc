// libdray_mpi.so: the only code that includes MPI's header and is linked to it.
#define OMPI_SKIP_MPICXX 1  // the C interface alone
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <cstdlib>

#include "parallel/mpi/mpi_abi.h"

namespace {

// dray's own messages cannot meet those of other users of MPI in this process.
MPI_Comm g_world = MPI_COMM_NULL;

// MPI_Request is a pointer or an int, depending on the implementation.
MPI_Request RequestOf(const DrayMpiRequest& request) { return (MPI_Request)request.bits; }

int32_t Store(int error, MPI_Request mpi, DrayMpiRequest* request) {
  if (error != MPI_SUCCESS) return error;
  request->bits = (uint64_t)mpi;
  request->in_use = 1;
  return 0;
}

int32_t DescribeJob(DrayMpiJob* job) {
  MPI_Comm local = MPI_COMM_NULL;
  int error = MPI_Comm_rank(g_world, &job->rank);
  if (error == MPI_SUCCESS) error = MPI_Comm_size(g_world, &job->world);
  if (error == MPI_SUCCESS) {
    error = MPI_Comm_split_type(g_world, MPI_COMM_TYPE_SHARED, job->rank, MPI_INFO_NULL, &local);
  }
  if (error == MPI_SUCCESS) error = MPI_Comm_rank(local, &job->local_rank);
  if (error == MPI_SUCCESS) error = MPI_Comm_size(local, &job->local_world);
  if (local != MPI_COMM_NULL) MPI_Comm_free(&local);
  return error;
}

// Between processes of one machine, Open MPI copies messages up to this size through memory that
// they share. Larger ones wait for the receiver first, and the kernel copies them. 128 KiB, and a
// page for Open MPI's own header, are the sums of 8 rows of 4096 numbers: sums of decoding steps
// take a quarter to a half of the time that they take with Open MPI's own limit of 4 KiB.
constexpr const char* kEagerLimit[] = {"OMPI_MCA_btl_vader_eager_limit", "135168"};

int32_t Start(DrayMpiJob* job) {
  ::setenv(kEagerLimit[0], kEagerLimit[1], 0);  // a limit that the user has set stays
  int provided = 0;
  int error = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
  if (error == MPI_SUCCESS && provided < MPI_THREAD_MULTIPLE) error = MPI_ERR_OTHER;
  if (error == MPI_SUCCESS) error = MPI_Comm_dup(MPI_COMM_WORLD, &g_world);
  if (error == MPI_SUCCESS) error = MPI_Comm_set_errhandler(g_world, MPI_ERRORS_RETURN);
  return error == MPI_SUCCESS ? DescribeJob(job) : error;
}

int32_t Finish() {
  MPI_Comm_free(&g_world);
  return MPI_Finalize();
}

int32_t Send(const void* data, int64_t bytes, int32_t to, int32_t tag, int32_t until_received,
             DrayMpiRequest* request) {
  MPI_Request mpi = MPI_REQUEST_NULL;
  const auto send = until_received != 0 ? MPI_Issend : MPI_Isend;
  const int error = send(data, static_cast<int>(bytes), MPI_BYTE, to, tag, g_world, &mpi);
  return Store(error, mpi, request);
}

int32_t Receive(void* data, int64_t bytes, int32_t from, int32_t tag, DrayMpiRequest* request) {
  MPI_Request mpi = MPI_REQUEST_NULL;
  const int source = from == kDrayMpiAnySource ? MPI_ANY_SOURCE : from;
  const int error = MPI_Irecv(data, static_cast<int>(bytes), MPI_BYTE, source, tag, g_world, &mpi);
  return Store(error, mpi, request);
}

int32_t Test(DrayMpiRequest* request, int32_t* done, int64_t* bytes) {
  *done = 1;
  *bytes = 0;
  if (request->in_use == 0) return 0;
  MPI_Request mpi = RequestOf(*request);
  MPI_Status status;
  int flag = 0;
  int error = MPI_Test(&mpi, &flag, &status);
  *done = flag;
  if (error != MPI_SUCCESS || flag == 0) return error;
  request->in_use = 0;
  int count = 0;
  error = MPI_Get_count(&status, MPI_BYTE, &count);
  *bytes = count == MPI_UNDEFINED ? 0 : count;
  return error;
}

int32_t Cancel(DrayMpiRequest* request) {
  if (request->in_use == 0) return 0;
  MPI_Request mpi = RequestOf(*request);
  request->in_use = 0;
  const int error = MPI_Cancel(&mpi);
  return error == MPI_SUCCESS ? MPI_Wait(&mpi, MPI_STATUS_IGNORE) : error;
}

void ErrorText(int32_t error, char* text, int64_t size) {
  char all[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  if (MPI_Error_string(error, all, &length) != MPI_SUCCESS) length = 0;
  const int64_t kept = std::min<int64_t>(length, size - 1);
  std::copy_n(all, kept, text);
  text[kept] = '\0';
}

constexpr DrayMpiApi kApi = {kDrayMpiVersion, "Open MPI", Start,  Finish,   Send,
                             Receive,         Test,       Cancel, ErrorText};

}  // namespace

extern "C" __attribute__((visibility("default"))) const DrayMpiApi* DrayMpiGetApi() {
  return &kApi;
}
