// Steps of training over contiguous f32: the gradient of relu, and optimizers that update in place.
#pragma once

#include "../common.h"

namespace cec {

struct SgdF32 {
  float rate, scale, momentum, weight_decay;  ///< scale multiplies the gradient
  bool nesterov;
};

struct AdamF32 {
  float rate, scale, beta1, beta2, epsilon, weight_decay;
  float correction1, root_correction2;  ///< 1 - beta1^t, sqrt(1 - beta2^t)
  bool decoupled;                       ///< AdamW
};

/// The finalizer of MurmurHash3 (Appleby): every bit of the result depends on every bit of `h`.
constexpr uint32_t dropout_mix(uint32_t h) {
  h ^= h >> 16;
  h *= 0x85ebca6bU;
  h ^= h >> 13;
  h *= 0xc2b2ae35U;
  return h ^ (h >> 16);
}

struct DropoutF32 {
  uint32_t key, second, threshold;
  float scale;
};

/// Fake quantization with one scale.
struct FakeQuantizeF32 {
  float scale, zero_point, q_min, q_max;
};

/// Partial sums of a gradient of a scale: element i goes to sum i mod kFakeQuantizeSums.
constexpr size_t kFakeQuantizeSums = 16;

/// One variant. Results may be the memory of the operand that they follow, but must not overlap it otherwise. Every variant gives the scalar variant's bits.
struct TrainingF32Variant {
  const char* name;
  Isa isa;
  /// dx = y > 0 ? dy : 0
  void (*relu_backward)(size_t n, const float* dy, const float* y, float* dx);
  /// y = dropped ? 0 : x * scale for the elements [first, first + n) of a tensor; element i is dropped where mix(mix(i + key) ^ second) < threshold (`dropout_mix`)
  void (*dropout)(const DropoutF32& d, size_t first, size_t n, const float* x, float* y);
  /// y = (clamp(round(x / scale) + zero_point, q_min, q_max) - zero_point) * scale, halves to even
  void (*fake_quantize)(const FakeQuantizeF32& q, size_t n, const float* x, float* y);
  /// dx = dy where the integer is inside, else 0; adds dy * (round(x / scale) - x / scale) inside and dy * (q - zero_point) at the end beyond which x is to sums
  void (*fake_quantize_backward)(const FakeQuantizeF32& q, size_t n, const float* dy, const float* x, float* dx, float* sums);
  void (*sgd)(const SgdF32& s, size_t n, const float* p, const float* g, const float* velocity, float* next_p, float* next_velocity);
  void (*adam)(const AdamF32& s, size_t n, const float* p, const float* g, const float* m, const float* v, float* next_p, float* next_m, float* next_v);
};

#define CEC_KERNEL_VARIANT(isa, name) extern const TrainingF32Variant name;
#include "variants.inc"
#undef CEC_KERNEL_VARIANT

}  // namespace cec
