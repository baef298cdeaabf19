// C = clamp(A * B + bias + residual, lo, hi) in f32, with B prepacked; and the same with A found through Taps (convolution).
#pragma once

#include "../common.h"

namespace cec {

struct EpilogueF32 {
  const float* bias = nullptr;      ///< [n] or null
  const float* residual = nullptr;  ///< [rows][ld_residual] or null; may be the same memory as c
  size_t ld_residual = 0;
  float lo = -kInfinity;  ///< relu: 0; NaN passes through the clamp
  float hi = kInfinity;
};

struct GemmF32Args {
  size_t m = 0, n = 0, k = 0;
  const float* a = nullptr;  ///< [m][lda]
  size_t lda = 0;
  const void* packed_b = nullptr;  ///< made by this variant's pack
  float* c = nullptr;              ///< [m][ldc]; must not overlap a
  size_t ldc = 0;
  EpilogueF32 epilogue;
};

struct ConvF32Args {
  size_t rows = 0, n = 0;  ///< rows = batch * pixels; n = output channels (of this group)
  Taps taps;
  const float* base = nullptr;     ///< first element of the first image (of this group)
  const float* zero = nullptr;     ///< at least taps.channels zeros, read for padding
  const void* packed_b = nullptr;  ///< pack with k = taps * channels; weights of one output are [kh][kw][channels]
  float* c = nullptr;              ///< [rows][ldc]
  size_t ldc = 0;
  EpilogueF32 epilogue;
};

/// One variant. All functions are thread-safe and allocate nothing.
///
/// gemm and conv compute rows [m0, m1) x columns [n0, n1) of the problem that args describe; n0 must be a multiple of n_step
/// (0 is), n1 is a multiple of n_step or n. Each element is one chain that begins at residual + bias and takes k in ascending order, so
/// its bits depend neither on the ranges nor on the number of rows.
struct GemmF32Variant {
  const char* name;
  Isa isa;
  size_t m_step;  ///< rows of a register tile: partition rows in multiples of it where possible
  size_t n_step;  ///< columns of a panel
  /// Bytes that pack writes; a multiple of 64.
  size_t (*packed_bytes)(size_t n, size_t k);
  /// Packs element (column j, depth p) = w[j * stride_n + p * stride_k]. Weights [N][K]: stride_n = K, stride_k = 1.
  /// A matrix B [K][N]: stride_n = 1, stride_k = N. dst is 64-byte aligned.
  void (*pack)(size_t n, size_t k, const float* w, size_t stride_n, size_t stride_k, void* dst);
  void (*gemm)(const GemmF32Args& args, size_t m0, size_t m1, size_t n0, size_t n1);
  void (*conv)(const ConvF32Args& args, size_t m0, size_t m1, size_t n0, size_t n1);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const GemmF32Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
