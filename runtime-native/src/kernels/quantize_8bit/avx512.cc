// AVX-512, 64 elements at a time. The last elements go through buffers and the same code; tables and sums are AVX2's.
#include "../simd.h"
#include "quantize_8bit.h"

namespace cec {
namespace {

constexpr size_t kStep = 64;

// The end of all: rounding, limits, bytes.
struct Narrow {
  __m512 lo, hi;  // of the rounding's input
  __m512i zp, least, most;  // of s32, of bytes
  bool is_unsigned;
};

inline Narrow narrow_of(Q8 type, int32_t zp, int32_t q_min, int32_t q_max) {
  return {_mm512_set1_ps(static_cast<float>(q_min - zp)), _mm512_set1_ps(static_cast<float>(q_max - zp)), _mm512_set1_epi32(zp),
          _mm512_set1_epi8(static_cast<char>(q_min)), _mm512_set1_epi8(static_cast<char>(q_max)), type == Q8::u8};
}

// rne(clamp(v)) + zp. The bounds are integers, so clamping before rounding is the same. v is no NaN.
inline __m512i rounded(__m512 v, const Narrow& n) {
  return _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(v, n.lo), n.hi)), n.zp);
}

// Four vectors of s32, as 64 bytes in order between the limits.
inline __m512i bytes_of(__m512i a, __m512i b, __m512i c, __m512i d, const Narrow& n) {
  const __m512i ab = _mm512_packs_epi32(a, b), cd = _mm512_packs_epi32(c, d);
  const __m512i v = n.is_unsigned ? _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(ab, cd), n.least), n.most)
                                  : _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(ab, cd), n.least), n.most);
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
}

inline __m512i widen(const uint8_t* p, Q8 type) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return type == Q8::u8 ? _mm512_cvtepu8_epi32(bytes) : _mm512_cvtepi8_epi32(bytes);
}

// Whole steps: f(i) makes the 16 values from element i on, as s32.
template <class F>
inline void each(size_t n, uint8_t* y, const Narrow& narrow, const F& f) {
  const auto sixty_four = [&](size_t i, uint8_t* to) { _mm512_storeu_si512(to, bytes_of(f(i), f(i + 16), f(i + 32), f(i + 48), narrow)); };
  for (size_t i = 0; i + kStep <= n; i += kStep) sixty_four(i, y + i);
}

template <class F>
inline void map(size_t n, const void* x, void* y, const Narrow& narrow, const F& f) {
  const uint8_t* const from = static_cast<const uint8_t*>(x);
  uint8_t* const to = static_cast<uint8_t*>(y);
  each(n, to, narrow, [&](size_t i) { return f(from + i); });
  const size_t done = n / kStep * kStep;
  if (done == n) return;
  uint8_t last[kStep] = {}, out[kStep];
  std::memcpy(last, from + done, n - done);
  each(kStep, out, narrow, [&](size_t i) { return f(last + i); });
  std::memcpy(to + done, out, n - done);
}

template <class F>
inline void zip(size_t n, const void* a, bool a_scalar, const void* b, bool b_scalar, void* y, const Narrow& narrow, const F& f) {
  if (n == 0) return;
  uint8_t* const to = static_cast<uint8_t*>(y);
  // A scalar operand is one vector that does not move.
  uint8_t first[2][16];
  const auto prepared = [&](const void* x, bool scalar, uint8_t* copies) {
    if (scalar) std::memset(copies, *static_cast<const uint8_t*>(x), 16);
    return scalar ? copies : static_cast<const uint8_t*>(x);
  };
  const uint8_t* const p = prepared(a, a_scalar, first[0]);
  const uint8_t* const q = prepared(b, b_scalar, first[1]);
  each(n, to, narrow, [&](size_t i) { return f(p + (a_scalar ? 0 : i), q + (b_scalar ? 0 : i)); });
  const size_t done = n / kStep * kStep;
  if (done == n) return;
  uint8_t last_p[kStep] = {}, last_q[kStep] = {}, out[kStep];
  std::memcpy(last_p, a_scalar ? p : p + done, a_scalar ? 16 : n - done);
  std::memcpy(last_q, b_scalar ? q : q + done, b_scalar ? 16 : n - done);
  each(kStep, out, narrow, [&](size_t i) { return f(last_p + (a_scalar ? 0 : i), last_q + (b_scalar ? 0 : i)); });
  std::memcpy(to + done, out, n - done);
}

// Whether x / scale, correctly rounded, comes out of the reciprocal and two corrections: P. Markstein, Computation of elementary functions on the IBM
// RISC System/6000 processor, 1990, theorem 8.3: the reciprocal must be correctly rounded, which it is, and scale's significand not be all ones;
// and nothing on the way may leave the range of normal numbers.
inline bool divides_by_reciprocal(float scale) {
  uint32_t bits;
  std::memcpy(&bits, &scale, sizeof(bits));
  const uint32_t exponent = bits >> 23;  // a sign makes it too large
  return exponent > 27 && exponent < 227 && (bits & 0x7fffffu) != 0x7fffffu;
}

void quantize(size_t n, const float* x, const QParams& q, int32_t q_min, int32_t q_max, void* y) {
  const Narrow narrow = narrow_of(q.type, q.zp, q_min, q_max);
  const __m512 scale = _mm512_set1_ps(q.scale), reciprocal = _mm512_set1_ps(1.0f / q.scale);
  // Beyond this the result is a limit.
  const __m512 most = _mm512_set1_ps(131072.0f * q.scale), least = _mm512_set1_ps(-131072.0f * q.scale);
  const auto number = [](__m512 v) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v); };
  uint8_t* const to = static_cast<uint8_t*>(y);
  const auto run = [&](const auto& divided) {
    each(n, to, narrow, [&](size_t i) { return rounded(divided(_mm512_loadu_ps(x + i)), narrow); });
    const size_t done = n / kStep * kStep;
    if (done == n) return;
    float last[kStep] = {};
    uint8_t out[kStep];
    std::memcpy(last, x + done, (n - done) * sizeof(float));
    each(kStep, out, narrow, [&](size_t i) { return rounded(divided(_mm512_loadu_ps(last + i)), narrow); });
    std::memcpy(to + done, out, n - done);
  };
  if (divides_by_reciprocal(q.scale)) {
    run([&](__m512 v) {
      v = _mm512_min_ps(_mm512_max_ps(number(v), least), most);
      const __m512 rough = _mm512_mul_ps(v, reciprocal);
      const __m512 better = _mm512_fmadd_ps(_mm512_fnmadd_ps(rough, scale, v), reciprocal, rough);
      return _mm512_fmadd_ps(_mm512_fnmadd_ps(better, scale, v), reciprocal, better);
    });
  } else {
    run([&](__m512 v) { return number(_mm512_div_ps(v, scale)); });
  }
}

void dequantize(size_t n, const void* x, const QParams& q, float* y) {
  const uint8_t* const p = static_cast<const uint8_t*>(x);
  const __m512i zero_point = _mm512_set1_epi32(q.zp);
  const __m512 scale = _mm512_set1_ps(q.scale);
  const auto sixteen = [&](const uint8_t* from) { return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(widen(from, q.type), zero_point)), scale); };
  size_t i = 0;
  for (; i + 16 <= n; i += 16) _mm512_storeu_ps(y + i, sixteen(p + i));
  if (i < n) {
    uint8_t bytes[16] = {};
    std::memcpy(bytes, p + i, n - i);
    _mm512_mask_storeu_ps(y + i, static_cast<__mmask16>((1u << (n - i)) - 1), sixteen(bytes));
  }
}

// clamp(rne(f32(v) * m)) + zp; an infinite m times 0 counts as 0.
inline __m512i scaled(__m512i v, __m512 m, const Narrow& n) {
  const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(v), m);
  return rounded(_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, y, _CMP_ORD_Q), y), n);
}

void requantize(size_t n, const void* x, const QParams& xq, const QParams& yq, int32_t q_min, int32_t q_max, void* y) {
  const Narrow narrow = narrow_of(yq.type, yq.zp, q_min, q_max);
  const __m512i zero_point = _mm512_set1_epi32(xq.zp);
  const __m512 scale = _mm512_set1_ps(xq.scale / yq.scale);
  map(n, x, y, narrow, [&](const uint8_t* p) { return scaled(_mm512_sub_epi32(widen(p, xq.type), zero_point), scale, narrow); });
}

void add(size_t n, const void* a, bool a_scalar, const QParams& aq, const void* b, bool b_scalar, const QParams& bq, const QParams& yq, int32_t q_min,
         int32_t q_max, void* y) {
  const Narrow narrow = narrow_of(yq.type, 0, q_min, q_max);  // the zero point is inside the sum
  const AddSteps s = add_steps(aq, bq, yq);
  const __m512 a_scale = _mm512_set1_ps(s.a), b_scale = _mm512_set1_ps(s.b), rest = _mm512_set1_ps(s.c);
  const auto sum = [&](const uint8_t* p, const uint8_t* q) {
    const __m512 right = _mm512_fmadd_ps(_mm512_cvtepi32_ps(widen(q, bq.type)), b_scale, rest);
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(widen(p, aq.type)), a_scale, right);
  };
  // The usual steps keep sums far inside the s32 range: packing saturates them, and only bytes need limits. NaN fails the comparison.
  const bool small = s.a < 1e6f && s.b < 1e6f && s.c < 1e6f && s.c > -1e6f;
  if (small) {
    zip(n, a, a_scalar, b, b_scalar, y, narrow, [&](const uint8_t* p, const uint8_t* q) { return _mm512_cvtps_epi32(sum(p, q)); });
  } else {
    zip(n, a, a_scalar, b, b_scalar, y, narrow, [&](const uint8_t* p, const uint8_t* q) {
      const __m512 v = sum(p, q);
      return rounded(_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v), narrow);
    });
  }
}

void mul(size_t n, const void* a, bool a_scalar, const QParams& aq, const void* b, bool b_scalar, const QParams& bq, const QParams& yq, int32_t q_min,
         int32_t q_max, void* y) {
  const Narrow narrow = narrow_of(yq.type, yq.zp, q_min, q_max);
  const __m512i a_zero = _mm512_set1_epi32(aq.zp), b_zero = _mm512_set1_epi32(bq.zp);
  const __m512 scale = _mm512_set1_ps(aq.scale * bq.scale / yq.scale);
  zip(n, a, a_scalar, b, b_scalar, y, narrow, [&](const uint8_t* p, const uint8_t* q) {
    return scaled(_mm512_mullo_epi32(_mm512_sub_epi32(widen(p, aq.type), a_zero), _mm512_sub_epi32(widen(q, bq.type), b_zero)), scale, narrow);
  });
}

void lut(size_t n, const uint8_t* x, const uint8_t table[256], uint8_t* y) { quantize_8bit__avx2_x16.lut(n, x, table, y); }
void row_sums(size_t rows, size_t k, const void* x, Q8 type, size_t ldx, int32_t* sums) { quantize_8bit__avx2_x16.row_sums(rows, k, x, type, ldx, sums); }

}  // namespace

const Quantize8Variant quantize_8bit__avx512_x64 = {
    "quantize_8bit__avx512_x64", Isa::avx512, quantize, dequantize, requantize, add, mul, lut, row_sums};

}  // namespace cec
