// Two-dimensional transposes, from which NCHW <-> NHWC are made.
#pragma once

#include "../common.h"

namespace cec {

/// One variant.
struct LayoutVariant {
  const char* name;
  Isa isa;
  /// y[j * ldy + i] = x[i * ldx + j] for i < rows, j < cols; elements of 1, 2, 4 or 8 bytes; strides in elements; no overlap.
  /// NCHW -> NHWC of one image is rows = C, cols = H*W; NHWC -> NCHW is rows = H*W, cols = C.
  void (*transpose)(size_t element_bytes, size_t rows, size_t cols, const void* x, size_t ldx, void* y, size_t ldy);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const LayoutVariant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
