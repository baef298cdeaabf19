// Depthwise convolution of 8-bit activations with s8 weights, NHWC, exact s32 sums and the epilogue of gemm_u8s8_s32.
#pragma once

#include "../gemm_u8s8_s32/gemm_u8s8_s32.h"

namespace cec {

struct DwconvQArgs {
  size_t rows = 0;
  Taps taps;  ///< channels = C
  const void* base = nullptr;
  Q8 a_type = Q8::u8;
  int32_t a_zp = 0;
  const void* zero = nullptr;  ///< at least C bytes that all hold a_zp
  const void* packed_w = nullptr;
  void* c = nullptr;  ///< [rows][ldc] of epilogue.out
  size_t ldc = 0;
  EpilogueQ epilogue;  ///< n = C
  const TapGeometry* geometry = nullptr;  ///< what taps were made from; null: variants that convert whole rows go by taps
};

/// One variant. Every variant gives the scalar variant's bytes.
struct DwconvQVariant {
  const char* name;
  Isa isa;
  size_t (*packed_bytes)(size_t channels, size_t taps);
  /// w is [channels][taps].
  void (*pack)(size_t channels, size_t taps, const int8_t* w, void* dst);
  void (*dwconv)(const DwconvQArgs& args, size_t m0, size_t m1);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const DwconvQVariant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
