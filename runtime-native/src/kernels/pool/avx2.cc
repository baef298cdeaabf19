// AVX2: 8 channels of f32, 32 (max) or 16 (average) of 8-bit. The last channels go through a buffer.
#include "../simd.h"
#include "../gemm_u8s8_s32/gemm_u8s8_s32.h"
#include "pool.h"

namespace cec {
namespace {

#include "../epilogue_q_avx2.inl"

struct Window {
  const int32_t* offsets;
  size_t taps, image, count;  // image: first element of the image
};

inline Window window_of(const PoolArgs& a, size_t m) {
  const size_t pixel = m % a.taps.pixels;
  return {a.taps.offsets + pixel * a.taps.taps, a.taps.taps, m / a.taps.pixels * a.taps.batch_stride,
          a.counts != nullptr ? static_cast<size_t>(a.counts[pixel]) : a.taps.taps};
}

// acc = step(acc, 8 floats of channel c) over the taps in the image.
template <bool Part, class F>
inline __m256 fold(const Window& w, const float* x, size_t c, __m256i mask, __m256 acc, const F& step) {
  const float* source = x + w.image + c;
  for (size_t t = 0; t < w.taps; ++t) {
    if (w.offsets[t] < 0) continue;
    const float* p = source + w.offsets[t];
    acc = step(acc, Part ? _mm256_maskload_ps(p, mask) : _mm256_loadu_ps(p));
  }
  return acc;
}

template <class F, class G>
inline void pool_f32(const PoolArgs& a, const float* x, float* y, size_t m0, size_t m1, __m256 start, const F& step, const G& finish) {
  const size_t n = a.taps.channels;
  for (size_t m = m0; m < m1; ++m) {
    const Window w = window_of(a, m);
    float* out = y + m * a.ldc;
    const __m256i none = _mm256_setzero_si256();
    size_t c = 0;
    for (; c + 8 <= n; c += 8) _mm256_storeu_ps(out + c, finish(fold<false>(w, x, c, none, start, step), w));
    if (c < n) {
      const __m256i mask =
          _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n - c)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
      _mm256_maskstore_ps(out + c, mask, finish(fold<true>(w, x, c, mask, start, step), w));
    }
  }
}

void max_f32(const PoolArgs& a, const float* x, float* y, size_t m0, size_t m1) {
  pool_f32(
      a, x, y, m0, m1, _mm256_set1_ps(-kInfinity),
      // All-one bits are a NaN: an unordered pair stays one.
      [](__m256 acc, __m256 v) { return _mm256_or_ps(_mm256_max_ps(acc, v), _mm256_cmp_ps(acc, v, _CMP_UNORD_Q)); },
      [](__m256 acc, const Window&) { return acc; });
}

void average_f32(const PoolArgs& a, const float* x, float* y, size_t m0, size_t m1) {
  pool_f32(
      a, x, y, m0, m1, _mm256_setzero_ps(), [](__m256 acc, __m256 v) { return _mm256_add_ps(acc, v); },
      [](__m256 acc, const Window& w) {
        return w.count == 0 ? _mm256_setzero_ps() : _mm256_div_ps(acc, _mm256_set1_ps(static_cast<float>(w.count)));
      });
}

// s8 is compared as u8 after its sign bit is flipped, there and back.
void max_q(const PoolArgs& a, Q8 type, const void* x, void* y, size_t m0, size_t m1) {
  const __m256i flip = _mm256_set1_epi8(type == Q8::s8 ? static_cast<char>(0x80) : 0);
  const size_t n = a.taps.channels;
  for (size_t m = m0; m < m1; ++m) {
    const Window w = window_of(a, m);
    const uint8_t* source = static_cast<const uint8_t*>(x) + w.image;
    uint8_t* out = static_cast<uint8_t*>(y) + m * a.ldc;
    const auto most = [&](const auto& load) {
      __m256i acc = _mm256_setzero_si256();
      for (size_t t = 0; t < w.taps; ++t) {
        if (w.offsets[t] >= 0) acc = _mm256_max_epu8(acc, _mm256_xor_si256(load(source + w.offsets[t]), flip));
      }
      return _mm256_xor_si256(acc, flip);
    };
    size_t c = 0;
    for (; c + 32 <= n; c += 32) {
      const __m256i v = most([&](const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + c)); });
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + c), v);
    }
    if (c + 16 <= n) {
      const __m256i v = most(
          [&](const uint8_t* p) { return _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + c))); });
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + c), _mm256_castsi256_si128(v));
      c += 16;
    }
    if (c < n) {
      alignas(32) uint8_t bytes[32] = {};
      const __m256i v = most([&](const uint8_t* p) {
        std::memcpy(bytes, p + c, n - c);
        return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes));
      });
      _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), v);
      std::memcpy(out + c, bytes, n - c);
    }
  }
}

template <bool Signed>
void average_of(const PoolArgs& a, const AverageQ& q, const uint8_t* x, uint8_t* y, size_t m0, size_t m1) {
  EpilogueQ e;
  e.out = q.y_type == Q8::u8 ? QOut::u8 : QOut::s8;
  e.y_zp = q.y_zp;
  e.q_min = q.q_min;
  e.q_max = q.q_max;
  const EpilogueRegs regs = epilogue_regs(e);
  const size_t n = a.taps.channels;
  const __m256i zero_point = _mm256_set1_epi32(q.x_zp);
  for (size_t m = m0; m < m1; ++m) {
    const Window w = window_of(a, m);
    const __m256 scale = _mm256_set1_ps(q.x_scale / (q.y_scale * static_cast<float>(w.count)));
    for (size_t c = 0; c < n; c += 16) {
      const size_t count = smaller(16, n - c);
      alignas(16) uint8_t bytes[16] = {};
      __m256i low = _mm256_setzero_si256(), high = low;
      for (size_t t = 0; t < w.taps; ++t) {
        if (w.offsets[t] < 0) continue;
        const uint8_t* p = x + w.image + static_cast<size_t>(w.offsets[t]) + c;
        if (count < 16) {
          std::memcpy(bytes, p, count);
          p = bytes;
        }
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        const __m128i upper = _mm_srli_si128(v, 8);
        low = _mm256_add_epi32(low, _mm256_sub_epi32(Signed ? _mm256_cvtepi8_epi32(v) : _mm256_cvtepu8_epi32(v), zero_point));
        high = _mm256_add_epi32(high, _mm256_sub_epi32(Signed ? _mm256_cvtepi8_epi32(upper) : _mm256_cvtepu8_epi32(upper), zero_point));
      }
      const __m128i out = pack_to_8(scale_to_q(low, scale, regs), scale_to_q(high, scale, regs), e.out);
      if (count == 16) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(y + m * a.ldc + c), out);
      } else {
        _mm_store_si128(reinterpret_cast<__m128i*>(bytes), out);
        std::memcpy(y + m * a.ldc + c, bytes, count);
      }
    }
  }
}

void average_q(const PoolArgs& a, const AverageQ& q, const void* x, void* y, size_t m0, size_t m1) {
  if (q.x_type == Q8::u8) average_of<false>(a, q, static_cast<const uint8_t*>(x), static_cast<uint8_t*>(y), m0, m1);
  else average_of<true>(a, q, static_cast<const uint8_t*>(x), static_cast<uint8_t*>(y), m0, m1);
}

}  // namespace

const PoolVariant pool__avx2_x8 = {"pool__avx2_x8", Isa::avx2, max_f32, max_q, average_f32, average_q};

}  // namespace cec
