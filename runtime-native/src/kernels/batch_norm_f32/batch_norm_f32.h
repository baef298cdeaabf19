// Batch normalization by batch statistics over [rows][channels] in f32: statistics of a block of rows, the affine map, and their gradients.
#pragma once

#include "../common.h"

namespace cec {

/// Per-channel vectors of one batch normalization; all [channels].
struct BatchNormF32 {
  size_t channels = 0;
  const float* factor = nullptr;   ///< scale / std
  const float* bias = nullptr;
  const float* mean = nullptr;     ///< of the batch
  const float* inv_std = nullptr;  ///< 1 / sqrt(variance + epsilon)
  bool relu = false;               ///< dy counts where (x - mean) * factor + bias > 0
};

/// One variant. Rows are contiguous. Each channel is a chain of its own in the order of the rows: every variant gives the scalar variant's bits.
struct BatchNormF32Variant {
  const char* name;
  Isa isa;
  /// Of `rows` rows (at least 1): about their mean, the mean of what they deviate from that, and the sum of squared deviations from it.
  void (*moments)(size_t rows, size_t channels, const float* x, float* middle, float* rest, float* squares);
  /// y = (x - mean) * factor + bias, and max(0, y) with relu. y may be x.
  void (*normalize)(const BatchNormF32& bn, size_t rows, const float* x, float* y);
  /// Sums of dy and of dy * (x - mean) * inv_std over the rows.
  void (*sums)(const BatchNormF32& bn, size_t rows, const float* dy, const float* x, float* sum, float* dot);
  /// dx = factor * (dy - sum - (x - mean) * inv_std * dot), sum and dot divided by the number of all rows. dx may be dy or x.
  void (*gradient)(const BatchNormF32& bn, size_t rows, const float* dy, const float* x, const float* sum, const float* dot, float* dx);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const BatchNormF32Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
