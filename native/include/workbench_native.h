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
#define WB_ABI_VERSION 5

typedef enum {
  WB_OK = 0,
  WB_BAD_ARGUMENT = 1, /* a null pointer, a negative or zero size, an unknown name */
  WB_NOT_FINITE = 2,   /* a NaN, or a number beyond 1e30, in the input */
  WB_NO_MEMORY = 3,    /* scratch memory or a thread could not be had */
} wb_status;

/* The version of this interface; Python refuses a library of another one. */
WB_API int wb_abi_version(void);

/* The instruction set in use: "amx", "avx512_vnni", "avx2" or "portable". */
WB_API const char* wb_isa(void);

/* Why AMX can't be used, empty where it can. The first call asks the system for its registers. */
WB_API const char* wb_amx(void);

/* Uses this one instead, for tests; WB_BAD_ARGUMENT where the processor or the build lacks it.
 * Not to be called while another call runs. */
WB_API int wb_set_isa(const char* name);

/* Residual vector quantization ------------------------------------------------------------- */

/* Bytes of the screening table of K codebooks of V entries of D numbers. */
WB_API int64_t wb_rvq_packed_bytes(int64_t books, int64_t entries, int64_t dim);

/* codebooks float[K][V][D] -> packed, wb_rvq_packed_bytes long. Asks the system to keep both in huge
 * pages; their addresses stay. */
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

/* Linear layers with int4 weights ---------------------------------------------------------- */

/* y[B][O] = x[B][I] * (scales * (codes - 8))[O][I]^T + bias[O] (may be null); I is a multiple of 32.
 * weight[O][I / 32][16]: byte j of a block has the code of its input j in the lower four bits and
 * that of its input j + 16 in the upper ones. scales bfloat16[O][I / 32]; x and y are float32. */
WB_API int wb_int4_linear(const float* x, int64_t batch, const uint8_t* weight,
                          const uint16_t* scales, const float* bias, int64_t outputs,
                          int64_t inputs, int threads, float* y);

/* Decoder layers of a language model, from static key/value caches --------------------------- */

typedef enum {
  WB_FLOAT32 = 0,
  WB_BFLOAT16 = 1, /* the upper 16 bits of float32 */
  WB_INT8 = 2,     /* with a scale for each output */
  WB_INT4 = 3,     /* as wb_int4_linear's */
} wb_type;

typedef struct {
  const void* weight;  /* [outputs][inputs] */
  const void* scales;  /* WB_INT8: float[outputs]; WB_INT4: bfloat16[outputs][inputs / 32] */
  const float* bias;   /* [outputs] or null */
  int64_t outputs, inputs;
  int32_t type;
} wb_matrix;

typedef struct {
  const float* attention_norm; /* [hidden] */
  wb_matrix query_key_value;   /* outputs: heads queries, groups keys, groups values, of head_dim */
  wb_matrix out;
  const float* mlp_norm; /* [hidden] */
  wb_matrix gate_up;     /* outputs: intermediate gates, then as many ups */
  wb_matrix down;
  void* keys; /* [batch][groups][slots][head_dim] of cache_type, written in place */
  void* values;
} wb_layer;

/* A Llama-like stack: RMSNorm, rotary grouped-query attention and SwiGLU, each with its residual,
 * and a last norm. */
typedef struct {
  const wb_layer* layers;
  const float* norm; /* [hidden] */
  const float* cos;  /* [slots][head_dim] */
  const float* sin;
  int64_t count, hidden, heads, groups, head_dim, intermediate, batch, slots;
  float epsilon;
  int32_t cache_type; /* WB_FLOAT32 or WB_BFLOAT16 */
} wb_stack;

/* Bytes of scratch that a step of `tokens` tokens a row needs; -1 for a stack without sense. */
WB_API int64_t wb_stack_bytes(const wb_stack* stack, int64_t tokens);

/* x float[batch][tokens][hidden], in place: embeddings at positions int64[batch][tokens] to normed
 * hidden states. Keys and values go into the caches; each token attends to its row's cache up to
 * its own position, those that this call writes included. Sums are float32; a row's bits don't
 * depend on the batch or the threads. A NaN stays in its row. `scratch` is 64-byte aligned. */
WB_API int wb_stack_step(const wb_stack* stack, int64_t tokens, const int64_t* positions,
                         int threads, void* scratch, float* x);

/* The frame of a model of codes, such as CSM: a backbone reads a frame of codes and a depth
 * decoder writes the next one, code by code. */
typedef struct {
  wb_stack backbone, depth;
  wb_matrix head;              /* backbone.hidden to the codes of codebook 0 */
  wb_matrix projector;         /* backbone.hidden to depth.hidden */
  const wb_matrix* depth_heads; /* [codebooks - 1]: depth.hidden to codes */
  const void* audio_table;     /* [codebooks][vocabulary][backbone.hidden] */
  const void* depth_table;     /* [codebooks - 1][vocabulary][depth.hidden] */
  int64_t codebooks, codes, vocabulary;
  int32_t audio_type, depth_type; /* of the tables: WB_FLOAT32 or WB_BFLOAT16 */
} wb_frame;

typedef struct {
  float temperature; /* 0 is greedy */
  float depth_temperature;
  int64_t top_k; /* 0 keeps all */
  int64_t depth_top_k;
} wb_sampling;

/* Bytes of scratch for both of the following; -1 for a frame without sense. */
WB_API int64_t wb_frame_bytes(const wb_frame* frame);

/* codes int64[batch][codebooks] at positions int64[batch] -> hidden float[batch][hidden]. */
WB_API int wb_frame_read(const wb_frame* frame, const int64_t* codes, const int64_t* positions,
                         int threads, void* scratch, float* hidden);

/* hidden float[batch][hidden] -> codes int64[batch][codebooks]: of each codebook the largest
 * logit / temperature + noise among the top_k, the lowest index of equals. noise is
 * float[codebooks][batch][codes], not read where greedy. WB_NOT_FINITE for logits that are NaN or
 * infinite. */
WB_API int wb_frame_write(const wb_frame* frame, const float* hidden, const wb_sampling* sampling,
                          const float* noise, int threads, void* scratch, int64_t* codes);

/* A codec's decoder, streamed ---------------------------------------------------------------- */

/* A causal filter over rows in time order: row t gives `outputs` numbers from the rows t,
 * t - dilation, … t - (taps - 1) * dilation. A linear layer has one tap, a convolution its kernel's,
 * and a transposed one (kernel 2 * repeat) two: its row's outputs are `repeat` rows of the next
 * layer. What lies before a stream is 0, or with `replicate` its first row. */
typedef struct {
  const float* weight; /* [ceil(outputs / 16)][taps][inputs][16], 0 past the last output; of one
                          output [taps][inputs]; with `depthwise` [taps][repeat][inputs] */
  const float* bias;   /* [ceil(outputs / 16)][16] or null */
  int64_t inputs, outputs, taps, dilation, repeat;
  int32_t replicate;
  int32_t depthwise; /* each input has `repeat` outputs of its own, without bias */
} wb_filter;

/* x + widen(elu(narrow(elu(x)))), or shortcut(x) + …; a null weight is no shortcut. */
typedef struct {
  wb_filter narrow, widen, shortcut;
} wb_residual;

typedef struct {
  wb_filter up; /* of elu(x) */
  const wb_residual* residuals;
  int64_t count;
} wb_upsampling;

/* A transformer layer: LayerNorm, rotary attention, LayerNorm, GELU between two products; what
 * scales its two halves is in `out` and `down` already. */
typedef struct {
  const float* attention_norm; /* [hidden] */
  const float* attention_shift;
  const float* mlp_norm;
  const float* mlp_shift;
  wb_filter query_key_value; /* outputs: heads queries, groups keys, groups values, of head_dim */
  wb_filter out, up, down;
} wb_codec_layer;

/* Mimi's decoder: code vectors, upsampling, a transformer over a sliding window, SEANet. */
typedef struct {
  const float* table; /* [books][entries][dim]; the first `semantic` books are projected alone */
  wb_filter semantic_out, acoustic_out; /* dim to hidden; null weights where dim is hidden */
  wb_filter upsample;
  const wb_codec_layer* layers;
  const float* frequencies; /* [head_dim / 2] radians a position */
  wb_filter first;
  const wb_upsampling* stages;
  wb_filter last; /* of elu(x), one output */
  int64_t books, entries, dim, semantic;
  int64_t count, hidden, heads, groups, head_dim, window; /* of the transformer */
  int64_t stage_count;
  float epsilon;
  float rotary_scale;
} wb_codec;

/* Streams of a codec. All zero is where a stream starts. */
typedef struct {
  float* state; /* [batch][wb_codec_state] */
  float* keys;  /* [layers][batch][groups][slots][head_dim] */
  float* values;
  int64_t* positions; /* [batch], of the transformer */
  int64_t* used;      /* [batch]: slots that are filled */
  int64_t batch, slots; /* slots >= window - 1 + positions of a step */
} wb_codec_streams;

/* Numbers of `state` for a stream; -1 for a codec without sense. */
WB_API int64_t wb_codec_state(const wb_codec* codec);

/* Samples of a frame; -1 for a codec without sense. */
WB_API int64_t wb_codec_samples(const wb_codec* codec);

/* Bytes of scratch for a step of `frames` frames of `batch` streams; -1 for no sense. */
WB_API int64_t wb_codec_bytes(const wb_codec* codec, int64_t batch, int64_t frames);

/* codes int64[batch][books][frames] -> sound float[batch][frames * samples]; `books` may be fewer
 * than the codec's. Streams whose `active` uint8[batch] (null: all are) is 0 stay as they are and
 * get silence. A stream's bits depend neither on the others, nor on the chunks it comes in, nor on
 * the threads. WB_BAD_ARGUMENT, with nothing changed, for codes that there aren't. `scratch` is
 * 64-byte aligned. */
WB_API int wb_codec_step(const wb_codec* codec, const wb_codec_streams* streams, int64_t frames,
                         const int64_t* codes, int64_t books, const uint8_t* active, int threads,
                         void* scratch, float* sound);

#ifdef __cplusplus
}
#endif
#endif
