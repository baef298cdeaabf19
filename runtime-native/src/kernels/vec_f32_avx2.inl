// f32 vector operations for the shared tile code, AVX2 + FMA. Included inside an unnamed namespace.
struct Vec {
  using Reg = __m256;
  using Mask = __m256i;
  static constexpr size_t kWidth = 8;
  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg set1(float v) { return _mm256_set1_ps(v); }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Reg v) { _mm256_storeu_ps(p, v); }
  static Reg broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  // Both give their second operand if one is NaN, so NaN passes.
  static Reg clamp(Reg v, Reg lo, Reg hi) { return _mm256_min_ps(hi, _mm256_max_ps(lo, v)); }
  // The first `count` lanes, 1..8.
  static Mask mask(size_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Reg mask_load(const float* p, Mask m) { return _mm256_maskload_ps(p, m); }
  static void mask_store(float* p, Mask m, Reg v) { _mm256_maskstore_ps(p, m, v); }
};
