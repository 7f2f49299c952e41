/* Stands in for libcublasLt.so under a simulated driver, whose device memory is the host's: computes the products on the CPU, and
 * writes the arguments of each to a file, a line of JSON per product. It refuses the calls that the real library refuses, as far as that is
 * documented, and implements the functions that blankslate uses.
 *
 * FAKE_CUBLASLT_LOG      the file
 * FAKE_CUBLASLT_VERSION  result of cublasLtGetVersion; 130100 by default
 * FAKE_CUBLASLT_REFUSE   "all": there is no kernel at all; "gelu": none with GELU
 */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { F32 = 0, F16 = 2, BF16 = 14 };
enum { COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77 };
/* Bits of an epilogue, which begins at 1 for none. */
enum { NONE = 1, BIAS = 4, GELU = 32, AUX = 128 };

typedef struct {
    int type;
    uint64_t rows, columns;
    int64_t leading, distance;
    int32_t batch;
} Layout;

typedef struct {
    int compute, scale;
    int32_t transposes[2];
    uint32_t epilogue;
    void *bias, *aux;
    int64_t aux_leading;
} Product;

typedef struct {
    uint64_t workspace;
    uint32_t alignments[4];
} Preference;

/* The kernel that the heuristic returns: its requirements, which are checked when it runs. */
typedef struct {
    uint64_t workspace;
    uint32_t alignments[4];
    uint64_t rest[5];
} Kernel;

typedef struct {
    Kernel kernel;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} Found;

static int refuse(int status, const char *why) {
    fprintf(stderr, "fake cublasLt: %s\n", why);
    return status;
}

size_t cublasLtGetVersion(void) {
    const char *version = getenv("FAKE_CUBLASLT_VERSION");
    return version ? strtoul(version, NULL, 10) : 130100;
}

int cublasLtCreate(void **handle) { return (*handle = calloc(1, 1)) ? SUCCESS : INVALID_VALUE; }
int cublasLtDestroy(void *handle) { return free(handle), SUCCESS; }

int cublasLtMatrixLayoutCreate(Layout **layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    if (!rows || !columns || leading < (int64_t)rows) return refuse(INVALID_VALUE, "a layout of nothing, or whose columns overlap");
    *layout = malloc(sizeof(Layout));
    **layout = (Layout){type, rows, columns, leading, 0, 1};
    return SUCCESS;
}
int cublasLtMatrixLayoutDestroy(Layout *layout) { return free(layout), SUCCESS; }

int cublasLtMatrixLayoutSetAttribute(Layout *layout, int attribute, const void *value, size_t bytes) {
    if (attribute == 5 && bytes == 4) return memcpy(&layout->batch, value, 4), SUCCESS;
    if (attribute == 6 && bytes == 8) return memcpy(&layout->distance, value, 8), SUCCESS;
    return refuse(INVALID_VALUE, "an unknown attribute of a layout");
}

int cublasLtMatmulDescCreate(Product **product, int compute, int scale) {
    *product = malloc(sizeof(Product));
    **product = (Product){compute, scale, {0, 0}, NONE, NULL, NULL, 0};
    return SUCCESS;
}
int cublasLtMatmulDescDestroy(Product *product) { return free(product), SUCCESS; }

int cublasLtMatmulDescSetAttribute(Product *product, int attribute, const void *value, size_t bytes) {
    void *place = attribute == 3    ? (void *)&product->transposes[0]
                  : attribute == 4  ? (void *)&product->transposes[1]
                  : attribute == 7  ? (void *)&product->epilogue
                  : attribute == 8  ? (void *)&product->bias
                  : attribute == 11 ? (void *)&product->aux
                  : attribute == 12 ? (void *)&product->aux_leading
                                    : NULL;
    if (!place || bytes != (attribute < 8 ? 4 : 8)) return refuse(INVALID_VALUE, "an unknown attribute of a product");
    return memcpy(place, value, bytes), SUCCESS;
}

int cublasLtMatmulPreferenceCreate(Preference **preference) {
    *preference = malloc(sizeof(Preference));
    **preference = (Preference){0, {256, 256, 256, 256}};
    return SUCCESS;
}
int cublasLtMatmulPreferenceDestroy(Preference *preference) { return free(preference), SUCCESS; }

int cublasLtMatmulPreferenceSetAttribute(Preference *preference, int attribute, const void *value, size_t bytes) {
    if (attribute == 1 && bytes == 8) return memcpy(&preference->workspace, value, 8), SUCCESS;
    if (attribute >= 5 && attribute <= 8 && bytes == 4) return memcpy(&preference->alignments[attribute - 5], value, 4), SUCCESS;
    return refuse(INVALID_VALUE, "an unknown preference");
}

/* Whether op(a) op(b), c and d belong together, and the epilogue is one that exists. */
static int fits(const Product *p, const Layout *a, const Layout *b, const Layout *c, const Layout *d) {
    uint64_t m = p->transposes[0] ? a->columns : a->rows, k = p->transposes[0] ? a->rows : a->columns;
    uint64_t n = p->transposes[1] ? b->rows : b->columns, l = p->transposes[1] ? b->columns : b->rows;
    int sizes = k == l && d->rows == m && d->columns == n && c->rows == m && c->columns == n;
    int types = a->type == d->type && b->type == d->type && c->type == d->type && p->scale == F32;
    int batches = a->batch == d->batch && b->batch == d->batch && c->batch == d->batch;
    int computes = p->compute == COMPUTE_32F || (p->compute == COMPUTE_32F_FAST_TF32 && d->type == F32);
    uint32_t extra = p->epilogue == NONE ? 0 : p->epilogue;
    int epilogues = !(extra & ~(BIAS | GELU | AUX)) && (!(extra & AUX) || extra & GELU);
    int aux = !(extra & AUX) || (p->aux_leading >= (int64_t)m && p->aux_leading % 8 == 0);
    return sizes && types && batches && computes && epilogues && aux;
}

int cublasLtMatmulAlgoGetHeuristic(void *handle, const Product *product, const Layout *a, const Layout *b, const Layout *c,
                                   const Layout *d, const Preference *preference, int wanted, Found *found, int *count) {
    const char *refused = getenv("FAKE_CUBLASLT_REFUSE");
    (void)handle;
    *count = 0;
    if (wanted < 1 || !fits(product, a, b, c, d)) return refuse(INVALID_VALUE, "operands that do not fit");
    if (refused && (!strcmp(refused, "all") || (!strcmp(refused, "gelu") && product->epilogue & GELU))) return NOT_SUPPORTED;
    memset(found, 0, sizeof *found);
    found->kernel.workspace = preference->workspace;
    memcpy(found->kernel.alignments, preference->alignments, sizeof preference->alignments);
    *count = 1;
    return SUCCESS;
}

static float get(const void *at, int type, int64_t index) {
    if (type == F32) return ((const float *)at)[index];
    if (type == F16) return (float)((const _Float16 *)at)[index];
    uint32_t bits = (uint32_t)((const uint16_t *)at)[index] << 16;
    float value;
    return memcpy(&value, &bits, 4), value;
}

static void put(void *at, int type, int64_t index, float value) {
    if (type == F32) {
        ((float *)at)[index] = value;
    } else if (type == F16) {
        ((_Float16 *)at)[index] = (_Float16)value;
    } else {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        ((uint16_t *)at)[index] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

/* Rounds to the 10 bits of mantissa of TF32. */
static float rounded(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    bits = (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu;
    return memcpy(&value, &bits, 4), value;
}

static float gelu(float x) { return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x))); }

static void record(const Product *p, const Layout *layouts[4], float beta, const Kernel *kernel) {
    const char *path = getenv("FAKE_CUBLASLT_LOG"), *names[4] = {"a", "b", "c", "d"};
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "{\"compute\":%d,\"transposes\":[%d,%d],\"epilogue\":%u,\"aux_leading\":%lld,\"beta\":%g,\"workspace\":%llu", p->compute,
            p->transposes[0], p->transposes[1], p->epilogue, (long long)p->aux_leading, beta, (unsigned long long)kernel->workspace);
    for (int i = 0; i < 4; i++) {
        const Layout *l = layouts[i];
        fprintf(file, ",\"%s\":{\"type\":%d,\"rows\":%llu,\"columns\":%llu,\"leading\":%lld,\"batch\":%d,\"distance\":%lld,\"alignment\":%u}",
                names[i], l->type, (unsigned long long)l->rows, (unsigned long long)l->columns, (long long)l->leading, l->batch,
                (long long)l->distance, kernel->alignments[i]);
    }
    fprintf(file, "}\n");
    fclose(file);
}

int cublasLtMatmul(void *handle, const Product *p, const float *alpha, const void *a, const Layout *la, const void *b, const Layout *lb,
                   const float *beta, const void *c, const Layout *lc, void *d, const Layout *ld, const Kernel *kernel,
                   void *workspace, size_t workspace_bytes, void *stream) {
    const Layout *layouts[4] = {la, lb, lc, ld};
    const void *places[4] = {a, b, c, d};
    uint32_t extra = p->epilogue == NONE ? 0 : p->epilogue;
    int tf32 = p->compute == COMPUTE_32F_FAST_TF32;
    if (!handle || !stream || !fits(p, la, lb, lc, ld)) return refuse(INVALID_VALUE, "operands that do not fit");
    if (!workspace || workspace_bytes < kernel->workspace) return refuse(INVALID_VALUE, "a workspace that is too small");
    for (int i = 0; i < 4; i++)
        if (!places[i] || (uintptr_t)places[i] % kernel->alignments[i]) return refuse(INVALID_VALUE, "an operand that is not aligned");
    if ((extra & BIAS && !p->bias) || (extra & AUX && (!p->aux || (uintptr_t)p->aux % 16)))
        return refuse(INVALID_VALUE, "an epilogue without its operand");
    int64_t depth = p->transposes[0] ? (int64_t)la->rows : (int64_t)la->columns;
    for (int64_t batch = 0; batch < ld->batch; batch++)
        for (int64_t j = 0; j < (int64_t)ld->columns; j++)
            for (int64_t i = 0; i < (int64_t)ld->rows; i++) {
                float sum = 0;
                for (int64_t k = 0; k < depth; k++) {
                    int64_t in_a = batch * la->distance + (p->transposes[0] ? k + i * la->leading : i + k * la->leading);
                    int64_t in_b = batch * lb->distance + (p->transposes[1] ? j + k * lb->leading : k + j * lb->leading);
                    float left = get(a, la->type, in_a), right = get(b, lb->type, in_b);
                    sum += tf32 ? rounded(left) * rounded(right) : left * right;
                }
                float value = *alpha * sum;
                /* As the real library: C is not read if its factor is 0. */
                if (*beta != 0) value += *beta * get(c, lc->type, batch * lc->distance + i + j * lc->leading);
                if (extra & BIAS) value += get(p->bias, ld->type, i);
                if (extra & AUX) put(p->aux, ld->type, i + j * p->aux_leading, value);
                if (extra & GELU) value = gelu(value);
                put(d, ld->type, batch * ld->distance + i + j * ld->leading, value);
            }
    record(p, layouts, *beta, kernel);
    return SUCCESS;
}
