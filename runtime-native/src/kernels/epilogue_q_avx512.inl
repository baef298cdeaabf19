// The integer epilogue, AVX-512. Included inside an unnamed namespace of ISA files, after epilogue_q_avx2.inl, which does all but whole vectors.

// As finish_narrow, 16 columns of four rows at a time.
template <bool Unsigned>
inline void finish_narrow_512(const EpilogueQ& e, size_t column, size_t rows, const int32_t* scratch, size_t scratch_stride, const int32_t* add,
                              uint8_t* c, size_t row_bytes) {
  const __m512 multiplier = _mm512_loadu_ps(e.multiplier + column);
  const __m512i offset = _mm512_loadu_si512(add);
  const __m512 most = _mm512_set1_ps(65536.0f);
  const __m512i zp = _mm512_set1_epi16(static_cast<int16_t>(e.y_zp));
  const __m512i q_min = _mm512_set1_epi8(static_cast<char>(e.q_min)), q_max = _mm512_set1_epi8(static_cast<char>(e.q_max));
  // Packing leaves four columns of each row in a lane of 128 bits.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const auto quantized = [&](size_t r) {
    const __m512i sum = _mm512_add_epi32(_mm512_loadu_si512(scratch + r * scratch_stride), offset);
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), multiplier), most));
  };
  for (size_t r = 0; r < rows; r += 4) {
    const size_t left = rows - r;
    const __m512i q0 = quantized(r), q1 = left > 1 ? quantized(r + 1) : q0, q2 = left > 2 ? quantized(r + 2) : q0, q3 = left > 3 ? quantized(r + 3) : q0;
    const __m512i a = _mm512_adds_epi16(_mm512_packs_epi32(q0, q1), zp), b = _mm512_adds_epi16(_mm512_packs_epi32(q2, q3), zp);
    __m512i v;
    if (Unsigned) v = _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(a, b), q_min), q_max);
    else v = _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(a, b), q_min), q_max);
    v = _mm512_permutexvar_epi32(order, v);
    uint8_t* const to = c + r * row_bytes;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_castsi512_si128(v));
    if (left > 1) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + row_bytes), _mm512_extracti32x4_epi32(v, 1));
    if (left > 2) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * row_bytes), _mm512_extracti32x4_epi32(v, 2));
    if (left > 3) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 3 * row_bytes), _mm512_extracti32x4_epi32(v, 3));
  }
}

// Whole vectors of s32.
inline void finish_s32_512(size_t rows, const int32_t* scratch, size_t scratch_stride, const int32_t* add, uint8_t* c, size_t row_bytes) {
  const __m512i offset = _mm512_loadu_si512(add);
  for (size_t r = 0; r < rows; ++r) _mm512_storeu_si512(c + r * row_bytes, _mm512_add_epi32(_mm512_loadu_si512(scratch + r * scratch_stride), offset));
}

inline void finish_rows_512(const EpilogueQ& e, const EpilogueRegs& r, bool finite, size_t column, size_t count, size_t rows, const int32_t* scratch,
                            size_t scratch_stride, const int32_t* add, uint8_t* c, size_t row_bytes) {
  size_t j = 0;
  if (finite && (e.out == QOut::u8 || e.out == QOut::s8)) {
    for (; j + 16 <= count; j += 16) {
      if (e.out == QOut::u8) finish_narrow_512<true>(e, column + j, rows, scratch + j, scratch_stride, add + j, c + j, row_bytes);
      else finish_narrow_512<false>(e, column + j, rows, scratch + j, scratch_stride, add + j, c + j, row_bytes);
    }
    c += j;
  } else if (e.out == QOut::s32) {
    for (; j + 16 <= count; j += 16) finish_s32_512(rows, scratch + j, scratch_stride, add + j, c + j * 4, row_bytes);
    c += j * 4;
  }
  if (j == count) return;
  finish_rows(e, r, finite, column + j, count - j, rows, scratch + j, scratch_stride, add + j, c, row_bytes);
}

// MR rows of 32 columns of sums that hold t.add, as finish_tile for AVX2.
template <int MR, bool Bounded>
inline __attribute__((always_inline)) void finish_tile_of_512(const __m512i (&acc)[MR][2], const NarrowTile& t) {
  const __m512 m0 = _mm512_loadu_ps(t.multiplier), m1 = _mm512_loadu_ps(t.multiplier + 16);
  const __m512 most = _mm512_set1_ps(65536.0f);
  const __m512i zp = _mm512_set1_epi16(t.zp), flip = _mm512_set1_epi8(static_cast<char>(t.flip));
  const __m512i q_min = _mm512_set1_epi8(static_cast<char>(t.q_min)), q_max = _mm512_set1_epi8(static_cast<char>(t.q_max));
  // Packing leaves four columns of each half row in a lane of 128 bits.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const auto quantized = [&](__m512i sum, __m512 m) {
    const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), m);
    return _mm512_cvtps_epi32(Bounded ? y : _mm512_min_ps(y, most));
  };
  const auto words = [&](int r) { return _mm512_adds_epi16(_mm512_packs_epi32(quantized(acc[r][0], m0), quantized(acc[r][1], m1)), zp); };
#pragma GCC unroll 16
  for (int r = 0; r < MR; r += 2) {
    const __m512i a = words(r), b = r + 1 < MR ? words(r + 1) : a;
    __m512i v = _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(a, b), q_min), q_max);
    v = _mm512_permutexvar_epi32(order, _mm512_xor_si512(v, flip));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(t.c + static_cast<size_t>(r) * t.row_bytes), _mm512_castsi512_si256(v));
    if (r + 1 < MR) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(t.c + static_cast<size_t>(r + 1) * t.row_bytes), _mm512_extracti64x4_epi64(v, 1));
    }
  }
}
template <int MR>
inline __attribute__((always_inline)) void finish_tile_512(const __m512i (&acc)[MR][2], const NarrowTile& t) {
  t.bounded ? finish_tile_of_512<MR, true>(acc, t) : finish_tile_of_512<MR, false>(acc, t);
}

// The same from sums that are integers held exactly in f32: rows of 32 columns (NV = 2) or 16 (NV = 1).
template <int MR, int NV>
inline __attribute__((always_inline)) void finish_floats_512(const __m512 (&acc)[MR][NV], const NarrowTile& t) {
  const __m512 most = _mm512_set1_ps(65536.0f);
  const __m512i zp = _mm512_set1_epi16(t.zp), flip = _mm512_set1_epi8(static_cast<char>(t.flip));
  const __m512i q_min = _mm512_set1_epi8(static_cast<char>(t.q_min)), q_max = _mm512_set1_epi8(static_cast<char>(t.q_max));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const auto quantized = [&](__m512 sum, int v) {
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_mul_ps(sum, _mm512_loadu_ps(t.multiplier + 16 * v)), most));
  };
  const auto bytes = [&](__m512i a, __m512i b) {
    const __m512i v = _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(_mm512_adds_epi16(a, zp), _mm512_adds_epi16(b, zp)), q_min), q_max);
    return _mm512_permutexvar_epi32(order, _mm512_xor_si512(v, flip));
  };
  if constexpr (NV == 2) {
#pragma GCC unroll 4
    for (int r = 0; r < MR; r += 2) {
      const int s = r + 1 < MR ? r + 1 : r;
      const __m512i v = bytes(_mm512_packs_epi32(quantized(acc[r][0], 0), quantized(acc[r][1], 1)), _mm512_packs_epi32(quantized(acc[s][0], 0), quantized(acc[s][1], 1)));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(t.c + static_cast<size_t>(r) * t.row_bytes), _mm512_castsi512_si256(v));
      if (s != r) _mm256_storeu_si256(reinterpret_cast<__m256i*>(t.c + static_cast<size_t>(s) * t.row_bytes), _mm512_extracti64x4_epi64(v, 1));
    }
  } else {
    static_assert(MR <= 4, "four rows of 16 bytes fill a vector");
    const auto row = [&](int r) { return quantized(acc[r < MR ? r : 0][0], 0); };
    const __m512i v = bytes(_mm512_packs_epi32(row(0), row(1)), _mm512_packs_epi32(row(2), row(3)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(t.c), _mm512_castsi512_si128(v));
    if (MR > 1) _mm_storeu_si128(reinterpret_cast<__m128i*>(t.c + t.row_bytes), _mm512_extracti32x4_epi32(v, 1));
    if (MR > 2) _mm_storeu_si128(reinterpret_cast<__m128i*>(t.c + 2 * t.row_bytes), _mm512_extracti32x4_epi32(v, 2));
    if (MR > 3) _mm_storeu_si128(reinterpret_cast<__m128i*>(t.c + 3 * t.row_bytes), _mm512_extracti32x4_epi32(v, 3));
  }
}
