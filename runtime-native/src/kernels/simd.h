// The one place that includes intrinsics, for files of one ISA only. With CEC_EMULATE_AVX512 (a test target, see
// cmake/kernels.cmake) the AVX-512 names come from SIMDe, so that those files run on machines without AVX-512.
#pragma once

#ifdef CEC_EMULATE_AVX512
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
// Not in SIMDe 0.7.4: masked loads and stores of floats, one lane at a time (so that they touch no masked-out memory).
inline simde__m512 cec_emulated_maskz_loadu_ps(simde__mmask16 mask, const float* p) {
  float lanes[16] = {};
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i) & 1) lanes[i] = p[i];
  }
  return simde_mm512_loadu_ps(lanes);
}
inline void cec_emulated_mask_storeu_ps(float* p, simde__mmask16 mask, simde__m512 v) {
  float lanes[16];
  simde_mm512_storeu_ps(lanes, v);
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i) & 1) p[i] = lanes[i];
  }
}
// Nor are these conversions; lanes or eight lanes at a time do the same.
inline simde__m512 cec_emulated_cvtepi32_ps(simde__m512i v) {
  int32_t in[16];
  float out[16];
  simde_mm512_storeu_si512(in, v);
  for (int i = 0; i < 16; i += 8) {
    simde_mm256_storeu_ps(out + i, simde_mm256_cvtepi32_ps(simde_mm256_loadu_si256(reinterpret_cast<const simde__m256i*>(in + i))));
  }
  return simde_mm512_loadu_ps(out);
}
inline simde__m512i cec_emulated_cvtps_epi32(simde__m512 v) {
  float in[16];
  int32_t out[16];
  simde_mm512_storeu_ps(in, v);
  for (int i = 0; i < 16; i += 8) {
    simde_mm256_storeu_si256(reinterpret_cast<simde__m256i*>(out + i), simde_mm256_cvtps_epi32(simde_mm256_loadu_ps(in + i)));
  }
  return simde_mm512_loadu_si512(out);
}
inline simde__m512i cec_emulated_cvtepu8_epi32(simde__m128i v) {
  int32_t out[16];
  uint8_t in[16];
  simde_mm_storeu_si128(reinterpret_cast<simde__m128i*>(in), v);
  for (int i = 0; i < 16; ++i) out[i] = in[i];
  return simde_mm512_loadu_si512(out);
}
inline simde__m512i cec_emulated_cvtepi8_epi32(simde__m128i v) {
  int32_t out[16];
  int8_t in[16];
  simde_mm_storeu_si128(reinterpret_cast<simde__m128i*>(in), v);
  for (int i = 0; i < 16; ++i) out[i] = in[i];
  return simde_mm512_loadu_si512(out);
}
inline simde__m512d cec_emulated_cvtps_pd(simde__m256 v) {
  float in[8];
  double out[8];
  simde_mm256_storeu_ps(in, v);
  for (int i = 0; i < 8; ++i) out[i] = static_cast<double>(in[i]);
  return simde_mm512_loadu_pd(out);
}
inline simde__m512i cec_emulated_srai_epi32(simde__m512i v, unsigned count) {
  int32_t lanes[16];
  simde_mm512_storeu_si512(lanes, v);
  for (int32_t& lane : lanes) lane >>= count;
  return simde_mm512_loadu_si512(lanes);
}
#define _mm512_cvtps_pd cec_emulated_cvtps_pd
#define _mm512_srai_epi32 cec_emulated_srai_epi32
// Its alias for this one takes a wrong number of arguments.
#undef _mm512_madd_epi16
#define _mm512_madd_epi16 simde_mm512_madd_epi16
#define _mm512_cvtepi32_ps cec_emulated_cvtepi32_ps
#define _mm512_cvtepu8_epi32 cec_emulated_cvtepu8_epi32
#define _mm512_cvtepi8_epi32 cec_emulated_cvtepi8_epi32
#define _mm512_cvtps_epi32 cec_emulated_cvtps_epi32
#define _mm512_maskz_loadu_ps cec_emulated_maskz_loadu_ps
#define _mm512_mask_storeu_ps cec_emulated_mask_storeu_ps
#else
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

// Helpers of ISA files live in unnamed namespaces and use no templates of the standard library: an inline function that is
// emitted there with AVX code could be the copy that the linker keeps for all other files.
namespace cec {
namespace {

constexpr size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }
constexpr size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/// Rows that a tile of up to `tile` rows takes of `left`: no small remainder after a high tile, as its multiplications would not hide the loads of the weights.
constexpr size_t rows_of_tile(size_t left, size_t tile) { return tile > 8 && left > tile && left < tile + 4 ? 8 : smaller(left, tile); }

/// Asks for a line to be brought into the second-level cache. Any address will do.
inline __attribute__((always_inline)) void prefetch_l2(const void* p) { __builtin_prefetch(p, 0, 2); }
/// Asks for the lines of [p, p + bytes) to be written soon.
inline __attribute__((always_inline)) void prefetch_to_write(const void* p, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(static_cast<const char*>(p) + i, 1, 3);
}

}  // namespace
}  // namespace cec
