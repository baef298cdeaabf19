// Elementwise kernels into, out of and between 8-bit tensors, over contiguous runs.
#pragma once

#include "../common.h"

namespace cec {

/// scale and zero point of one tensor.
struct QParams {
  Q8 type = Q8::u8;
  float scale = 1;
  int32_t zp = 0;
};

/// What an addition computes with, in steps of y: a * s.a + b * s.b + s.c.
struct AddSteps {
  float a, b, c;
};

/// a = a_scale / y_scale, b = b_scale / y_scale, c = y_zp - fma(a, a_zp, b * b_zp).
AddSteps add_steps(const QParams& a, const QParams& b, const QParams& y);

/// One variant. Every variant gives the scalar variant's bytes. y may be x where the element sizes agree.
struct Quantize8Variant {
  const char* name;
  Isa isa;
  /// clamp(rne(x / scale) + zp, q_min, q_max); NaN gives zp (clamped).
  void (*quantize)(size_t n, const float* x, const QParams& q, int32_t q_min, int32_t q_max, void* y);
  /// f32(x - zp) * scale.
  void (*dequantize)(size_t n, const void* x, const QParams& q, float* y);
  /// clamp(rne(f32(x - x_zp) * (x_scale / y_scale)) + y_zp, q_min, q_max).
  void (*requantize)(size_t n, const void* x, const QParams& xq, const QParams& yq, int32_t q_min, int32_t q_max, void* y);
  /// clamp(rne(fma(a, s.a, fma(b, s.b, s.c))), q_min, q_max) with s = add_steps(aq, bq, yq).
  void (*add)(size_t n, const void* a, bool a_scalar, const QParams& aq, const void* b, bool b_scalar, const QParams& bq, const QParams& yq,
              int32_t q_min, int32_t q_max, void* y);
  /// clamp(rne(f32((a - a_zp) * (b - b_zp)) * (a_scale * b_scale / y_scale)) + y_zp, q_min, q_max); the product is exact in s32.
  void (*mul)(size_t n, const void* a, bool a_scalar, const QParams& aq, const void* b, bool b_scalar, const QParams& bq, const QParams& yq,
              int32_t q_min, int32_t q_max, void* y);
  /// y[i] = table[x[i] as u8].
  void (*lut)(size_t n, const uint8_t* x, const uint8_t table[256], uint8_t* y);
  /// sums[r] = sum over k of x[r][k], exact; for weights with a zero point (matmul_integer).
  void (*row_sums)(size_t rows, size_t k, const void* x, Q8 type, size_t ldx, int32_t* sums);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const Quantize8Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
