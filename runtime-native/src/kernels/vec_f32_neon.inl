// f32 vector operations, AArch64 Advanced SIMD: two registers of four lanes as one of eight, for enough independent work and the panel width
// of AVX2. Included inside an unnamed namespace.
struct Vec {
  struct Reg {
    float32x4_t a, b;
  };
  struct Int {
    uint32x4_t a, b;
  };
  using Test = Int;
  using Mask = size_t;
  static constexpr size_t kWidth = 8;
  static Reg zero() { return set1(0.0f); }
  static Reg set1(float v) { return {vdupq_n_f32(v), vdupq_n_f32(v)}; }
  static Reg load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
  static void store(float* p, Reg v) {
    vst1q_f32(p, v.a);
    vst1q_f32(p + 4, v.b);
  }
  static Reg broadcast(const float* p) {
    const float32x4_t v = vld1q_dup_f32(p);
    return {v, v};
  }
  static Reg fma(Reg x, Reg y, Reg z) { return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b)}; }
  static Reg fnma(Reg x, Reg y, Reg z) { return {vfmsq_f32(z.a, x.a, y.a), vfmsq_f32(z.b, x.b, y.b)}; }
  static Reg add(Reg x, Reg y) { return {vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b)}; }
  static Reg sub(Reg x, Reg y) { return {vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b)}; }
  static Reg mul(Reg x, Reg y) { return {vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b)}; }
  static Reg div(Reg x, Reg y) { return {vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b)}; }
  static Reg sqrt(Reg v) { return {vsqrtq_f32(v.a), vsqrtq_f32(v.b)}; }
  static Reg floor(Reg v) { return {vrndmq_f32(v.a), vrndmq_f32(v.b)}; }
  static Reg ceil(Reg v) { return {vrndpq_f32(v.a), vrndpq_f32(v.b)}; }
  static Reg round(Reg v) { return {vrndnq_f32(v.a), vrndnq_f32(v.b)}; }
  static Test lt(Reg x, Reg y) { return {vcltq_f32(x.a, y.a), vcltq_f32(x.b, y.b)}; }
  static Test eq(Reg x, Reg y) { return {vceqq_f32(x.a, y.a), vceqq_f32(x.b, y.b)}; }
  static Reg select(Test t, Reg yes, Reg no) { return {vbslq_f32(t.a, yes.a, no.a), vbslq_f32(t.b, yes.b, no.b)}; }
  // By comparison, not fmax: NaN in v passes, and of zeros of both signs v stays, as on the other ISAs.
  static Reg at_least(Reg lo, Reg v) { return select(lt(v, lo), lo, v); }
  static Reg at_most(Reg hi, Reg v) { return select(lt(hi, v), hi, v); }
  static Reg clamp(Reg v, Reg lo, Reg hi) { return at_most(hi, at_least(lo, v)); }
  static Mask mask(size_t count) { return count; }
  static Reg mask_load(const float* p, Mask count) { return load_part(p, count, 0.0f); }
  static void mask_store(float* p, Mask count, Reg v) { store_part(p, count, v); }
  // `count` >= 8 means all; other lanes are `rest`.
  static Reg load_part(const float* p, size_t count, float rest) {
    if (count >= kWidth) return load(p);
    float lanes[8];
    for (size_t i = 0; i < 8; ++i) lanes[i] = i < count ? p[i] : rest;
    return load(lanes);
  }
  static void store_part(float* p, size_t count, Reg v) {
    if (count >= kWidth) {
      store(p, v);
      return;
    }
    float lanes[8];
    store(lanes, v);
    for (size_t i = 0; i < count; ++i) p[i] = lanes[i];
  }
  static Reg first(size_t count, Reg v) {
    if (count >= kWidth) return v;
    float lanes[8];
    store(lanes, v);
    return load_part(lanes, count, 0.0f);
  }
  static Int bits(Reg v) { return {vreinterpretq_u32_f32(v.a), vreinterpretq_u32_f32(v.b)}; }
  static Reg from_bits(Int v) { return {vreinterpretq_f32_u32(v.a), vreinterpretq_f32_u32(v.b)}; }
  static Int int1(int32_t v) { return {vdupq_n_u32(static_cast<uint32_t>(v)), vdupq_n_u32(static_cast<uint32_t>(v))}; }
  static Int int_add(Int x, Int y) { return {vaddq_u32(x.a, y.a), vaddq_u32(x.b, y.b)}; }
  static Int int_sub(Int x, Int y) { return {vsubq_u32(x.a, y.a), vsubq_u32(x.b, y.b)}; }
  static Int int_and(Int x, Int y) { return {vandq_u32(x.a, y.a), vandq_u32(x.b, y.b)}; }
  static Int int_or(Int x, Int y) { return {vorrq_u32(x.a, y.a), vorrq_u32(x.b, y.b)}; }
  static Int int_xor(Int x, Int y) { return {veorq_u32(x.a, y.a), veorq_u32(x.b, y.b)}; }
  template <int N>
  static Int shift_left(Int x) { return {vshlq_n_u32(x.a, N), vshlq_n_u32(x.b, N)}; }
  template <int N>
  static Int shift_right(Int x) { return {arithmetic<N>(x.a), arithmetic<N>(x.b)}; }
  template <int N>
  static uint32x4_t arithmetic(uint32x4_t v) { return vreinterpretq_u32_s32(vshrq_n_s32(vreinterpretq_s32_u32(v), N)); }
};
