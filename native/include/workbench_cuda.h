/* The CUDA kernels' plain C interface: pointers to device memory, a stream, nothing else.
 *
 * No call allocates, waits or copies to the host, so that all can be captured in a CUDA graph.
 * They return cudaError_t's number (0: launched; 35: no driver), or WB_CUDA_UNSUPPORTED. */
#ifndef WORKBENCH_CUDA_H
#define WORKBENCH_CUDA_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WB_API __attribute__((visibility("default")))
#define WB_CUDA_ABI_VERSION 3
#define WB_CUDA_UNSUPPORTED (-1) /* a shape that the kernel doesn't have; nothing was launched */

WB_API int wb_cuda_abi_version(void);

/* codes int64[N][K] of vectors float[N][D], N <= 8: one cooperative launch walks all codebooks.
 * D is 32, 64, 128, 256 or 512. Distances are direct differences in float32 (off by 12 units in
 * the last place at most); of equal ones the lowest index wins. A vector with a NaN, or a number
 * beyond 1e18, whose squares may overflow, gets -1 everywhere. `keys` is workspace: uint64[K][N]. */
WB_API int wb_cuda_rvq_encode(const float* vectors, int64_t frames, const float* codebooks,
                              int64_t books, int64_t entries, int64_t dim, uint64_t* keys,
                              int64_t* codes, void* stream);

/* Bytes of the screening table of K codebooks for the following; 0 for a shape that it doesn't have
 * (D a multiple of 32 from 32 to 1024, V at most 2^20). It is bfloat16[K][V][D], the entries q nearest
 * to c with numbers below 2^-100 as 0, and float[K][V] thrice: |c|^2 / 2, |c - q| and |q|, the latter
 * two rounded up; an entry with |c - q| infinite (and q = 0) is always measured. */
WB_API int64_t wb_cuda_rvq_packed_bytes(int64_t books, int64_t entries, int64_t dim);

/* Bytes of workspace for N vectors; of more than 8,192, those of 8,192. */
WB_API int64_t wb_cuda_rvq_tiled_bytes(int64_t frames, int64_t entries, int64_t dim);

/* The same as wb_cuda_rvq_encode for any number of vectors, in 2 K + 1 launches for each 8,192:
 * tensor cores (compute capability 8.0 on) screen, what may be nearest is measured as there. `packed`
 * is of `packed_books` >= K codebooks; it and `workspace` are aligned to 256 bytes. */
WB_API int wb_cuda_rvq_encode_tiled(const float* vectors, int64_t frames, const float* codebooks,
                                    const void* packed, int64_t packed_books, int64_t books,
                                    int64_t entries, int64_t dim, void* workspace, int64_t* codes,
                                    void* stream);

/* sums[N][D] = sum over k of tables[k][codes[N][k]][D]; float32, or bfloat16 where `half`. A code
 * outside the table adds NaN. D is a multiple of 4 (8 where `half`). */
WB_API int wb_cuda_embedding_sum(const int64_t* codes, int64_t rows, const void* tables,
                                 int64_t books, int64_t entries, int64_t dim, int half, void* sums,
                                 void* stream);

/* y[B][O] = x[B][I] (weight[O][I] scales[O][I / group])^T + bias[O], B <= 8; x and y float32, or
 * bfloat16 where `half`; sums are float32. `group` and I are multiples of 16. */
WB_API int wb_cuda_int8_linear(const void* x, int64_t batch, const int8_t* weight,
                               const float* scales, const float* bias, int64_t outputs,
                               int64_t inputs, int64_t group, int half, void* y, void* stream);

/* y[B][O] = x[B][I] (scales (codes - 8))[O][I]^T + bias[O], B <= 8, I a multiple of 32; x and y
 * float32, or bfloat16 where `half`; sums are float32. weight[O][I / 32][16]: byte j of a block has
 * the code of its input j in the lower four bits and that of its input j + 16 in the upper ones.
 * scales bfloat16[O][I / 32]. */
WB_API int wb_cuda_int4_linear(const void* x, int64_t batch, const uint8_t* weight,
                               const uint16_t* scales, const float* bias, int64_t outputs,
                               int64_t inputs, int half, void* y, void* stream);

#ifdef __cplusplus
}
#endif
#endif
