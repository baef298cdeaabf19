// Integer GEMM and convolution: 8-bit activations (u8 or s8, zero point) x s8 weights (symmetric), exact s32 sums, epilogue.
#pragma once

#include "../common.h"

namespace cec {

/// acc = sum((x - x_zp) * w) + bias, exact mod 2^32; then by `out`:
///   s32      acc
///   f32      clamp(f32(acc) * multiplier[c] + (bias_f32 ? bias_f32[c] : nothing), lo, hi); multiplication, then addition
///   u8 | s8  clamp(rne(f32(acc) * multiplier[c]) + y_zp, q_min, q_max); NaN counts as 0 before y_zp is added
struct EpilogueQ {
  QOut out = QOut::u8;
  const int32_t* bias = nullptr;      ///< [n] or null
  const float* multiplier = nullptr;  ///< [n], needed unless out is s32
  const float* bias_f32 = nullptr;    ///< [n] or null; only for out = f32
  int32_t y_zp = 0, q_min = 0, q_max = 255;  ///< for u8 and s8; q_min..q_max lies inside the type
  float lo = -kInfinity;         ///< for f32
  float hi = kInfinity;
};

struct GemmQArgs {
  size_t m = 0, n = 0, k = 0;
  const void* a = nullptr;  ///< [m][lda], u8 or s8
  Q8 a_type = Q8::u8;
  int32_t a_zp = 0;  ///< inside a_type's range
  size_t lda = 0;
  const void* packed_b = nullptr;  ///< made by this variant's pack with taps = 1
  void* c = nullptr;               ///< [m][ldc] of epilogue.out
  size_t ldc = 0;
  EpilogueQ epilogue;
};

struct ConvQArgs {
  size_t rows = 0, n = 0;
  Taps taps;
  const void* base = nullptr;
  Q8 a_type = Q8::u8;
  int32_t a_zp = 0;
  const void* zero = nullptr;  ///< at least taps.channels bytes that all hold a_zp, read for padding
  const void* packed_b = nullptr;
  void* c = nullptr;  ///< [rows][ldc] of epilogue.out
  size_t ldc = 0;
  EpilogueQ epilogue;
};

/// One variant. Ranges as for GemmF32Variant. Every variant gives the scalar variant's bytes.
struct GemmQVariant {
  const char* name;
  Isa isa;
  size_t m_step, n_step;
  /// Bytes that pack writes; a multiple of 64.
  size_t (*packed_bytes)(size_t n, size_t taps, size_t channels);
  /// Packs element (column j, tap t, channel p) = w[j * stride_n + (t * channels + p) * stride_k], with column sums.
  void (*pack)(size_t n, size_t taps, size_t channels, const int8_t* w, size_t stride_n, size_t stride_k, void* dst);
  void (*gemm)(const GemmQArgs& args, size_t m0, size_t m1, size_t n0, size_t n1);
  void (*conv)(const ConvQArgs& args, size_t m0, size_t m1, size_t n0, size_t n1);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const GemmQVariant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
