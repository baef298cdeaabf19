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
};
