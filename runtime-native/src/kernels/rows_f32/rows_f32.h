// Row-wise f32: softmax, log-softmax, layer normalization. y may be x.
#pragma once

#include "../common.h"

namespace cec {

/// One variant. Each row's result depends on that row only. NaN in a row makes the row NaN.
struct RowsF32Variant {
  const char* name;
  Isa isa;
  /// rows of n contiguous elements.
  void (*softmax)(size_t rows, size_t n, const float* x, float* y);
  void (*log_softmax)(size_t rows, size_t n, const float* x, float* y);
  /// y = (x - mean) / sqrt(var + epsilon) * gamma + beta; var is the biased variance; gamma, beta [n] or null.
  /// mean and inv_std ([rows] or null) receive the statistics.
  void (*layer_norm)(size_t rows, size_t n, const float* x, const float* gamma, const float* beta, float epsilon, float* y, float* mean,
                     float* inv_std);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const RowsF32Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
