// Pairs of bfloat16 in 32-bit words, the element of the lower depth in the lower half. Included by each variant inside its unnamed namespace.

// Round to nearest even; subnormals to zero of their sign, NaN to a quiet NaN (as vcvtneps2bf16).
inline uint32_t bf16_bits(float v) {
  uint32_t bits;
  memcpy(&bits, &v, 4);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude < 0x00800000u) return (bits & 0x80000000u) >> 16;
  if (magnitude > 0x7f800000u) return (bits >> 16) | 0x40u;
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

inline size_t pair_count(size_t k) { return (k + 1) / 2; }

// Panels of `panel` columns, each [pairs][width], as gemm_f32's with pairs in place of floats.
inline size_t packed_pairs(size_t n, size_t k, size_t panel, size_t vector) {
  const size_t full = n / panel * panel;
  const size_t columns = full + (n - full + vector - 1) / vector * vector;
  return (columns * pair_count(k) + 15) / 16 * 16;
}

inline void pack_pairs(size_t n, size_t k, const float* w, size_t stride_n, size_t stride_k, size_t panel, size_t vector, void* packed) {
  uint32_t* dst = static_cast<uint32_t*>(packed);
  uint32_t* const end = dst + packed_pairs(n, k, panel, vector);
  for (size_t j = 0; j < n; j += panel) {
    const size_t columns = n - j < panel ? n - j : panel;
    const size_t width = columns == panel ? panel : (columns + vector - 1) / vector * vector;
    for (size_t p = 0; p < pair_count(k); ++p, dst += width) {
      for (size_t i = 0; i < width; ++i) {
        dst[i] = 0;
        if (i >= columns) continue;
        const float* at = w + (j + i) * stride_n + 2 * p * stride_k;
        dst[i] = bf16_bits(*at) | (2 * p + 1 < k ? bf16_bits(at[stride_k]) << 16 : 0);
      }
    }
  }
  while (dst < end) *dst++ = 0;
}

// Pairs [from, to) of one row of `k` floats that `element(index)` reads.
template <class Element>
inline void convert_row(const Element& element, size_t k, size_t from, size_t to, uint32_t* out) {
  for (size_t p = from; p < to; ++p) *out++ = bf16_bits(element(2 * p)) | (2 * p + 1 < k ? bf16_bits(element(2 * p + 1)) << 16 : 0);
}
