// The reference, on the functions of the C library.
#include <cmath>

#include "../scalar_math.h"
#include "elementwise_f32.h"

namespace cec {
namespace {

template <class F>
void map(size_t n, const float* x, float* y, const F& f) {
  for (size_t i = 0; i < n; ++i) y[i] = f(x[i]);
}

template <class F>
void zip(size_t n, const float* a, bool a_scalar, const float* b, bool b_scalar, float* y, float lo, float hi, const F& f) {
  const float first_a = n != 0 ? *a : 0, first_b = n != 0 ? *b : 0;  // y may be the memory of either
  for (size_t i = 0; i < n; ++i) y[i] = clamp_f32(f(a_scalar ? first_a : a[i], b_scalar ? first_b : b[i]), lo, hi);
}

float sigmoid(float x) {
  const float e = std::exp(-std::fabs(x));
  return x < 0 ? e / (1.0f + e) : 1.0f / (1.0f + e);
}

void binary(BinaryF32 op, size_t n, const float* a, bool a_scalar, const float* b, bool b_scalar, float* y, float lo, float hi) {
  const auto run = [&](const auto& f) { zip(n, a, a_scalar, b, b_scalar, y, lo, hi, f); };
  switch (op) {
    case BinaryF32::add: return run([](float p, float q) { return p + q; });
    case BinaryF32::sub: return run([](float p, float q) { return p - q; });
    case BinaryF32::mul: return run([](float p, float q) { return p * q; });
    case BinaryF32::div: return run([](float p, float q) { return p / q; });
    case BinaryF32::min: return run([](float p, float q) { return p != p || q != q ? p + q : (p < q ? p : q); });
    case BinaryF32::max: return run([](float p, float q) { return p != p || q != q ? p + q : (p > q ? p : q); });
  }
}

void unary(UnaryF32 op, size_t n, const float* x, float* y, float alpha, float beta) {
  const auto run = [&](const auto& f) { map(n, x, y, f); };
  switch (op) {
    case UnaryF32::clip: return run([=](float v) { return clamp_f32(v, alpha, beta); });
    case UnaryF32::leaky_relu: return run([=](float v) { return v < 0 ? alpha * v : v; });
    case UnaryF32::elu: return run([=](float v) { return v < 0 ? alpha * std::expm1(v) : v; });
    case UnaryF32::exp: return run([](float v) { return std::exp(v); });
    case UnaryF32::sigmoid: return run([](float v) { return sigmoid(v); });
    case UnaryF32::tanh: return run([](float v) { return std::tanh(v); });
    case UnaryF32::erf: return run([](float v) { return std::erf(v); });
    case UnaryF32::gelu: return run([](float v) { return 0.5f * v * (1.0f + std::erf(v * 0.707106781f)); });
    case UnaryF32::gelu_tanh:
      return run([](float v) { return 0.5f * v * (1.0f + std::tanh(0.797884561f * (v + 0.044715f * v * v * v))); });
    case UnaryF32::silu: return run([](float v) { return v * sigmoid(v); });
    case UnaryF32::hard_sigmoid: return run([=](float v) { return clamp_f32(alpha * v + beta, 0.0f, 1.0f); });
    case UnaryF32::hard_swish: return run([](float v) { return v * clamp_f32(v * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f); });
    case UnaryF32::sqrt: return run([](float v) { return std::sqrt(v); });
    case UnaryF32::reciprocal: return run([](float v) { return 1.0f / v; });
    case UnaryF32::neg: return run([](float v) { return -v; });
    case UnaryF32::abs: return run([](float v) { return std::fabs(v); });
    case UnaryF32::floor: return run([](float v) { return std::floor(v); });
    case UnaryF32::ceil: return run([](float v) { return std::ceil(v); });
    case UnaryF32::round: return run([](float v) { return std::nearbyint(v); });
  }
}

}  // namespace

const ElementwiseF32Variant elementwise_f32__scalar = {"elementwise_f32__scalar", Isa::scalar, binary, unary};

}  // namespace cec
