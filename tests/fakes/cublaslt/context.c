/* Adds events of a whole context (CUDA 12.5) to a simulated driver. It is linked to that driver and has its
 * name. A synchronous driver has nothing to wait for: the calls are only written to the file FAKE_CONTEXT_LOG. */

#include <stdio.h>
#include <stdlib.h>

static int record(const char *call, const void *context, const void *event) {
    const char *path = getenv("FAKE_CONTEXT_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%s\n", call);
        fclose(file);
    }
    /* CUDA_ERROR_INVALID_HANDLE */
    return context && event ? 0 : 400;
}

int cuCtxRecordEvent(void *context, void *event) { return record("record", context, event); }
int cuCtxWaitEvent(void *context, void *event) { return record("wait", context, event); }
