/* The native kernels' plain C interface: what Python loads through ctypes.
 *
 * All arrays are contiguous, in row-major order, owned by the caller; no call allocates anything
 * that outlives it. Calls return a Status. They may run at the same time on several threads. */
#ifndef WORKBENCH_NATIVE_H
#define WORKBENCH_NATIVE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WB_API __attribute__((visibility("default")))
#define WB_ABI_VERSION 1

typedef enum {
  WB_OK = 0,
  WB_BAD_ARGUMENT = 1, /* a null pointer, a negative or zero size, an unknown name */
  WB_NOT_FINITE = 2,   /* a NaN, or a number beyond 1e30, in the input */
  WB_NO_MEMORY = 3,    /* scratch memory or a thread could not be had */
} wb_status;

/* The version of this interface; Python refuses a library of another one. */
WB_API int wb_abi_version(void);

/* The instruction set in use: "avx512_vnni", "avx2" or "portable". */
WB_API const char* wb_isa(void);

/* Uses this one instead, for tests; WB_BAD_ARGUMENT where the processor or the build lacks it.
 * Not to be called while another call runs. */
WB_API int wb_set_isa(const char* name);

/* Residual vector quantization ------------------------------------------------------------- */

/* Bytes of the screening table of K codebooks of V entries of D numbers. */
WB_API int64_t wb_rvq_packed_bytes(int64_t books, int64_t entries, int64_t dim);

/* codebooks float[K][V][D] -> packed, wb_rvq_packed_bytes long. */
WB_API int wb_rvq_pack(const float* codebooks, int64_t books, int64_t entries, int64_t dim,
                       uint8_t* packed);

/* codes int64[N][K] of vectors float[N][D]: for each book the nearest entry in Euclidean distance
 * (float64; the lowest index where several are equally near) to what the books before it left
 * (float32). Frames are shared among at most `threads` threads. */
WB_API int wb_rvq_encode(const float* vectors, int64_t frames, const float* codebooks,
                         const uint8_t* packed, int64_t books, int64_t entries, int64_t dim,
                         int threads, int64_t* codes);

/* How many entries were measured in float64 since the process began, over all calls: the
 * screening's cost, for tests and benchmarks. */
WB_API int64_t wb_rvq_reranked(void);

/* Linear layers with int8 weights ---------------------------------------------------------- */

/* y[B][O] = x[B][I] * (weight[O][I] * scales[O][I / group])^T + bias[O] (may be null).
 * `group` divides I; group == I is one scale a row. x and y are float32. */
WB_API int wb_int8_linear(const float* x, int64_t batch, const int8_t* weight, const float* scales,
                          const float* bias, int64_t outputs, int64_t inputs, int64_t group,
                          int threads, float* y);

/* The same with bfloat16 activations (the upper 16 bits of float32), summed in float32. */
WB_API int wb_int8_linear_bf16(const uint16_t* x, int64_t batch, const int8_t* weight,
                               const float* scales, const float* bias, int64_t outputs,
                               int64_t inputs, int64_t group, int threads, uint16_t* y);

#ifdef __cplusplus
}
#endif
#endif
