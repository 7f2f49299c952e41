// A stand-in for NVIDIA's NCCL: the functions that the program uses, for ranks that are processes of one machine. Ranks exchange
// files in a folder and copy them to and from the memory of the GPU through its driver, which may be a simulated one. Everything
// is complete when a function returns, and sums are computed from the last rank to the first.
//
// FAKE_NCCL_DIR is the folder; the file `log` in it has a line for each operation. FAKE_NCCL_VERSION is the version (23003).
// FAKE_NCCL_FAIL=R:N lets operation N of rank R fail as if a connection were lost, after it has started.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SUCCESS, CUDA_ERROR, SYSTEM_ERROR, INTERNAL_ERROR, INVALID_ARGUMENT, INVALID_USAGE, REMOTE_ERROR };
enum { FLOAT16 = 6, FLOAT32 = 7, FLOAT64 = 8, BFLOAT16 = 9 };

typedef struct { char path[128]; } UniqueId;

typedef struct {
    char path[128];
    int rank, ranks;
    long collectives;
    long *sent, *received;
    int lost;
} Comm;

typedef enum { REDUCE_SCATTER, REDUCE, ALL_GATHER, BROADCAST, SEND, RECEIVE } Kind;
static const char *NAMES[] = {"reduce_scatter", "reduce", "all_gather", "broadcast", "send", "receive"};

typedef struct {
    Kind kind;
    const void *from;
    void *to;
    size_t count;
    int type, peer;
    Comm *comm;
    void *stream;
    long number;
} Operation;

static __thread char last_error[512] = "";
static __thread Operation *queue;
static __thread size_t queued, room;
static __thread int depth;

static int fail(int code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
    return code;
}

// The driver.

static void *driver(const char *name) {
    static void *library;
    if (!library) library = dlopen("libcuda.so.1", RTLD_NOW);
    void *found = library ? dlsym(library, name) : NULL;
    if (!found) {
        fprintf(stderr, "fake NCCL: the driver has no %s\n", name);
        abort();
    }
    return found;
}

static int synchronize(void *stream) {
    int (*wait)(void *) = driver("cuStreamSynchronize");
    return wait(stream);
}

static int from_device(void *to, const void *from, size_t bytes, void *stream) {
    int (*copy)(void *, uint64_t, size_t, void *) = driver("cuMemcpyDtoHAsync_v2");
    if (bytes == 0) return 0;
    int code = copy(to, (uint64_t)(uintptr_t)from, bytes, stream);
    return code ? code : synchronize(stream);
}

static int to_device(void *to, const void *from, size_t bytes, void *stream) {
    int (*copy)(uint64_t, const void *, size_t, void *) = driver("cuMemcpyHtoDAsync_v2");
    if (bytes == 0) return 0;
    int code = copy((uint64_t)(uintptr_t)to, from, bytes, stream);
    return code ? code : synchronize(stream);
}

// Files between ranks.

static int publish(Comm *comm, const char *name, const void *data, size_t bytes) {
    char path[256], draft[280];
    snprintf(path, sizeof path, "%s/%s", comm->path, name);
    snprintf(draft, sizeof draft, "%s.part", path);
    FILE *file = fopen(draft, "wb");
    if (!file) return fail(SYSTEM_ERROR, "cannot write %s", draft);
    size_t written = fwrite(data, 1, bytes, file);
    if (fclose(file) || written != bytes || rename(draft, path)) return fail(SYSTEM_ERROR, "cannot write %s", path);
    return SUCCESS;
}

static int collect(Comm *comm, const char *name, void *data, size_t bytes) {
    char path[256];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", comm->path, name);
    while (stat(path, &found)) usleep(200);
    if ((size_t)found.st_size != bytes)
        return fail(INVALID_ARGUMENT, "%s has %zu bytes here and %zu there", name, bytes, (size_t)found.st_size);
    FILE *file = fopen(path, "rb");
    size_t read = file ? fread(data, 1, bytes, file) : 0;
    if (file) fclose(file);
    return read == bytes ? SUCCESS : fail(SYSTEM_ERROR, "cannot read %s", path);
}

static void record(const char *format, ...) {
    char path[512], line[256];
    const char *folder = getenv("FAKE_NCCL_DIR");
    if (!folder) return;
    snprintf(path, sizeof path, "%s/log", folder);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    FILE *file = fopen(path, "ab");
    if (!file) return;
    // One write, which others do not interrupt.
    setvbuf(file, NULL, _IOFBF, sizeof line);
    fwrite(line, 1, length, file);
    fclose(file);
}

// Operations.

static size_t width(int type) {
    switch (type) {
    case FLOAT16: case BFLOAT16: return 2;
    case FLOAT32: return 4;
    case FLOAT64: return 8;
    default: return 0;
    }
}

static int add(void *sum, const void *terms, size_t count, int type) {
    switch (type) {
    case FLOAT32:
        for (size_t i = 0; i < count; i++) ((float *)sum)[i] += ((const float *)terms)[i];
        return SUCCESS;
    case FLOAT64:
        for (size_t i = 0; i < count; i++) ((double *)sum)[i] += ((const double *)terms)[i];
        return SUCCESS;
    default: return fail(INVALID_ARGUMENT, "sums of type %d are not faked", type);
    }
}

static size_t given(const Operation *operation) {
    const Comm *comm = operation->comm;
    switch (operation->kind) {
    case REDUCE_SCATTER: return operation->count * comm->ranks;
    case BROADCAST: return operation->peer == comm->rank ? operation->count : 0;
    case RECEIVE: return 0;
    default: return operation->count;
    }
}

static void file_of(const Operation *operation, int rank, char *name, size_t bytes) {
    const Comm *comm = operation->comm;
    switch (operation->kind) {
    case SEND: snprintf(name, bytes, "message-%d-%d-%ld", comm->rank, operation->peer, operation->number); break;
    case RECEIVE: snprintf(name, bytes, "message-%d-%d-%ld", operation->peer, comm->rank, operation->number); break;
    default: snprintf(name, bytes, "operation-%ld-%d", operation->number, rank);
    }
}

// Gives the numbers of this rank to the others.
static int offer(Operation *operation) {
    Comm *comm = operation->comm;
    size_t bytes = given(operation) * width(operation->type);
    record("%s rank %d of %d count %zu type %d\n", NAMES[operation->kind], comm->rank, comm->ranks, operation->count,
           operation->type);
    if (operation->kind == RECEIVE || (operation->kind == BROADCAST && bytes == 0)) return SUCCESS;
    if (synchronize(operation->stream)) return fail(CUDA_ERROR, "the stream fails");
    char name[64], *data = malloc(bytes + 1);
    int code = from_device(data, operation->from, bytes, operation->stream);
    file_of(operation, comm->rank, name, sizeof name);
    int result = code ? fail(CUDA_ERROR, "what is sent cannot be read: CUDA error %d", code)
                      : publish(comm, name, data, bytes);
    free(data);
    return result;
}

// Takes the numbers of other ranks, and writes the result.
static int take(Operation *operation) {
    Comm *comm = operation->comm;
    size_t one = width(operation->type), bytes = operation->count * one;
    char name[64], *all = NULL, *result = NULL;
    size_t result_bytes = bytes;
    int code = SUCCESS;
    switch (operation->kind) {
    case SEND: return SUCCESS;
    case RECEIVE:
    case BROADCAST:
        result = malloc(bytes + 1);
        file_of(operation, operation->peer, name, sizeof name);
        code = collect(comm, name, result, bytes);
        break;
    case ALL_GATHER:
        result_bytes = bytes * comm->ranks;
        result = malloc(result_bytes + 1);
        for (int rank = 0; rank < comm->ranks && !code; rank++) {
            file_of(operation, rank, name, sizeof name);
            code = collect(comm, name, result + rank * bytes, bytes);
        }
        break;
    case REDUCE:
        if (operation->peer != comm->rank) return SUCCESS;
        // fallthrough
    case REDUCE_SCATTER: {
        size_t whole = operation->kind == REDUCE ? bytes : bytes * comm->ranks;
        size_t own = operation->kind == REDUCE ? 0 : bytes * comm->rank;
        all = malloc(whole + 1);
        result = calloc(1, bytes + 1);
        for (int rank = comm->ranks - 1; rank >= 0 && !code; rank--) {
            file_of(operation, rank, name, sizeof name);
            code = collect(comm, name, all, whole);
            if (!code && rank == comm->ranks - 1) memcpy(result, all + own, bytes);
            else if (!code) code = add(result, all + own, operation->count, operation->type);
        }
    }
    }
    if (!code && to_device(operation->to, result, result_bytes, operation->stream))
        code = fail(CUDA_ERROR, "the result cannot be written");
    free(all);
    free(result);
    return code;
}

static void injure(Comm *comm) {
    static long operations;
    const char *asked = getenv("FAKE_NCCL_FAIL"), *own = getenv("OMPI_COMM_WORLD_RANK");
    int rank;
    long number;
    if (asked && own && sscanf(asked, "%d:%ld", &rank, &number) == 2 && rank == atoi(own) && ++operations == number) {
        fail(REMOTE_ERROR, "the fake lost its connection");
        comm->lost = 1;
    }
}

static int run(void) {
    int code = SUCCESS;
    for (size_t i = 0; i < queued && !code; i++) code = offer(&queue[i]);
    for (size_t i = 0; i < queued && !code; i++) code = take(&queue[i]);
    for (size_t i = 0; i < queued && !code; i++) injure(queue[i].comm);
    queued = 0;
    return code;
}

static int add_operation(Operation operation) {
    Comm *comm = operation.comm;
    void *context = NULL;
    int (*current)(void **) = driver("cuCtxGetCurrent");
    if (current(&context) || !context) return fail(INVALID_USAGE, "the thread has no context");
    if (!operation.stream) return fail(INVALID_USAGE, "there is no stream");
    if (operation.count == 0 || width(operation.type) == 0) return fail(INVALID_ARGUMENT, "nothing to do");
    if (operation.peer < 0 || operation.peer >= comm->ranks) return fail(INVALID_ARGUMENT, "there is no rank %d", operation.peer);
    switch (operation.kind) {
    case SEND: operation.number = comm->sent[operation.peer]++; break;
    case RECEIVE: operation.number = comm->received[operation.peer]++; break;
    default: operation.number = comm->collectives++;
    }
    if (queued == room) queue = realloc(queue, (room = room * 2 + 8) * sizeof *queue);
    queue[queued++] = operation;
    return depth ? SUCCESS : run();
}

int ncclGroupStart(void) {
    depth++;
    return SUCCESS;
}

int ncclGroupEnd(void) { return --depth ? SUCCESS : run(); }

int ncclGetVersion(int *version) {
    const char *asked = getenv("FAKE_NCCL_VERSION");
    *version = asked ? atoi(asked) : 23003;
    return SUCCESS;
}

int ncclGetUniqueId(UniqueId *id) {
    const char *folder = getenv("FAKE_NCCL_DIR");
    if (!folder) return fail(SYSTEM_ERROR, "FAKE_NCCL_DIR is not set");
    memset(id, 0, sizeof *id);
    snprintf(id->path, sizeof id->path, "%s/XXXXXX", folder);
    return mkdtemp(id->path) ? SUCCESS : fail(SYSTEM_ERROR, "cannot create %s", id->path);
}

int ncclCommInitRank(Comm **created, int ranks, UniqueId id, int rank) {
    const char *shared = getenv("NCCL_MULTI_RANK_GPU_ENABLE");
    if (ranks > 1 && (!shared || strcmp(shared, "1"))) return fail(INVALID_USAGE, "Duplicate GPU detected");
    Comm *comm = calloc(1, sizeof *comm);
    memcpy(comm->path, id.path, sizeof comm->path);
    comm->rank = rank;
    comm->ranks = ranks;
    comm->sent = calloc(ranks, sizeof(long));
    comm->received = calloc(ranks, sizeof(long));
    char name[64], byte;
    snprintf(name, sizeof name, "rank-%d", rank);
    int code = publish(comm, name, "", 1);
    for (int other = 0; other < ranks && !code; other++) {
        snprintf(name, sizeof name, "rank-%d", other);
        code = collect(comm, name, &byte, 1);
    }
    record("init rank %d of %d\n", rank, ranks);
    *created = comm;
    return code;
}

int ncclCommAbort(Comm *comm) {
    record("abort rank %d of %d\n", comm->rank, comm->ranks);
    return SUCCESS;
}

int ncclCommGetAsyncError(Comm *comm, int *error) {
    *error = comm->lost ? REMOTE_ERROR : SUCCESS;
    return SUCCESS;
}

const char *ncclGetErrorString(int code) {
    static const char *words[] = {"no error", "unhandled cuda error", "unhandled system error", "internal error",
                                  "invalid argument", "invalid usage", "remote process exited or there was a network error"};
    return code >= 0 && code <= REMOTE_ERROR ? words[code] : "unknown result code";
}

const char *ncclGetLastError(Comm *comm) {
    (void)comm;
    return last_error;
}

int ncclReduceScatter(const void *from, void *to, size_t count, int type, int operation, Comm *comm, void *stream) {
    if (operation != 0) return fail(INVALID_ARGUMENT, "only sums are faked");
    return add_operation((Operation){REDUCE_SCATTER, from, to, count, type, 0, comm, stream, 0});
}

int ncclReduce(const void *from, void *to, size_t count, int type, int operation, int root, Comm *comm, void *stream) {
    if (operation != 0) return fail(INVALID_ARGUMENT, "only sums are faked");
    return add_operation((Operation){REDUCE, from, to, count, type, root, comm, stream, 0});
}

int ncclAllGather(const void *from, void *to, size_t count, int type, Comm *comm, void *stream) {
    return add_operation((Operation){ALL_GATHER, from, to, count, type, 0, comm, stream, 0});
}

int ncclBroadcast(const void *from, void *to, size_t count, int type, int root, Comm *comm, void *stream) {
    return add_operation((Operation){BROADCAST, from, to, count, type, root, comm, stream, 0});
}

int ncclSend(const void *from, size_t count, int type, int peer, Comm *comm, void *stream) {
    return add_operation((Operation){SEND, from, NULL, count, type, peer, comm, stream, 0});
}

int ncclRecv(void *to, size_t count, int type, int peer, Comm *comm, void *stream) {
    return add_operation((Operation){RECEIVE, NULL, to, count, type, peer, comm, stream, 0});
}
