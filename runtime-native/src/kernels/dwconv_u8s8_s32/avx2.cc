// AVX2. Through f32 (rows.inl) where that is exact; else 16 channels at a time, two taps a step: the taps' activations are interleaved as s16 and
// vpmaddwd adds both products.
#include "../simd.h"
#include "dwconv_u8s8_s32.h"

namespace cec {
namespace {

#include "../epilogue_q_avx2.inl"

constexpr size_t kPixels = 8;   // that share a block's weights while these are in the first-level cache
constexpr size_t kMaxTaps = 128;

struct Vec {
  using Reg = __m256;
  static constexpr size_t kWidth = 8;
  static constexpr int kLeast = 2;  // vectors that `finish` takes
  static constexpr size_t kMostStride = 4;
  static Reg set1(float v) { return _mm256_set1_ps(v); }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Reg v) { _mm256_store_ps(p, v); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  template <bool Signed>
  static Reg widen(const uint8_t* p) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return _mm256_cvtepi32_ps(Signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes));
  }
  template <int P, int NV>
  static __attribute__((always_inline)) void finish(const Reg (&acc)[P][NV], const NarrowTile& t) {
    static_assert(NV == 2, "two vectors fill 16 bytes");
    finish_floats<P>(acc, t);
  }
};

#include "layout.inl"
#include "rows.inl"

size_t packed_bytes(size_t channels, size_t taps) {
  return integer_bytes(channels, taps) + sums_bytes(channels) + round_up(channels, kBlock) * taps * sizeof(float);
}


void pack(size_t channels, size_t taps, const int8_t* w, void* dst) {
  std::memset(dst, 0, packed_bytes(channels, taps));
  int32_t* sums = static_cast<int32_t*>(dst);
  int16_t* words = reinterpret_cast<int16_t*>(static_cast<uint8_t*>(dst) + sums_bytes(channels));
  for (size_t c = 0; c < channels; ++c) {
    int32_t sum = 0;
    const size_t lane = c % kBlock;
    // Channel 4q + r of a block lies in half q % 2, at pair q / 2 * 4 + r.
    const size_t pair = (lane / 4 % 2) * 8 + lane / 8 * 4 + lane % 4;
    for (size_t t = 0; t < taps; ++t) {
      sum += w[c * taps + t];
      words[c / kBlock * block_words(taps) + t / 2 * 2 * kBlock + pair * 2 + t % 2] = w[c * taps + t];
    }
    sums[c] = sum;
  }
  uint8_t* const rows = static_cast<uint8_t*>(dst) + integer_bytes(channels, taps);
  int32_t* const reach = reinterpret_cast<int32_t*>(rows);
  float* const floats = reinterpret_cast<float*>(rows + sums_bytes(channels));
  for (size_t c = 0; c < channels; ++c) {
    int64_t sum = 0;
    for (size_t t = 0; t < taps; ++t) {
      const int32_t value = w[c * taps + t];
      sum += 255 * (value < 0 ? -value : value);
      floats[(c / kBlock * taps + t) * kBlock + c % kBlock] = static_cast<float>(value);
    }
    reach[c] = static_cast<int32_t>(sum < (int64_t{1} << 24) ? sum : int64_t{1} << 24);
  }
}

template <bool Signed>
inline __m256i widen(__m128i x) {
  return Signed ? _mm256_cvtepi8_epi16(x) : _mm256_cvtepu8_epi16(x);
}

inline __m128i load_16(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

// The first `count` of 16 bytes, nothing beyond is read.
inline __m128i load_part(const uint8_t* p, size_t count) {
  if (count == 8) return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  alignas(16) uint8_t bytes[16] = {};
  std::memcpy(bytes, p, count);
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
}

template <bool Signed, bool Part, class Address>
inline __attribute__((always_inline)) void block(const Address& address, size_t taps, size_t c, size_t count, const int16_t* w,
                                                 int32_t* scratch) {
  const auto load = [&](const uint8_t* p) { return widen<Signed>(Part ? load_part(p + c, count) : load_16(p + c)); };
  __m256i low = _mm256_setzero_si256(), high = low;
  for (size_t t = 0; t < taps; t += 2) {
    const __m256i x0 = load(address(t));
    const __m256i x1 = t + 1 < taps ? load(address(t + 1)) : _mm256_setzero_si256();
    const __m256i w0 = _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
    const __m256i w1 = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + kBlock));
    low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(x0, x1), w0));
    high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(x0, x1), w1));
    w += 2 * kBlock;
  }
  _mm256_store_si256(reinterpret_cast<__m256i*>(scratch), _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_store_si256(reinterpret_cast<__m256i*>(scratch + 8), _mm256_permute2x128_si256(low, high, 0x31));
}

// Channels from c0 on.
template <bool Signed>
void dwconv_of(const DwconvQArgs& a, size_t m0, size_t m1, size_t c0) {
  const Taps& taps = a.taps;
  const EpilogueQ& e = a.epilogue;
  const EpilogueRegs regs = epilogue_regs(e);
  const size_t bytes = e.out == QOut::u8 || e.out == QOut::s8 ? 1 : 4;
  const size_t n = taps.channels;
  const int32_t* sums = static_cast<const int32_t*>(a.packed_w);
  const int16_t* words = reinterpret_cast<const int16_t*>(static_cast<const uint8_t*>(a.packed_w) + sums_bytes(n));
  const uint8_t* zero = static_cast<const uint8_t*>(a.zero);
  uint8_t* out = static_cast<uint8_t*>(a.c);
  alignas(32) int32_t scratch[kPixels * kBlock];
  const bool finite = e.out != QOut::s32 && all_finite(e.multiplier, n);
  alignas(32) int32_t add[kBlock];
  const uint8_t* table[kPixels][kMaxTaps];
  const bool fits = taps.taps <= kMaxTaps;

  for (size_t m = m0; m < m1; m += kPixels) {
    const size_t pixels = smaller(kPixels, m1 - m);
    const auto find = [&](size_t i, size_t t) {
      const int32_t offset = taps.offsets[(m + i) % taps.pixels * taps.taps + t];
      return offset < 0 ? zero : static_cast<const uint8_t*>(a.base) + (m + i) / taps.pixels * taps.batch_stride + offset;
    };
    if (fits) {
      for (size_t i = 0; i < pixels; ++i) {
        for (size_t t = 0; t < taps.taps; ++t) table[i][t] = find(i, t);
      }
    }
    for (size_t c = c0; c < n; c += kBlock) {
      const size_t count = smaller(kBlock, n - c);
      const int16_t* w = words + c / kBlock * block_words(taps.taps);
      for (size_t j = 0; j < kBlock; ++j) {
        const uint32_t bias = e.bias != nullptr && j < count ? static_cast<uint32_t>(e.bias[c + j]) : 0u;
        add[j] = static_cast<int32_t>(bias - static_cast<uint32_t>(a.a_zp) * static_cast<uint32_t>(sums[c + j]));
      }
      for (size_t i = 0; i < pixels; ++i) {
        if (!fits) block<Signed, true>([&](size_t t) { return find(i, t); }, taps.taps, c, count, w, scratch + i * kBlock);
        else if (count == kBlock) block<Signed, false>([&](size_t t) { return table[i][t]; }, taps.taps, c, count, w, scratch + i * kBlock);
        else block<Signed, true>([&](size_t t) { return table[i][t]; }, taps.taps, c, count, w, scratch + i * kBlock);
      }
      finish_rows(e, regs, finite, c, count, pixels, scratch, kBlock, add, out + (m * a.ldc + c) * bytes, a.ldc * bytes);
    }
  }
}

void dwconv(const DwconvQArgs& a, size_t m0, size_t m1) {
  const size_t c0 = through_f32<Vec, 2>(a, row_weights(a.packed_w, a.taps.channels, a.taps.taps), m0, m1);
  if (c0 >= a.taps.channels) return;
  if (a.a_type == Q8::u8) dwconv_of<false>(a, m0, m1, c0);
  else dwconv_of<true>(a, m0, m1, c0);
}

}  // namespace

const DwconvQVariant dwconv_u8s8_s32__avx2_1x16 = {"dwconv_u8s8_s32__avx2_1x16", Isa::avx2, packed_bytes, pack, dwconv};

}  // namespace cec
