// Conversions between f32 and f16 (IEEE 754 binary16), and rounding of f32 through f16.
#pragma once

#include "../common.h"

namespace cec {

/// What rounding through f16 did to a range.
struct HalfCounts {
  uint64_t nonzero = 0;  ///< elements that are not 0
  uint64_t flushed = 0;  ///< of these, those that became 0
};

/// One variant. Round to nearest even; what is too large becomes infinity, every NaN the same quiet one. Every variant gives the scalar variant's bits.
struct HalfF32Variant {
  const char* name;
  Isa isa;
  void (*narrow)(size_t n, const float* x, uint16_t* y);
  void (*widen)(size_t n, const uint16_t* x, float* y);
  /// y may be x.
  HalfCounts (*round)(size_t n, const float* x, float* y);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const HalfF32Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
