// AVX-512, 16 lanes; sums in double. Histogram: zeros, half of what a Relu gives, are counted by their mask alone; bins of the rest are packed into a buffer and
// counted from there, in four tables.
#include "../simd.h"
#include "stats_f32.h"

namespace cec {
namespace {

constexpr size_t kLanes = 16;

inline __mmask16 finite_mask(__m512 v) { return _mm512_cmp_ps_mask(_mm512_abs_ps(v), _mm512_set1_ps(kInfinity), _CMP_LT_OQ); }

inline __mmask16 lanes_of(size_t count) { return static_cast<__mmask16>(count >= kLanes ? 0xffff : (1u << count) - 1); }

inline uint64_t ones(__mmask16 mask) { return static_cast<uint64_t>(_mm_popcnt_u32(mask)); }

inline __m256 upper_half(__m512 v) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)); }

inline double total(__m512d v) {
  double lanes[8];
  _mm512_storeu_pd(lanes, v);
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

void moments(size_t n, const float* x, MomentsF32* io) {
  __m512 least = _mm512_set1_ps(io->min), most = _mm512_set1_ps(io->max);
  __m512d sum[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()}, squares[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
  uint64_t finite = 0, nan = 0;
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = lanes_of(n - i);
    const __m512 v = _mm512_maskz_loadu_ps(lanes, x + i);
    const __mmask16 mask = static_cast<__mmask16>(finite_mask(v) & lanes);
    finite += ones(mask);
    nan += ones(_mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q));
    least = _mm512_mask_min_ps(least, mask, least, v);
    most = _mm512_mask_max_ps(most, mask, most, v);
    const __m512 kept = _mm512_maskz_mov_ps(mask, v);
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(kept));
    const __m512d high = _mm512_cvtps_pd(upper_half(kept));
    sum[0] = _mm512_add_pd(sum[0], low);
    sum[1] = _mm512_add_pd(sum[1], high);
    squares[0] = _mm512_fmadd_pd(low, low, squares[0]);
    squares[1] = _mm512_fmadd_pd(high, high, squares[1]);
  }
  float lanes[kLanes];
  _mm512_storeu_ps(lanes, least);
  for (const float v : lanes) io->min = v < io->min ? v : io->min;
  _mm512_storeu_ps(lanes, most);
  for (const float v : lanes) io->max = v > io->max ? v : io->max;
  io->sum += total(_mm512_add_pd(sum[0], sum[1]));
  io->sum_squares += total(_mm512_add_pd(squares[0], squares[1]));
  io->count += finite;
  io->nan_count += nan;
  io->inf_count += n - finite - nan;
}

/// Bins of 16 elements at a time: `count` is called with packed bins of those that are finite and not zero. Returns how many are zero.
template <class F>
inline uint64_t pack_bins(size_t n, const float* x, float scale_value, int32_t first_bin, const F& count) {
  constexpr size_t kBuffer = 16 * kLanes;
  const __m512 scale = _mm512_set1_ps(scale_value), zero = _mm512_setzero_ps();
  const __m512i first = _mm512_set1_epi32(first_bin), one = _mm512_set1_epi32(1);
  uint32_t index[kBuffer];
  size_t held = 0;
  uint64_t zeros = 0;
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = lanes_of(n - i);
    const __m512 v = _mm512_maskz_loadu_ps(lanes, x + i);
    const __mmask16 is_zero = static_cast<__mmask16>(_mm512_cmp_ps_mask(v, zero, _CMP_EQ_OQ) & lanes);
    const __mmask16 counted = static_cast<__mmask16>(finite_mask(v) & lanes & ~is_zero);
    zeros += ones(is_zero);
    const __m512 floored = _mm512_roundscale_ps(_mm512_mul_ps(v, scale), (_MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
    __m512i bin = _mm512_sub_epi32(_mm512_cvtps_epi32(floored), first);
    // A negative value whose product underflows to 0 belongs to bin -1.
    const __mmask16 lost = static_cast<__mmask16>(_mm512_cmp_ps_mask(v, zero, _CMP_LT_OQ) & _mm512_cmp_ps_mask(floored, zero, _CMP_EQ_OQ));
    bin = _mm512_mask_sub_epi32(bin, lost, bin, one);
    _mm512_storeu_si512(index + held, _mm512_maskz_compress_epi32(counted, bin));
    held += ones(counted);
    if (held <= kBuffer - kLanes && i + kLanes < n) continue;
    count(index, held);
    held = 0;
  }
  return zeros;
}

constexpr size_t kMaxTableBins = 2048;
constexpr size_t kTables = 4;

void histogram(size_t n, const float* x, float scale, int32_t first, size_t bins, uint64_t* counts) {
  uint64_t zeros = 0;
  if (bins > kMaxTableBins || n < bins) {
    zeros = pack_bins(n, x, scale, first, [&](const uint32_t* index, size_t held) {
      for (size_t j = 0; j < held; ++j) ++counts[index[j]];
    });
  } else {
    // Small values share few bins: in one table, each would wait for the store of the one before.
    static_assert(kTables == 4, "the unrolled stores below");
    uint32_t tables[kTables][kMaxTableBins];
    while (n > 0) {
      const size_t part = smaller(n, size_t{1} << 30);  // a 32-bit count cannot overflow
      for (size_t t = 0; t < kTables; ++t) std::memset(tables[t], 0, bins * sizeof(uint32_t));
      zeros += pack_bins(part, x, scale, first, [&](const uint32_t* index, size_t held) {
        size_t j = 0;
        for (; j + 4 <= held; j += 4) {
          ++tables[0][index[j]];
          ++tables[1][index[j + 1]];
          ++tables[2][index[j + 2]];
          ++tables[3][index[j + 3]];
        }
        for (; j < held; ++j) ++tables[0][index[j]];
      });
      for (size_t b = 0; b < bins; ++b) counts[b] += uint64_t{tables[0][b]} + tables[1][b] + tables[2][b] + tables[3][b];
      x += part;
      n -= part;
    }
  }
  if (zeros != 0) counts[-first] += zeros;
}

}  // namespace

const StatsF32Variant stats_f32__avx512_x16 = {"stats_f32__avx512_x16", Isa::avx512, moments, histogram};

}  // namespace cec
