// f32 vector operations, one lane in plain C++: the reference's. Included inside an unnamed namespace, after <cmath> and <cstring>.
struct Vec {
  using Reg = float;
  using Int = uint32_t;
  using Test = bool;
  static constexpr size_t kWidth = 1;
  static Reg set1(float v) { return v; }
  static Reg load(const float* p) { return *p; }
  static void store(float* p, Reg v) { *p = v; }
  static Reg load_part(const float* p, size_t count, float rest) { return count != 0 ? *p : rest; }
  static void store_part(float* p, size_t count, Reg v) {
    if (count != 0) *p = v;
  }
  static Reg first(size_t count, Reg v) { return count != 0 ? v : 0.0f; }
  static Reg add(Reg a, Reg b) { return a + b; }
  static Reg sub(Reg a, Reg b) { return a - b; }
  static Reg mul(Reg a, Reg b) { return a * b; }
  static Reg div(Reg a, Reg b) { return a / b; }
  static Reg fma(Reg a, Reg b, Reg c) {
#ifdef __FP_FAST_FMAF
    return std::fma(a, b, c);
#else
    // Without the instruction, in double: the product is exact; the sum is rounded to odd, so that rounding to f32 is the only rounding.
    const double p = static_cast<double>(a) * static_cast<double>(b), q = static_cast<double>(c), s = p + q;
    const double v = s - p, rest = (p - (s - v)) + (q - v);
    if (rest < 0 || rest > 0) {
      uint64_t bits;
      std::memcpy(&bits, &s, sizeof(bits));
      if ((bits & 1) == 0) bits += (rest > 0) == (s > 0) ? 1 : ~uint64_t{0};
      double odd;
      std::memcpy(&odd, &bits, sizeof(odd));
      return static_cast<float>(odd);
    }
    return static_cast<float>(s);
#endif
  }
  static Reg fnma(Reg a, Reg b, Reg c) { return fma(-a, b, c); }
  static Reg sqrt(Reg v) { return std::sqrt(v); }
  static Reg floor(Reg v) { return std::floor(v); }
  static Reg ceil(Reg v) { return std::ceil(v); }
  static Reg round(Reg v) { return std::nearbyint(v); }
  static Test lt(Reg a, Reg b) { return a < b; }
  static Test eq(Reg a, Reg b) { return a == b; }
  static Reg select(Test t, Reg yes, Reg no) { return t ? yes : no; }
  // NaN in v passes.
  static Reg at_least(Reg lo, Reg v) { return v < lo ? lo : v; }
  static Reg at_most(Reg hi, Reg v) { return v > hi ? hi : v; }
  static Int bits(Reg v) {
    Int b;
    std::memcpy(&b, &v, sizeof(b));
    return b;
  }
  static Reg from_bits(Int b) {
    Reg v;
    std::memcpy(&v, &b, sizeof(v));
    return v;
  }
  static Int int1(int32_t v) { return static_cast<uint32_t>(v); }
  static Int int_add(Int a, Int b) { return a + b; }
  static Int int_sub(Int a, Int b) { return a - b; }
  static Int int_and(Int a, Int b) { return a & b; }
  static Int int_or(Int a, Int b) { return a | b; }
  static Int int_xor(Int a, Int b) { return a ^ b; }
  template <int N>
  static Int shift_left(Int a) { return a << N; }
  // Arithmetic.
  template <int N>
  static Int shift_right(Int a) { return (a >> N) | ((a >> 31) != 0 ? ~(~0u >> N) : 0u); }
};
