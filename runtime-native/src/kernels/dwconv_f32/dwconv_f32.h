// Depthwise convolution in f32, NHWC: output channel c sees input channel c only.
#pragma once

#include "../gemm_f32/gemm_f32.h"

namespace cec {

struct DwconvF32Args {
  size_t rows = 0;  ///< batch * taps.pixels
  Taps taps;        ///< channels = C
  const float* base = nullptr;
  const float* zero = nullptr;    ///< at least C zeros
  const void* packed_w = nullptr;
  float* c = nullptr;             ///< [rows][ldc]
  size_t ldc = 0;
  EpilogueF32 epilogue;
};

/// One variant. dwconv computes rows [m0, m1); each element is bias (or 0), then one chain over ascending taps, then residual and clamp.
struct DwconvF32Variant {
  const char* name;
  Isa isa;
  size_t (*packed_bytes)(size_t channels, size_t taps);
  /// w is [channels][taps] (ONNX [C,kh,kw,1] or [C,1,kh,kw]).
  void (*pack)(size_t channels, size_t taps, const float* w, void* dst);
  void (*dwconv)(const DwconvF32Args& args, size_t m0, size_t m1);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const DwconvF32Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
