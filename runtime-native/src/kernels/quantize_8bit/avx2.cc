// AVX2, 16 elements at a time. The last elements go through buffers and the same code.
#include "../simd.h"
#include "../gemm_u8s8_s32/gemm_u8s8_s32.h"
#include "quantize_8bit.h"

namespace cec {
namespace {

#include "../epilogue_q_avx2.inl"

EpilogueQ epilogue_of(const QParams& q, int32_t q_min, int32_t q_max) {
  EpilogueQ e;
  e.out = q.type == Q8::u8 ? QOut::u8 : QOut::s8;
  e.y_zp = q.zp;
  e.q_min = q_min;
  e.q_max = q_max;
  return e;
}

// 16 elements less their zero point, as s32.
struct Sixteen {
  __m256i low, high;
};

inline Sixteen widen(__m128i bytes, Q8 type, __m256i zero_point) {
  const __m128i upper = _mm_srli_si128(bytes, 8);
  const __m256i low = type == Q8::u8 ? _mm256_cvtepu8_epi32(bytes) : _mm256_cvtepi8_epi32(bytes);
  const __m256i high = type == Q8::u8 ? _mm256_cvtepu8_epi32(upper) : _mm256_cvtepi8_epi32(upper);
  return {_mm256_sub_epi32(low, zero_point), _mm256_sub_epi32(high, zero_point)};
}

inline __m128i load_16(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline void store_16(uint8_t* p, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v); }

// y = f(x), 16 bytes at a time.
template <class F>
inline void map(size_t n, const uint8_t* x, uint8_t* y, const F& f) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) store_16(y + i, f(load_16(x + i)));
  if (i < n) {
    uint8_t last[16] = {};
    std::memcpy(last, x + i, n - i);
    store_16(last, f(load_16(last)));
    std::memcpy(y + i, last, n - i);
  }
}

template <class F>
inline void zip(size_t n, const void* a, bool a_scalar, const void* b, bool b_scalar, void* y, const F& f) {
  if (n == 0) return;
  const uint8_t* p = static_cast<const uint8_t*>(a);
  const uint8_t* q = static_cast<const uint8_t*>(b);
  uint8_t* out = static_cast<uint8_t*>(y);
  const __m128i first_p = _mm_set1_epi8(static_cast<char>(*p)), first_q = _mm_set1_epi8(static_cast<char>(*q));
  size_t i = 0;
  for (; i + 16 <= n; i += 16) store_16(out + i, f(a_scalar ? first_p : load_16(p + i), b_scalar ? first_q : load_16(q + i)));
  if (i < n) {
    uint8_t last_p[16] = {}, last_q[16] = {};
    if (!a_scalar) std::memcpy(last_p, p + i, n - i);
    if (!b_scalar) std::memcpy(last_q, q + i, n - i);
    store_16(last_p, f(a_scalar ? first_p : load_16(last_p), b_scalar ? first_q : load_16(last_q)));
    std::memcpy(out + i, last_p, n - i);
  }
}

void quantize(size_t n, const float* x, const QParams& q, int32_t q_min, int32_t q_max, void* y) {
  const EpilogueQ e = epilogue_of(q, q_min, q_max);
  const EpilogueRegs regs = epilogue_regs(e);
  const __m256 scale = _mm256_set1_ps(q.scale);
  uint8_t* out = static_cast<uint8_t*>(y);
  const auto sixteen = [&](const float* p) {
    const __m256i low = round_to_q(_mm256_div_ps(_mm256_loadu_ps(p), scale), regs);
    const __m256i high = round_to_q(_mm256_div_ps(_mm256_loadu_ps(p + 8), scale), regs);
    return pack_to_8(low, high, e.out);
  };
  size_t i = 0;
  for (; i + 16 <= n; i += 16) store_16(out + i, sixteen(x + i));
  if (i < n) {
    float last[16] = {};
    uint8_t bytes[16];
    std::memcpy(last, x + i, (n - i) * sizeof(float));
    store_16(bytes, sixteen(last));
    std::memcpy(out + i, bytes, n - i);
  }
}

void dequantize(size_t n, const void* x, const QParams& q, float* y) {
  const uint8_t* p = static_cast<const uint8_t*>(x);
  const __m256i zero_point = _mm256_set1_epi32(q.zp);
  const __m256 scale = _mm256_set1_ps(q.scale);
  const auto sixteen = [&](const uint8_t* source, float* to) {
    const Sixteen v = widen(load_16(source), q.type, zero_point);
    _mm256_storeu_ps(to, _mm256_mul_ps(_mm256_cvtepi32_ps(v.low), scale));
    _mm256_storeu_ps(to + 8, _mm256_mul_ps(_mm256_cvtepi32_ps(v.high), scale));
  };
  size_t i = 0;
  for (; i + 16 <= n; i += 16) sixteen(p + i, y + i);
  if (i < n) {
    uint8_t bytes[16] = {};
    float last[16];
    std::memcpy(bytes, p + i, n - i);
    sixteen(bytes, last);
    std::memcpy(y + i, last, (n - i) * sizeof(float));
  }
}

void requantize(size_t n, const void* x, const QParams& xq, const QParams& yq, int32_t q_min, int32_t q_max, void* y) {
  const EpilogueQ e = epilogue_of(yq, q_min, q_max);
  const EpilogueRegs regs = epilogue_regs(e);
  const __m256i zero_point = _mm256_set1_epi32(xq.zp);
  const __m256 scale = _mm256_set1_ps(xq.scale / yq.scale);
  map(n, static_cast<const uint8_t*>(x), static_cast<uint8_t*>(y), [&](__m128i bytes) {
    const Sixteen v = widen(bytes, xq.type, zero_point);
    return pack_to_8(scale_to_q(v.low, scale, regs), scale_to_q(v.high, scale, regs), e.out);
  });
}

void add(size_t n, const void* a, bool a_scalar, const QParams& aq, const void* b, bool b_scalar, const QParams& bq, const QParams& yq,
         int32_t q_min, int32_t q_max, void* y) {
  const EpilogueQ e = epilogue_of({yq.type, yq.scale, 0}, q_min, q_max);  // the zero point is inside the sum
  const EpilogueRegs regs = epilogue_regs(e);
  const AddSteps s = add_steps(aq, bq, yq);
  const __m256i zero = _mm256_setzero_si256();
  const __m256 a_scale = _mm256_set1_ps(s.a), b_scale = _mm256_set1_ps(s.b), rest = _mm256_set1_ps(s.c);
  const auto sum = [&](__m256i p, __m256i q) {
    const __m256 right = _mm256_fmadd_ps(_mm256_cvtepi32_ps(q), b_scale, rest);
    return round_to_q(_mm256_fmadd_ps(_mm256_cvtepi32_ps(p), a_scale, right), regs);
  };
  zip(n, a, a_scalar, b, b_scalar, y, [&](__m128i p, __m128i q) {
    const Sixteen u = widen(p, aq.type, zero), v = widen(q, bq.type, zero);
    return pack_to_8(sum(u.low, v.low), sum(u.high, v.high), e.out);
  });
}

void mul(size_t n, const void* a, bool a_scalar, const QParams& aq, const void* b, bool b_scalar, const QParams& bq, const QParams& yq,
         int32_t q_min, int32_t q_max, void* y) {
  const EpilogueQ e = epilogue_of(yq, q_min, q_max);
  const EpilogueRegs regs = epilogue_regs(e);
  const __m256i a_zero = _mm256_set1_epi32(aq.zp), b_zero = _mm256_set1_epi32(bq.zp);
  const __m256 scale = _mm256_set1_ps(aq.scale * bq.scale / yq.scale);
  zip(n, a, a_scalar, b, b_scalar, y, [&](__m128i p, __m128i q) {
    const Sixteen u = widen(p, aq.type, a_zero), v = widen(q, bq.type, b_zero);
    return pack_to_8(scale_to_q(_mm256_mullo_epi32(u.low, v.low), scale, regs),
                     scale_to_q(_mm256_mullo_epi32(u.high, v.high), scale, regs), e.out);
  });
}

// Each of the 16 rows of the table by vpshufb: x - 16 r has its high bits clear in row r alone; adding 0x70 with unsigned
// saturation sets the top bit of all others, for which vpshufb gives 0.
void lut(size_t n, const uint8_t* x, const uint8_t table[256], uint8_t* y) {
  __m256i rows[16];
  for (int r = 0; r < 16; ++r) rows[r] = _mm256_broadcastsi128_si256(load_16(table + 16 * r));
  const __m256i step = _mm256_set1_epi8(16), bias = _mm256_set1_epi8(0x70);
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    __m256i out = _mm256_setzero_si256();
    for (const __m256i& row : rows) {
      out = _mm256_or_si256(out, _mm256_shuffle_epi8(row, _mm256_adds_epu8(v, bias)));
      v = _mm256_sub_epi8(v, step);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i), out);
  }
  for (; i < n; ++i) y[i] = table[x[i]];
}

void row_sums(size_t rows, size_t k, const void* x, Q8 type, size_t ldx, int32_t* sums) {
  // vpsadbw adds unsigned bytes; s8 is moved up by 128, which is taken off at the end.
  const __m256i flip = _mm256_set1_epi8(type == Q8::s8 ? static_cast<char>(0x80) : 0);
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* p = static_cast<const uint8_t*>(x) + r * ldx;
    __m256i total = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 32 <= k; i += 32) {
      const __m256i v = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + i)), flip);
      total = _mm256_add_epi64(total, _mm256_sad_epu8(v, _mm256_setzero_si256()));
    }
    alignas(32) uint64_t lanes[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), total);
    uint32_t sum = static_cast<uint32_t>(lanes[0] + lanes[1] + lanes[2] + lanes[3]);
    if (type == Q8::s8) sum -= 128u * static_cast<uint32_t>(i);
    for (; i < k; ++i) sum += type == Q8::u8 ? p[i] : static_cast<uint32_t>(static_cast<int8_t>(p[i]));
    sums[r] = static_cast<int32_t>(sum);
  }
}

}  // namespace

const Quantize8Variant quantize_8bit__avx2_x16 = {
    "quantize_8bit__avx2_x16", Isa::avx2, quantize, dequantize, requantize, add, mul, lut, row_sums};

}  // namespace cec
