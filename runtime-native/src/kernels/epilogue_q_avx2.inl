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

// 16 columns of `rows` rows to 8 bits: scratch[r * scratch_stride + j] + add[j], j < 16, for columns [column, column + 16) of the
// output row at c + r * row_bytes. The same values as finish_run gives, in fewer steps: s32 and s16 saturation stand in for the
// lower clamp, and NaN cannot occur as the multipliers are finite (see all_finite).
template <bool Unsigned>
inline void finish_narrow(const EpilogueQ& e, size_t column, size_t rows, const int32_t* scratch, size_t scratch_stride, const int32_t* add,
                          uint8_t* c, size_t row_bytes) {
  const __m256 m0 = _mm256_loadu_ps(e.multiplier + column), m1 = _mm256_loadu_ps(e.multiplier + column + 8);
  const __m256i add0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(add));
  const __m256i add1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(add + 8));
  // Above this all results are q_max; without it, vcvtps2dq would turn large positive values into the lowest integer.
  const __m256 most = _mm256_set1_ps(65536.0f);
  const __m256i zp = _mm256_set1_epi16(static_cast<int16_t>(e.y_zp));
  const __m256i q_min = _mm256_set1_epi8(static_cast<char>(e.q_min)), q_max = _mm256_set1_epi8(static_cast<char>(e.q_max));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const auto quantized = [&](const int32_t* p, __m256i offset, __m256 multiplier) {
    const __m256i sum = _mm256_add_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), offset);
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier), most));
  };
  const auto words = [&](size_t r) {
    const int32_t* p = scratch + r * scratch_stride;
    return _mm256_adds_epi16(_mm256_packs_epi32(quantized(p, add0, m0), quantized(p + 8, add1, m1)), zp);
  };
  for (size_t r = 0; r < rows; r += 2) {
    const __m256i a = words(r), b = r + 1 < rows ? words(r + 1) : a;
    __m256i v;
    if (Unsigned) v = _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(a, b), q_min), q_max);
    else v = _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(a, b), q_min), q_max);
    v = _mm256_permutevar8x32_epi32(v, order);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(c + r * row_bytes), _mm256_castsi256_si128(v));
    if (r + 1 < rows) _mm_storeu_si128(reinterpret_cast<__m128i*>(c + (r + 1) * row_bytes), _mm256_extracti128_si256(v, 1));
  }
}

// What is known of n multipliers. Below one, no product of an s32 leaves the s32 range.
enum class Multipliers : uint8_t { any, finite, below_one };
inline Multipliers classify(const float* multiplier, size_t n) {
  bool finite = true, below_one = true;
  for (size_t j = 0; j < n; ++j) {
    finite &= multiplier[j] - multiplier[j] == 0.0f;
    below_one &= multiplier[j] < 1.0f && multiplier[j] > -1.0f;
  }
  return !finite ? Multipliers::any : below_one ? Multipliers::below_one : Multipliers::finite;
}
inline bool all_finite(const float* multiplier, size_t n) { return classify(multiplier, n) != Multipliers::any; }

// Finishes `rows` rows x `count` columns that lie in scratch, c being the address of the first. Where the columns are whole
// vectors of 16 and `finite`, by finish_narrow.
inline void finish_rows(const EpilogueQ& e, const EpilogueRegs& r, bool finite, size_t column, size_t count, size_t rows,
                        const int32_t* scratch, size_t scratch_stride, const int32_t* add, uint8_t* c, size_t row_bytes) {
  const bool narrow = e.out == QOut::u8 || e.out == QOut::s8;
  size_t j = 0;
  if (narrow && finite) {
    for (; j + 16 <= count; j += 16) {
      if (e.out == QOut::u8) finish_narrow<true>(e, column + j, rows, scratch + j, scratch_stride, add + j, c + j, row_bytes);
      else finish_narrow<false>(e, column + j, rows, scratch + j, scratch_stride, add + j, c + j, row_bytes);
    }
  }
  if (j == count) return;
  const size_t bytes = narrow ? 1 : 4;
  for (size_t i = 0; i < rows; ++i) {
    finish_run(e, r, column + j, count - j, scratch + i * scratch_stride + j, add + j, c + i * row_bytes + j * bytes);
  }
}

// What a register tile needs to end without going through memory. s8 results are made as u8 and moved down by 128.
struct NarrowTile {
  uint8_t bytes = 0;                  // of a result, 1 or, for s32, 4; 0: the tile goes to scratch
  const float* multiplier = nullptr;  // of the tile's columns
  const int32_t* add = nullptr;       // what integer sums begin with
  bool bounded = false;               // no sum times its multiplier leaves the s32 range
  uint8_t* c = nullptr;
  size_t row_bytes = 0;
  int16_t zp = 0;
  uint8_t q_min = 0, q_max = 0, flip = 0;
};

inline NarrowTile narrow_tile(const EpilogueQ& e, Multipliers multipliers = Multipliers::finite) {
  NarrowTile t;
  t.bounded = multipliers == Multipliers::below_one;
  const int32_t up = e.out == QOut::s8 ? 128 : 0;
  t.zp = static_cast<int16_t>(e.y_zp + up);
  t.q_min = static_cast<uint8_t>(e.q_min + up);
  t.q_max = static_cast<uint8_t>(e.q_max + up);
  t.flip = static_cast<uint8_t>(up);
  return t;
}

// MR rows of 16 columns of sums that hold t.add, in the steps of finish_narrow.
template <int MR, bool Bounded>
inline __attribute__((always_inline)) void finish_tile_of(const __m256i (&acc)[MR][2], const NarrowTile& t) {
  const __m256 m0 = _mm256_loadu_ps(t.multiplier), m1 = _mm256_loadu_ps(t.multiplier + 8);
  const __m256 most = _mm256_set1_ps(65536.0f);
  const __m256i zp = _mm256_set1_epi16(t.zp), flip = _mm256_set1_epi8(static_cast<char>(t.flip));
  const __m256i q_min = _mm256_set1_epi8(static_cast<char>(t.q_min)), q_max = _mm256_set1_epi8(static_cast<char>(t.q_max));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const auto quantized = [&](__m256i sum, __m256 m) {
    const __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), m);
    return _mm256_cvtps_epi32(Bounded ? y : _mm256_min_ps(y, most));
  };
  const auto words = [&](int r) { return _mm256_adds_epi16(_mm256_packs_epi32(quantized(acc[r][0], m0), quantized(acc[r][1], m1)), zp); };
#pragma GCC unroll 16
  for (int r = 0; r < MR; r += 2) {
    const __m256i a = words(r), b = r + 1 < MR ? words(r + 1) : a;
    __m256i v = _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(a, b), q_min), q_max);
    v = _mm256_permutevar8x32_epi32(_mm256_xor_si256(v, flip), order);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(t.c + static_cast<size_t>(r) * t.row_bytes), _mm256_castsi256_si128(v));
    if (r + 1 < MR) _mm_storeu_si128(reinterpret_cast<__m128i*>(t.c + static_cast<size_t>(r + 1) * t.row_bytes), _mm256_extracti128_si256(v, 1));
  }
}
template <int MR>
inline __attribute__((always_inline)) void finish_tile(const __m256i (&acc)[MR][2], const NarrowTile& t) {
  t.bounded ? finish_tile_of<MR, true>(acc, t) : finish_tile_of<MR, false>(acc, t);
}

// The same from sums that are integers held exactly in f32, with nothing to add.
template <int MR>
inline __attribute__((always_inline)) void finish_floats(const __m256 (&acc)[MR][2], const NarrowTile& t) {
  const __m256 m0 = _mm256_loadu_ps(t.multiplier), m1 = _mm256_loadu_ps(t.multiplier + 8), most = _mm256_set1_ps(65536.0f);
  const __m256i zp = _mm256_set1_epi16(t.zp), flip = _mm256_set1_epi8(static_cast<char>(t.flip));
  const __m256i q_min = _mm256_set1_epi8(static_cast<char>(t.q_min)), q_max = _mm256_set1_epi8(static_cast<char>(t.q_max));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const auto quantized = [&](__m256 sum, __m256 m) { return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_mul_ps(sum, m), most)); };
  const auto words = [&](int r) { return _mm256_adds_epi16(_mm256_packs_epi32(quantized(acc[r][0], m0), quantized(acc[r][1], m1)), zp); };
#pragma GCC unroll 4
  for (int r = 0; r < MR; r += 2) {
    const __m256i a = words(r), b = r + 1 < MR ? words(r + 1) : a;
    __m256i v = _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(a, b), q_min), q_max);
    v = _mm256_permutevar8x32_epi32(_mm256_xor_si256(v, flip), order);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(t.c + static_cast<size_t>(r) * t.row_bytes), _mm256_castsi256_si128(v));
    if (r + 1 < MR) _mm_storeu_si128(reinterpret_cast<__m128i*>(t.c + static_cast<size_t>(r + 1) * t.row_bytes), _mm256_extracti128_si256(v, 1));
  }
}
