// Elementwise f32 over contiguous runs. y may be the same memory as an input, but must not overlap it otherwise.
#pragma once

#include "../common.h"

namespace cec {

enum class BinaryF32 : uint8_t { add, sub, mul, div, min, max };

enum class UnaryF32 : uint8_t {
  clip,          ///< min(hi, max(lo, x)); alpha = lo, beta = hi; relu is clip(0, inf). NaN passes
  leaky_relu,    ///< x < 0 ? alpha * x : x
  elu,           ///< x < 0 ? alpha * (exp(x) - 1) : x
  celu,          ///< x < 0 ? alpha * (exp(x / alpha) - 1) : x, alpha > 0
  selu,          ///< beta * (x < 0 ? alpha * (exp(x) - 1) : x)
  exp,
  log,           ///< NaN below 0
  sigmoid,
  tanh,
  erf,
  gelu,          ///< x/2 * (1 + erf(x / sqrt 2))
  gelu_tanh,     ///< x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))
  silu,          ///< x * sigmoid(x)
  mish,          ///< x * tanh(softplus(x))
  softplus,      ///< log(1 + exp(x))
  softsign,      ///< x / (1 + |x|)
  thresholded_relu,  ///< x > alpha ? x : 0
  hard_sigmoid,  ///< clamp(alpha * x + beta, 0, 1)
  hard_swish,    ///< x * clamp(x / 6 + 1/2, 0, 1)
  sqrt,
  reciprocal,    ///< 1 / x
  neg,
  abs,
  sign,          ///< -1, 0, 1; NaN stays
  floor,
  ceil,
  round,         ///< half to even
};
inline constexpr int kUnaryF32Count = static_cast<int>(UnaryF32::round) + 1;

/// One variant. Every variant gives the scalar variant's bits (of a NaN: a NaN). Error bounds of the transcendental functions stand in README.md.
/// An element's result does not depend on its place.
struct ElementwiseF32Variant {
  const char* name;
  Isa isa;
  /// y[i] = min(hi, max(lo, a[i] op b[i])); a_scalar / b_scalar: that operand is one element for all i. NaN passes.
  /// min and max give NaN where either operand is NaN.
  void (*binary)(BinaryF32 op, size_t n, const float* a, bool a_scalar, const float* b, bool b_scalar, float* y, float lo, float hi);
  void (*unary)(UnaryF32 op, size_t n, const float* x, float* y, float alpha, float beta);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const ElementwiseF32Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
