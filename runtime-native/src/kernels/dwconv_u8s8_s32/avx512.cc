// AVX-512: through f32 (rows.inl), 32 or 16 channels at a time; what that does not take is left to the AVX2 variant, whose packed weights these are.
#include "../simd.h"
#include "dwconv_u8s8_s32.h"

namespace cec {
namespace {

#include "../epilogue_q_avx2.inl"
#include "../epilogue_q_avx512.inl"
#include "layout.inl"

struct Vec {
  using Reg = __m512;
  static constexpr size_t kWidth = 16;
  static constexpr int kLeast = 1;
  static constexpr size_t kMostStride = 5;
  static Reg set1(float v) { return _mm512_set1_ps(v); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Reg v) { _mm512_storeu_ps(p, v); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  template <bool Signed>
  static Reg widen(const uint8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_cvtepi32_ps(Signed ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes));
  }
  template <int P, int NV>
  static __attribute__((always_inline)) void finish(const Reg (&acc)[P][NV], const NarrowTile& t) {
    finish_floats_512<P, NV>(acc, t);
  }
};

#include "rows.inl"

void dwconv(const DwconvQArgs& a, size_t m0, size_t m1) {
  const size_t n = a.taps.channels;
  if (n % Vec::kWidth == 0 && through_f32<Vec, 2>(a, row_weights(a.packed_w, n, a.taps.taps), m0, m1) >= n) return;
  dwconv_u8s8_s32__avx2_1x16.dwconv(a, m0, m1);
}

size_t packed_bytes(size_t channels, size_t taps) { return dwconv_u8s8_s32__avx2_1x16.packed_bytes(channels, taps); }
void pack(size_t channels, size_t taps, const int8_t* w, void* dst) { dwconv_u8s8_s32__avx2_1x16.pack(channels, taps, w, dst); }

}  // namespace

const DwconvQVariant dwconv_u8s8_s32__avx512_4x32 = {"dwconv_u8s8_s32__avx512_4x32", Isa::avx512, packed_bytes, pack, dwconv};

}  // namespace cec
