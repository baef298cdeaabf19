// dW += dY^T X in f32: the gradient of a convolution's weights, channels last, with X found by the convolution's geometry.
#pragma once

#include "../common.h"

namespace cec {

struct ConvWgradF32Args {
  TapGeometry geometry;       ///< of the forward convolution
  size_t channels = 0;        ///< input channels of this group
  const float* x = nullptr;   ///< first element of the first image (of this group); images follow each other
  const float* dy = nullptr;  ///< [images * pixels][ld_dy], first output channel of this group
  size_t ld_dy = 0;
  float* dw = nullptr;  ///< [outputs][taps][channels], contiguous
};

/// One variant. Thread-safe, allocates nothing.
///
/// accumulate adds the rows [r0, r1) to dw[o][t][c] for outputs [o0, o1). Each element is one chain of fused multiply-adds over its rows in ascending order, those
/// of the padding left out: every variant gives the scalar variant's bits, whatever the ranges of outputs.
struct ConvWgradF32Variant {
  const char* name;
  Isa isa;
  void (*accumulate)(const ConvWgradF32Args& args, size_t r0, size_t r1, size_t o0, size_t o1);
  /// The same of a depthwise convolution: channels = outputs, channel c of dy meets channel c of x only, and dw is [taps][channels].
  void (*accumulate_depthwise)(const ConvWgradF32Args& args, size_t r0, size_t r1);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const ConvWgradF32Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
