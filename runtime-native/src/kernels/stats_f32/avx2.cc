// AVX2, 8 lanes; sums in double. Histogram: indices by vector, counts in four tables so that equal neighbours do not wait for
// each other's stores.
#include "../simd.h"
#include "stats_f32.h"

namespace cec {
namespace {

inline __m256 finite_mask(__m256 v) {
  const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
  return _mm256_cmp_ps(magnitude, _mm256_set1_ps(kInfinity), _CMP_LT_OQ);
}

void count_non_finite(const float* x, size_t n, MomentsF32* io) {
  for (size_t i = 0; i < n; ++i) {
    if (x[i] != x[i]) ++io->nan_count;
    else if (x[i] - x[i] != 0.0f) ++io->inf_count;
  }
}

void moments(size_t n, const float* x, MomentsF32* io) {
  __m256 least = _mm256_set1_ps(io->min), most = _mm256_set1_ps(io->max);
  __m256d sum[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()}, squares[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  uint64_t finite = 0;
  for (size_t i = 0; i < n; i += 8) {
    const size_t count = smaller(8, n - i);
    __m256 v, mask;
    if (count == 8) {
      v = _mm256_loadu_ps(x + i);
      mask = finite_mask(v);
    } else {
      const __m256i lanes =
          _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
      v = _mm256_maskload_ps(x + i, lanes);
      mask = _mm256_and_ps(finite_mask(v), _mm256_castsi256_ps(lanes));
    }
    const int bits = _mm256_movemask_ps(mask);
    if (bits == 0xff) {
      finite += 8;
    } else {
      finite += static_cast<uint64_t>(_mm_popcnt_u32(static_cast<unsigned>(bits)));
      count_non_finite(x + i, count, io);
    }
    least = _mm256_min_ps(_mm256_blendv_ps(least, v, mask), least);
    most = _mm256_max_ps(_mm256_blendv_ps(most, v, mask), most);
    v = _mm256_and_ps(v, mask);
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(v)), high = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
    sum[0] = _mm256_add_pd(sum[0], low);
    sum[1] = _mm256_add_pd(sum[1], high);
    squares[0] = _mm256_fmadd_pd(low, low, squares[0]);
    squares[1] = _mm256_fmadd_pd(high, high, squares[1]);
  }
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, least);
  for (const float v : lanes) io->min = v < io->min ? v : io->min;
  _mm256_store_ps(lanes, most);
  for (const float v : lanes) io->max = v > io->max ? v : io->max;
  alignas(32) double parts[4];
  _mm256_store_pd(parts, _mm256_add_pd(sum[0], sum[1]));
  io->sum += (parts[0] + parts[1]) + (parts[2] + parts[3]);
  _mm256_store_pd(parts, _mm256_add_pd(squares[0], squares[1]));
  io->sum_squares += (parts[0] + parts[1]) + (parts[2] + parts[3]);
  io->count += finite;
}

constexpr size_t kMaxTableBins = 2048;
constexpr size_t kTables = 4;

void histogram(size_t n, const float* x, float scale_value, int32_t first_bin, size_t bins, uint64_t* counts) {
  const __m256 scale = _mm256_set1_ps(scale_value);
  const __m256i first = _mm256_set1_epi32(first_bin), none = _mm256_set1_epi32(static_cast<int>(bins));
  // Bins of 8 elements; `bins`, one past the end, for those that are not finite.
  const auto bins_of = [&](__m256 v) {
    const __m256 floored = _mm256_floor_ps(_mm256_mul_ps(v, scale));
    // A negative value whose product underflows to 0 belongs to bin -1: the comparison's all-ones mask is that -1.
    const __m256 zero = _mm256_setzero_ps();
    const __m256 lost = _mm256_and_ps(_mm256_cmp_ps(v, zero, _CMP_LT_OQ), _mm256_cmp_ps(floored, zero, _CMP_EQ_OQ));
    const __m256i index = _mm256_sub_epi32(_mm256_add_epi32(_mm256_cvttps_epi32(floored), _mm256_castps_si256(lost)), first);
    return _mm256_blendv_epi8(none, index, _mm256_castps_si256(finite_mask(v)));
  };
  alignas(32) uint32_t index[8];
  if (bins <= kMaxTableBins && n >= bins) {
    static_assert(kTables == 4, "the unrolled stores below");
    uint32_t tables[kTables][kMaxTableBins + 1];
    while (n > 0) {
      const size_t part = smaller(n, size_t{1} << 30);  // a 32-bit count cannot overflow
      for (size_t t = 0; t < kTables; ++t) std::memset(tables[t], 0, (bins + 1) * sizeof(uint32_t));
      size_t i = 0;
      for (; i + 8 <= part; i += 8) {
        _mm256_store_si256(reinterpret_cast<__m256i*>(index), bins_of(_mm256_loadu_ps(x + i)));
        ++tables[0][index[0]];
        ++tables[1][index[1]];
        ++tables[2][index[2]];
        ++tables[3][index[3]];
        ++tables[0][index[4]];
        ++tables[1][index[5]];
        ++tables[2][index[6]];
        ++tables[3][index[7]];
      }
      if (i < part) {
        float rest[8] = {};
        std::memcpy(rest, x + i, (part - i) * sizeof(float));
        _mm256_store_si256(reinterpret_cast<__m256i*>(index), bins_of(_mm256_loadu_ps(rest)));
        for (size_t j = 0; j < part - i; ++j) ++tables[0][index[j]];
      }
      for (size_t b = 0; b < bins; ++b) {
        counts[b] += uint64_t{tables[0][b]} + tables[1][b] + tables[2][b] + tables[3][b];
      }
      x += part;
      n -= part;
    }
    return;
  }
  for (size_t i = 0; i < n; i += 8) {
    const size_t count = smaller(8, n - i);
    float rest[8] = {};
    if (count < 8) std::memcpy(rest, x + i, count * sizeof(float));
    _mm256_store_si256(reinterpret_cast<__m256i*>(index), bins_of(_mm256_loadu_ps(count < 8 ? rest : x + i)));
    for (size_t j = 0; j < count; ++j) {
      if (index[j] < bins) ++counts[index[j]];
    }
  }
}

}  // namespace

const StatsF32Variant stats_f32__avx2_x8 = {"stats_f32__avx2_x8", Isa::avx2, moments, histogram};

}  // namespace cec
