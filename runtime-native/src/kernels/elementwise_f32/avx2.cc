// AVX2, 8 lanes. The last lanes go through a buffer and the same code, so an element's bits do not depend on its place.
#include "../simd.h"
#include "elementwise_f32.h"

namespace cec {
namespace {

#include "../math_f32_avx2.inl"

template <class F>
inline void map(size_t n, const float* x, float* y, const F& f) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, f(_mm256_loadu_ps(x + i)));
  if (i < n) {
    float last[8] = {};
    std::memcpy(last, x + i, (n - i) * sizeof(float));
    _mm256_storeu_ps(last, f(_mm256_loadu_ps(last)));
    std::memcpy(y + i, last, (n - i) * sizeof(float));
  }
}

template <class F>
inline void zip(size_t n, const float* a, bool a_scalar, const float* b, bool b_scalar, float* y, float lo, float hi, const F& f) {
  if (n == 0) return;
  const __m256 low = splat(lo), high = splat(hi), first_a = splat(*a), first_b = splat(*b);
  const auto g = [&](__m256 p, __m256 q) { return _mm256_min_ps(high, _mm256_max_ps(low, f(p, q))); };
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(y + i, g(a_scalar ? first_a : _mm256_loadu_ps(a + i), b_scalar ? first_b : _mm256_loadu_ps(b + i)));
  }
  if (i < n) {
    float p[8] = {}, q[8] = {};
    if (!a_scalar) std::memcpy(p, a + i, (n - i) * sizeof(float));
    if (!b_scalar) std::memcpy(q, b + i, (n - i) * sizeof(float));
    _mm256_storeu_ps(p, g(a_scalar ? first_a : _mm256_loadu_ps(p), b_scalar ? first_b : _mm256_loadu_ps(q)));
    std::memcpy(y + i, p, (n - i) * sizeof(float));
  }
}

// vminps and vmaxps give the second operand where one is NaN; p + q is NaN exactly there.
inline __m256 with_nan(__m256 p, __m256 q, __m256 result) {
  return _mm256_blendv_ps(result, _mm256_add_ps(p, q), _mm256_cmp_ps(p, q, _CMP_UNORD_Q));
}

void binary(BinaryF32 op, size_t n, const float* a, bool a_scalar, const float* b, bool b_scalar, float* y, float lo, float hi) {
  const auto run = [&](const auto& f) { zip(n, a, a_scalar, b, b_scalar, y, lo, hi, f); };
  switch (op) {
    case BinaryF32::add: return run([](__m256 p, __m256 q) { return _mm256_add_ps(p, q); });
    case BinaryF32::sub: return run([](__m256 p, __m256 q) { return _mm256_sub_ps(p, q); });
    case BinaryF32::mul: return run([](__m256 p, __m256 q) { return _mm256_mul_ps(p, q); });
    case BinaryF32::div: return run([](__m256 p, __m256 q) { return _mm256_div_ps(p, q); });
    case BinaryF32::min: return run([](__m256 p, __m256 q) { return with_nan(p, q, _mm256_min_ps(p, q)); });
    case BinaryF32::max: return run([](__m256 p, __m256 q) { return with_nan(p, q, _mm256_max_ps(p, q)); });
  }
}

inline __m256 clamp_8(__m256 v, float lo, float hi) { return _mm256_min_ps(splat(hi), _mm256_max_ps(splat(lo), v)); }

void unary(UnaryF32 op, size_t n, const float* x, float* y, float alpha, float beta) {
  const auto run = [&](const auto& f) { map(n, x, y, f); };
  const __m256 one = splat(1.0f), half = splat(0.5f);
  switch (op) {
    case UnaryF32::clip: return run([=](__m256 v) { return clamp_8(v, alpha, beta); });
    case UnaryF32::leaky_relu:
      return run([=](__m256 v) {
        return _mm256_blendv_ps(v, _mm256_mul_ps(splat(alpha), v), _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_LT_OQ));
      });
    case UnaryF32::elu:
      // e^x - 1 = 2 t / (1 - t) with t = tanh(x / 2): no cancellation near 0.
      return run([=](__m256 v) {
        const __m256 t = tanh_8(_mm256_mul_ps(v, half));
        const __m256 minus_one = _mm256_div_ps(_mm256_add_ps(t, t), _mm256_sub_ps(one, t));
        return _mm256_blendv_ps(v, _mm256_mul_ps(splat(alpha), minus_one), _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_LT_OQ));
      });
    case UnaryF32::exp: return run([](__m256 v) { return exp_8(v); });
    case UnaryF32::sigmoid: return run([](__m256 v) { return sigmoid_8(v); });
    case UnaryF32::tanh: return run([](__m256 v) { return tanh_8(v); });
    case UnaryF32::erf: return run([](__m256 v) { return erf_8(v); });
    case UnaryF32::gelu:
      return run([=](__m256 v) {
        const __m256 t = erf_8(_mm256_mul_ps(v, splat(0.707106781f)));
        return _mm256_mul_ps(_mm256_mul_ps(half, v), _mm256_add_ps(one, t));
      });
    case UnaryF32::gelu_tanh:
      return run([=](__m256 v) {
        const __m256 cube = _mm256_mul_ps(_mm256_mul_ps(_mm256_mul_ps(splat(0.044715f), v), v), v);
        const __m256 t = tanh_8(_mm256_mul_ps(splat(0.797884561f), _mm256_add_ps(v, cube)));
        return _mm256_mul_ps(_mm256_mul_ps(half, v), _mm256_add_ps(one, t));
      });
    case UnaryF32::silu: return run([](__m256 v) { return _mm256_mul_ps(v, sigmoid_8(v)); });
    case UnaryF32::hard_sigmoid:
      return run([=](__m256 v) { return clamp_8(_mm256_add_ps(_mm256_mul_ps(splat(alpha), v), splat(beta)), 0.0f, 1.0f); });
    case UnaryF32::hard_swish:
      return run([=](__m256 v) {
        return _mm256_mul_ps(v, clamp_8(_mm256_add_ps(_mm256_mul_ps(v, splat(1.0f / 6.0f)), half), 0.0f, 1.0f));
      });
    case UnaryF32::sqrt: return run([](__m256 v) { return _mm256_sqrt_ps(v); });
    case UnaryF32::reciprocal: return run([=](__m256 v) { return _mm256_div_ps(one, v); });
    case UnaryF32::neg: return run([](__m256 v) { return _mm256_xor_ps(splat(-0.0f), v); });
    case UnaryF32::abs: return run([](__m256 v) { return abs_8(v); });
    case UnaryF32::floor: return run([](__m256 v) { return _mm256_floor_ps(v); });
    case UnaryF32::ceil: return run([](__m256 v) { return _mm256_ceil_ps(v); });
    case UnaryF32::round:
      return run([](__m256 v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); });
  }
}

}  // namespace

const ElementwiseF32Variant elementwise_f32__avx2_x8 = {"elementwise_f32__avx2_x8", Isa::avx2, binary, unary};

}  // namespace cec
