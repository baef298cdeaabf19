// 8-bit activations to s16 with the zero point taken off: exact, as x - zp lies in -255..255. Nothing beyond n is read or written.
template <bool Signed>
inline void widen_of(const uint8_t* source, int32_t zp, size_t n, int16_t* dst) {
  const __m256i zero_point = _mm256_set1_epi16(static_cast<int16_t>(zp));
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i));
    const __m256i x = Signed ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + i), _mm256_sub_epi16(x, zero_point));
  }
  const size_t left = n - i;
  if (left == 0) return;
  const auto eight = [&](size_t at) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(source + at));
    const __m128i x = Signed ? _mm_cvtepi8_epi16(bytes) : _mm_cvtepu8_epi16(bytes);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + at), _mm_sub_epi16(x, _mm256_castsi256_si128(zero_point)));
  };
  // The end is reached by a step back: elements done twice come out the same.
  if (left > 8) eight(i);
  if (n >= 8) {
    eight(n - 8);
    return;
  }
  for (; i < n; ++i) {
    const int32_t x = Signed ? static_cast<int32_t>(static_cast<int8_t>(source[i])) : static_cast<int32_t>(source[i]);
    dst[i] = static_cast<int16_t>(x - zp);
  }
}

inline void widen_minus_zero_point(const uint8_t* source, Q8 type, int32_t zp, size_t n, int16_t* dst) {
  if (type == Q8::u8) widen_of<false>(source, zp, n, dst);
  else widen_of<true>(source, zp, n, dst);
}
