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

  // What math_f32.inl needs beside these.
  using Int = __m256i;
  using Test = __m256;
  // `count` >= 8 means all; other lanes are `rest`.
  static Reg load_part(const float* p, size_t count, float rest) {
    if (count >= kWidth) return load(p);
    const Mask m = mask(count);
    return _mm256_blendv_ps(set1(rest), _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m));
  }
  static void store_part(float* p, size_t count, Reg v) {
    if (count >= kWidth) store(p, v);
    else _mm256_maskstore_ps(p, mask(count), v);
  }
  static Reg first(size_t count, Reg v) { return count >= kWidth ? v : _mm256_and_ps(v, _mm256_castsi256_ps(mask(count))); }
  static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm256_div_ps(a, b); }
  static Reg fnma(Reg a, Reg b, Reg c) { return _mm256_fnmadd_ps(a, b, c); }
  static Reg sqrt(Reg v) { return _mm256_sqrt_ps(v); }
  static Reg floor(Reg v) { return _mm256_floor_ps(v); }
  static Reg ceil(Reg v) { return _mm256_ceil_ps(v); }
  static Reg round(Reg v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static Test lt(Reg a, Reg b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static Test eq(Reg a, Reg b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
  static Reg select(Test t, Reg yes, Reg no) { return _mm256_blendv_ps(no, yes, t); }
  static Reg at_least(Reg lo, Reg v) { return _mm256_max_ps(lo, v); }
  static Reg at_most(Reg hi, Reg v) { return _mm256_min_ps(hi, v); }
  static Int bits(Reg v) { return _mm256_castps_si256(v); }
  static Reg from_bits(Int b) { return _mm256_castsi256_ps(b); }
  static Int int1(int32_t v) { return _mm256_set1_epi32(v); }
  static Int int_add(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int int_sub(Int a, Int b) { return _mm256_sub_epi32(a, b); }
  static Int int_and(Int a, Int b) { return _mm256_and_si256(a, b); }
  static Int int_or(Int a, Int b) { return _mm256_or_si256(a, b); }
  static Int int_xor(Int a, Int b) { return _mm256_xor_si256(a, b); }
  template <int N>
  static Int shift_left(Int a) { return _mm256_slli_epi32(a, N); }
  template <int N>
  static Int shift_right(Int a) { return _mm256_srai_epi32(a, N); }
};
