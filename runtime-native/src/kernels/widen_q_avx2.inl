// 8-bit activations to s16 with the zero point taken off: exact, as x - zp lies in -255..255.
inline void widen_minus_zero_point(const uint8_t* source, Q8 type, int32_t zp, size_t n, int16_t* dst) {
  const __m256i zero_point = _mm256_set1_epi16(static_cast<int16_t>(zp));
  const bool is_signed = type == Q8::s8;
  size_t i = 0;
  if (is_signed) {
    for (; i + 16 <= n; i += 16) {
      const __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i)));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + i), _mm256_sub_epi16(x, zero_point));
    }
  } else {
    for (; i + 16 <= n; i += 16) {
      const __m256i x = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i)));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + i), _mm256_sub_epi16(x, zero_point));
    }
  }
  if (i + 8 <= n) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(source + i));
    const __m128i x = is_signed ? _mm_cvtepi8_epi16(bytes) : _mm_cvtepu8_epi16(bytes);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + i), _mm_sub_epi16(x, _mm256_castsi256_si128(zero_point)));
    i += 8;
  }
  for (; i < n; ++i) {
    const int32_t x = is_signed ? static_cast<int32_t>(static_cast<int8_t>(source[i])) : static_cast<int32_t>(source[i]);
    dst[i] = static_cast<int16_t>(x - zp);
  }
}
