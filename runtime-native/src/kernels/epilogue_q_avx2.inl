// The integer epilogue, AVX2, shared by integer GEMM and depthwise convolution. Included inside an unnamed namespace of ISA files.

// The constants of one call, broadcast once.
struct EpilogueRegs {
  __m256 lo, hi;  // of the rounding's input: q_min - y_zp .. q_max - y_zp, or the f32 clamp
  __m256i zp;
};

inline EpilogueRegs epilogue_regs(const EpilogueQ& e) {
  if (e.out == QOut::f32) return {_mm256_set1_ps(e.lo), _mm256_set1_ps(e.hi), _mm256_setzero_si256()};
  return {_mm256_set1_ps(static_cast<float>(e.q_min - e.y_zp)), _mm256_set1_ps(static_cast<float>(e.q_max - e.y_zp)),
          _mm256_set1_epi32(e.y_zp)};
}

// clamp(rne(v), lo, hi) + zp as s32. NaN becomes 0. The bounds are integers, so clamping before rounding is the same.
inline __m256i round_to_q(__m256 v, const EpilogueRegs& r) {
  v = _mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q));
  v = _mm256_min_ps(_mm256_max_ps(v, r.lo), r.hi);
  return _mm256_add_epi32(_mm256_cvtps_epi32(v), r.zp);
}

inline __m256i scale_to_q(__m256i acc, __m256 multiplier, const EpilogueRegs& r) {
  return round_to_q(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), multiplier), r);
}

// Two vectors of s32 that fit the type, as 16 bytes in order.
inline __m128i pack_to_8(__m256i a, __m256i b, QOut out) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
  const __m128i low = _mm256_castsi256_si128(words), high = _mm256_extracti128_si256(words, 1);
  return out == QOut::u8 ? _mm_packus_epi16(low, high) : _mm_packs_epi16(low, high);
}

inline void finish_8(const EpilogueQ& e, const EpilogueRegs& r, size_t column, __m256i acc, void* c) {
  if (e.out == QOut::s32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(c), acc);
    return;
  }
  const __m256 multiplier = _mm256_loadu_ps(e.multiplier + column);
  if (e.out == QOut::f32) {
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), multiplier);
    if (e.bias_f32 != nullptr) v = _mm256_add_ps(v, _mm256_loadu_ps(e.bias_f32 + column));
    _mm256_storeu_ps(static_cast<float*>(c), _mm256_min_ps(r.hi, _mm256_max_ps(r.lo, v)));
    return;
  }
  const __m256i q = scale_to_q(acc, multiplier, r);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(c), pack_to_8(q, q, e.out));
}

// Writes columns [column, column + count) of one row, c being the address of the first. acc and add have room for whole vectors
// of 8; add (bias and zero-point correction) is added mod 2^32.
inline void finish_run(const EpilogueQ& e, const EpilogueRegs& r, size_t column, size_t count, const int32_t* acc, const int32_t* add, void* c) {
  const auto sum = [&](size_t j) {
    return _mm256_add_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(acc + j)),
                            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(add + j)));
  };
  const bool narrow = e.out == QOut::u8 || e.out == QOut::s8;
  const size_t bytes = narrow ? 1 : 4;
  uint8_t* out = static_cast<uint8_t*>(c);
  size_t j = 0;
  if (narrow) {
    for (; j + 16 <= count; j += 16) {
      const __m256i q0 = scale_to_q(sum(j), _mm256_loadu_ps(e.multiplier + column + j), r);
      const __m256i q1 = scale_to_q(sum(j + 8), _mm256_loadu_ps(e.multiplier + column + j + 8), r);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + j), pack_to_8(q0, q1, e.out));
    }
  }
  for (; j + 8 <= count; j += 8) finish_8(e, r, column + j, sum(j), out + j * bytes);
  if (j < count) {
    // The last lanes go through buffers, as parameters and output end here.
    float multiplier[8] = {}, bias[8] = {};
    alignas(32) uint8_t last[32];
    EpilogueQ part = e;
    if (e.multiplier != nullptr) {
      std::memcpy(multiplier, e.multiplier + column + j, (count - j) * sizeof(float));
      part.multiplier = multiplier;
    }
    if (e.bias_f32 != nullptr) {
      std::memcpy(bias, e.bias_f32 + column + j, (count - j) * sizeof(float));
      part.bias_f32 = bias;
    }
    finish_8(part, r, 0, sum(j), last);
    std::memcpy(out + j * bytes, last, (count - j) * bytes);
  }
}
