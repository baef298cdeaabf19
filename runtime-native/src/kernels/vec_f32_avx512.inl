// f32 vector operations for the shared tile code, AVX-512. Included inside an unnamed namespace.
struct Vec {
  using Reg = __m512;
  using Mask = __mmask16;
  static constexpr size_t kWidth = 16;
  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg set1(float v) { return _mm512_set1_ps(v); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Reg v) { _mm512_storeu_ps(p, v); }
  static Reg broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  // Both give their second operand if one is NaN, so NaN passes.
  static Reg clamp(Reg v, Reg lo, Reg hi) { return _mm512_min_ps(hi, _mm512_max_ps(lo, v)); }
  // The first `count` lanes, 1..16.
  static Mask mask(size_t count) { return static_cast<Mask>((1u << count) - 1u); }
  static Reg mask_load(const float* p, Mask m) { return _mm512_maskz_loadu_ps(m, p); }
  static void mask_store(float* p, Mask m, Reg v) { _mm512_mask_storeu_ps(p, m, v); }

  // What math_f32.inl needs beside these.
  using Int = __m512i;
  using Test = __mmask16;
  // `count` >= 16 means all; other lanes are `rest`.
  static Reg load_part(const float* p, size_t count, float rest) {
    if (count >= kWidth) return load(p);
    const Mask m = mask(count);
    return _mm512_mask_blend_ps(m, set1(rest), _mm512_maskz_loadu_ps(m, p));
  }
  static void store_part(float* p, size_t count, Reg v) {
    if (count >= kWidth) store(p, v);
    else _mm512_mask_storeu_ps(p, mask(count), v);
  }
  static Reg first(size_t count, Reg v) { return count >= kWidth ? v : _mm512_mask_blend_ps(mask(count), zero(), v); }
  static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg div(Reg a, Reg b) { return _mm512_div_ps(a, b); }
  static Reg fnma(Reg a, Reg b, Reg c) { return _mm512_fnmadd_ps(a, b, c); }
  static Reg sqrt(Reg v) { return _mm512_sqrt_ps(v); }
  static Reg floor(Reg v) { return _mm512_roundscale_ps(v, (_MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)); }
  static Reg ceil(Reg v) { return _mm512_roundscale_ps(v, (_MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC)); }
  static Reg round(Reg v) { return _mm512_roundscale_ps(v, (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)); }
  static Test lt(Reg a, Reg b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static Test eq(Reg a, Reg b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  static Reg select(Test t, Reg yes, Reg no) { return _mm512_mask_blend_ps(t, no, yes); }
  static Reg at_least(Reg lo, Reg v) { return _mm512_max_ps(lo, v); }
  static Reg at_most(Reg hi, Reg v) { return _mm512_min_ps(hi, v); }
  static Int bits(Reg v) { return _mm512_castps_si512(v); }
  static Reg from_bits(Int b) { return _mm512_castsi512_ps(b); }
  static Int int1(int32_t v) { return _mm512_set1_epi32(v); }
  static Int int_add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int int_sub(Int a, Int b) { return _mm512_sub_epi32(a, b); }
  static Int int_and(Int a, Int b) { return _mm512_and_si512(a, b); }
  static Int int_or(Int a, Int b) { return _mm512_or_si512(a, b); }
  static Int int_xor(Int a, Int b) { return _mm512_xor_si512(a, b); }
  template <int N>
  static Int shift_left(Int a) { return _mm512_slli_epi32(a, N); }
  template <int N>
  static Int shift_right(Int a) { return _mm512_srai_epi32(a, N); }
};
