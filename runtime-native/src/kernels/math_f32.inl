// Functions of f32 vectors, written once over a vector type V (vec_f32_<isa>.inl) and included inside an unnamed namespace of each ISA's file.
// Only additions, multiplications, divisions and FMAs that are rounded correctly, in one order: every ISA gives the same bits.
// Polynomials are Chebyshev fits made with mpmath.chebyfit at 40 digits on the intervals named; the bounds that the tests hold stand in
// elementwise_f32/README.md.

// Horner's scheme, highest power first.
template <class V>
inline typename V::Reg polynomial(typename V::Reg, typename V::Reg p) { return p; }
template <class V, class... Rest>
inline typename V::Reg polynomial(typename V::Reg x, typename V::Reg p, float next, Rest... rest) {
  return polynomial<V>(x, V::fma(p, x, V::set1(next)), rest...);
}
template <class V, class... Rest>
inline typename V::Reg horner(typename V::Reg x, float first, Rest... rest) {
  return polynomial<V>(x, V::set1(first), rest...);
}

constexpr int32_t kSignBit = static_cast<int32_t>(0x80000000u);

template <class V>
inline typename V::Reg absolute(typename V::Reg x) { return V::from_bits(V::int_and(V::bits(x), V::int1(0x7fffffff))); }
template <class V>
inline typename V::Reg negative(typename V::Reg x) { return V::from_bits(V::int_xor(V::bits(x), V::int1(kSignBit))); }
template <class V>
inline typename V::Reg copy_sign(typename V::Reg magnitude, typename V::Reg sign) {
  return V::from_bits(V::int_or(V::bits(magnitude), V::int_and(V::bits(sign), V::int1(kSignBit))));
}
template <class V>
inline typename V::Reg is_negative_then(typename V::Reg x, typename V::Reg yes, typename V::Reg no) {
  return V::select(V::lt(x, V::set1(0.0f)), yes, no);
}

// max(lo, x), but NaN for -inf: where a factor is 0 far below, -inf times it is NaN, as ONNX's formulas have it.
template <class V>
inline typename V::Reg finite_at_least(float lo, typename V::Reg x) {
  return V::select(V::eq(x, V::set1(-kInfinity)), V::from_bits(V::int1(0x7fc00000)), V::at_least(V::set1(lo), x));
}

// 2^n for n in -126..127.
template <class V>
inline typename V::Reg power_of_two(typename V::Int n) { return V::from_bits(V::template shift_left<23>(V::int_add(n, V::int1(127)))); }

// x = n ln2 + r with |r| <= ln2 / 2; rest = e^r - 1 = r + r^2 P(r), P fit to 1.5e-9. For -120 <= x <= 89.
template <class V>
struct Reduced {
  typename V::Reg rest;
  typename V::Int n;
};
template <class V>
inline Reduced<V> reduce(typename V::Reg x) {
  // Adding 1.5 * 2^23 rounds to the nearest integer, half to even, and leaves it in the low bits.
  const typename V::Reg magic = V::set1(12582912.0f), shifted = V::fma(x, V::set1(1.44269504f), magic);
  const typename V::Reg n = V::sub(shifted, magic);
  // ln2 in two parts; the first has so few bits that n times it is exact.
  typename V::Reg r = V::fnma(n, V::set1(0.693145752f), x);
  r = V::fnma(n, V::set1(1.42860677e-6f), r);
  const typename V::Reg p = horner<V>(r, 1.989108046e-4f, 1.393373072e-3f, 8.333310845e-3f, 4.16664642e-2f, 0.1666666668f, 0.5000000014f);
  return {V::fma(V::mul(r, r), p, r), V::int_sub(V::bits(shifted), V::bits(magic))};
}

// e^x as value * scale: value is normal, so factors may be applied to it before scale, 2^-87..2^64, makes it small or large. Bounds beyond
// which the product is 0 or inf anyhow; NaN stays.
template <class V>
struct ScaledExp {
  typename V::Reg value, scale;
};
template <class V>
inline ScaledExp<V> scaled_exp(typename V::Reg x) {
  const Reduced<V> e = reduce<V>(V::at_most(V::set1(89.0f), V::at_least(V::set1(-120.0f), x)));
  const typename V::Int half = V::template shift_right<1>(e.n);
  const typename V::Reg m = V::add(e.rest, V::set1(1.0f));
  return {V::mul(m, power_of_two<V>(half)), power_of_two<V>(V::int_sub(e.n, half))};
}

template <class V>
inline typename V::Reg exp_of(typename V::Reg x) {
  const ScaledExp<V> e = scaled_exp<V>(x);
  return V::mul(e.value, e.scale);
}

// e^x - 1 for x <= 0: 2^n rest + (2^n - 1), whose last term is exact where it matters.
template <class V>
inline typename V::Reg expm1_of_negative(typename V::Reg x) {
  const Reduced<V> e = reduce<V>(V::at_most(V::set1(0.0f), V::at_least(V::set1(-30.0f), x)));
  const typename V::Reg power = power_of_two<V>(e.n);
  return V::fma(power, e.rest, V::sub(power, V::set1(1.0f)));
}

// x = 2^e m, sqrt(1/2) <= m < sqrt 2, f = m - 1: e ln2 + f - f^2 / 2 + f^3 P(f), P fit to 4.6e-9.
template <class V>
inline typename V::Reg log_of(typename V::Reg x) {
  const typename V::Test tiny = V::lt(x, V::set1(1.17549435e-38f));
  const typename V::Int b = V::bits(V::select(tiny, V::mul(x, V::set1(8388608.0f)), x));
  const typename V::Int e = V::template shift_right<23>(V::int_sub(b, V::int1(0x3f3504f3)));
  const typename V::Reg f = V::sub(V::from_bits(V::int_sub(b, V::template shift_left<23>(e))), V::set1(1.0f));
  // |e| < 2^22 as f32: the integer goes into the low bits of 1.5 * 2^23.
  const typename V::Reg magic = V::set1(12582912.0f);
  typename V::Reg n = V::sub(V::from_bits(V::int_add(e, V::bits(magic))), magic);
  n = V::sub(n, V::select(tiny, V::set1(23.0f), V::set1(0.0f)));
  const typename V::Reg square = V::mul(f, f);
  typename V::Reg y = V::mul(V::mul(square, f), horner<V>(f, -0.06201500119f, 0.1053086474f, -0.1064619164f, 0.1103778336f, -0.1245074332f, 0.1428652455f,
                                                          -0.1666800152f, 0.2000001004f, -0.2499999028f, 0.3333333328f));
  y = V::fma(n, V::set1(-2.12194440e-4f), y);
  y = V::fnma(V::set1(0.5f), square, y);
  y = V::add(f, y);
  y = V::fma(n, V::set1(0.693359375f), y);
  y = V::select(V::lt(x, V::set1(kInfinity)), y, x);  // inf and NaN
  y = V::select(V::eq(x, V::set1(0.0f)), V::set1(-kInfinity), y);
  return is_negative_then<V>(x, V::from_bits(V::int1(0x7fc00000)), y);
}

// 1 / (1 + e^-x), without overflow: e = e^-|x|.
template <class V>
inline typename V::Reg sigmoid_of(typename V::Reg x) {
  const typename V::Reg e = exp_of<V>(negative<V>(absolute<V>(x)));
  const typename V::Reg one = V::set1(1.0f);
  return V::div(is_negative_then<V>(x, e, one), V::add(one, e));
}

// x e^a / (1 + e^a) for a < 0, x / (1 + e^-a) else, with a = high + low. For x < 0 the scale comes last, so that a subnormal exponential takes
// no bits from the result. -inf gives NaN.
template <class V>
inline typename V::Reg times_sigmoid(typename V::Reg x, typename V::Reg high, typename V::Reg low) {
  const typename V::Reg one = V::set1(1.0f), flip = copy_sign<V>(one, high);
  ScaledExp<V> e = scaled_exp<V>(negative<V>(absolute<V>(high)));
  e.value = V::fnma(e.value, V::mul(low, flip), e.value);
  const typename V::Reg whole = V::mul(e.value, e.scale);
  const typename V::Reg bounded = finite_at_least<V>(-120.0f, x);
  const typename V::Reg numerator = is_negative_then<V>(high, V::mul(bounded, e.value), x);
  return V::mul(V::div(numerator, V::add(one, whole)), is_negative_then<V>(high, e.scale, one));
}

template <class V>
inline typename V::Reg silu_of(typename V::Reg x) { return times_sigmoid<V>(x, x, V::set1(0.0f)); }

// x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3): x/2 (1 + tanh u) without its cancellation. 2 u is kept to twice the precision, as its
// absolute error becomes the exponential's relative one.
template <class V>
inline typename V::Reg gelu_tanh_of(typename V::Reg x) {
  const typename V::Reg t = V::at_most(V::set1(12.0f), V::at_least(V::set1(-12.0f), x));
  const typename V::Reg linear = V::set1(1.59576917f), cubic = V::set1(0.0713548139f);
  const typename V::Reg linear_low = V::set1(-4.534068042e-8f), cubic_low = V::set1(2.398832396e-9f);
  const typename V::Reg h = V::mul(t, t), h_low = V::fma(t, t, negative<V>(h));
  const typename V::Reg p = V::mul(cubic, h), p_low = V::fma(cubic_low, h, V::fma(cubic, h_low, V::fma(cubic, h, negative<V>(p))));
  const typename V::Reg s = V::add(linear, p), v = V::sub(s, linear);
  const typename V::Reg s_low = V::add(V::add(V::sub(linear, V::sub(s, v)), V::sub(p, v)), V::add(p_low, linear_low));
  const typename V::Reg a = V::mul(t, s), a_low = V::fma(t, s_low, V::fma(t, s, negative<V>(a)));
  return times_sigmoid<V>(x, a, a_low);
}

// |x| < 0.625: x + x^3 P(x^2), fit to 4.4e-8; else 1 - 2 / (e^2|x| + 1) with the sign of x.
template <class V>
inline typename V::Reg tanh_of(typename V::Reg x) {
  const typename V::Reg a = absolute<V>(x), u = V::mul(x, x), one = V::set1(1.0f);
  const typename V::Reg p = horner<V>(u, -6.096714166e-3f, 2.0997179e-2f, -5.385090958e-2f, 0.1333276974f, -0.3333332894f);
  const typename V::Reg small = V::fma(V::mul(u, x), p, x);
  const typename V::Reg large = V::sub(one, V::div(V::set1(2.0f), V::add(exp_of<V>(V::add(a, a)), one)));
  return V::select(V::lt(a, V::set1(0.625f)), small, copy_sign<V>(large, x));
}

// |x| < 1: x + x P(x^2), fit to 3.4e-11; else 1 - e^Q(|x|), Q fit to ln erfc on 1..4 to 1.7e-8; from 4 on 1.
template <class V>
inline typename V::Reg erf_of(typename V::Reg x) {
  const typename V::Reg u = V::mul(x, x);
  const typename V::Reg p = horner<V>(u, -9.667044571e-6f, 1.126595903e-4f, -8.484080406e-4f, 5.221031808e-3f, -2.686543073e-2f, 0.112837825f,
                                      -0.3761263847f, 0.1283791671f);
  const typename V::Reg small = V::fma(p, x, x);
  const typename V::Reg a = absolute<V>(x);
  const typename V::Reg b = V::at_most(V::set1(4.0f), a);
  const typename V::Reg q = horner<V>(b, 1.637151415e-6f, -4.605804269e-5f, 5.968056257e-4f, -4.759596293e-3f, 2.642113601e-2f, -0.1100800829f,
                                      -0.6318260516f, -1.130233435f, 3.201380497e-4f);
  typename V::Reg large = V::sub(V::set1(1.0f), exp_of<V>(q));
  large = V::select(V::lt(a, V::set1(4.0f)), large, V::at_least(V::set1(1.0f), V::at_most(V::set1(1.0f), a)));
  return V::select(V::lt(a, V::set1(1.0f)), small, copy_sign<V>(large, x));
}

// x Phi(x), the normal distribution's. Phi(-t) = e^(-t^2 / 2) P(q) / (t + 3), q = (t - 3) / (t + 3), fit to 1.5e-9 on 0..15; Phi(t) = 1 - Phi(-t).
// |x| < 1: Phi(x) = 1/2 + x S(x^2), fit to 2.69e-10.
// The square is kept to twice the precision. No cancellation: negative x keep their relative precision; -inf gives NaN.
template <class V>
inline typename V::Reg gelu_of(typename V::Reg x) {
  const typename V::Reg one = V::set1(1.0f), t = V::at_most(V::set1(15.0f), absolute<V>(x));
  const typename V::Reg h = V::mul(t, t), h_low = V::fma(t, t, negative<V>(h));
  ScaledExp<V> e = scaled_exp<V>(V::mul(V::set1(-0.5f), h));
  e.value = V::fnma(e.value, V::mul(V::set1(0.5f), h_low), e.value);
  const typename V::Reg r = V::div(one, V::add(t, V::set1(3.0f))), q = V::fnma(V::set1(6.0f), r, one);
  const typename V::Reg p = horner<V>(q, 5.549187172e-5f, 1.333239542e-4f, -2.447093208e-4f, -1.034476551e-3f, 1.024157324e-3f, 6.969920151e-3f,
                                      -1.046228897e-2f, -4.726276192e-2f, 0.2300176767f, -0.5093319888f, 0.7290836907f);
  const typename V::Reg below = V::mul(V::mul(r, p), e.value);
  const typename V::Reg bounded = finite_at_least<V>(-15.0f, x);
  const typename V::Reg large = is_negative_then<V>(x, V::mul(V::mul(bounded, below), e.scale), V::mul(x, V::fnma(below, e.scale, one)));
  const typename V::Reg s = horner<V>(h, -7.660538171e-6f, 0.0001135022962f, -0.001186343989f, 0.009973328481f, -0.06649036057f, 0.3989422801f);
  return V::select(V::lt(t, one), V::mul(x, V::fma(x, s, V::set1(0.5f))), large);
}

// ln(1 + e^x) = max(x, 0) + 2 atanh(e / (2 + e)), e = e^-|x|; atanh's series in the square, fit to 9.2e-11.
template <class V>
inline typename V::Reg softplus_of(typename V::Reg x) {
  const typename V::Reg e = exp_of<V>(negative<V>(absolute<V>(x)));
  const typename V::Reg t = V::div(V::add(e, e), V::add(V::set1(2.0f), e));
  const typename V::Reg w = V::mul(V::set1(0.25f), V::mul(t, t));
  const typename V::Reg p = horner<V>(w, 0.1039380843f, 8.732351233e-2f, 0.111323556f, 0.1428515286f, 0.2000000538f, 0.3333333333f);
  return V::add(V::fma(V::mul(t, w), p, t), V::at_least(V::set1(0.0f), x));
}

// x tanh(ln(1 + e^x)) as a ratio in e = e^-|x|: x (e^2 + 2 e) / (e^2 + 2 e + 2) for x < 0, x (1 + 2 e) / (1 + 2 e + 2 e^2) else.
template <class V>
inline typename V::Reg mish_of(typename V::Reg x) {
  const typename V::Reg one = V::set1(1.0f), two = V::set1(2.0f);
  const ScaledExp<V> s = scaled_exp<V>(negative<V>(absolute<V>(x)));
  const typename V::Reg e = V::mul(s.value, s.scale);
  const typename V::Reg below = V::fma(e, V::add(e, two), two), above = V::fma(two, e, one);
  const typename V::Reg bounded = finite_at_least<V>(-120.0f, x);
  const typename V::Reg numerator = is_negative_then<V>(x, V::mul(V::mul(bounded, s.value), V::add(e, two)), V::mul(x, above));
  const typename V::Reg denominator = is_negative_then<V>(x, below, V::fma(V::mul(two, e), e, above));
  return V::mul(V::div(numerator, denominator), is_negative_then<V>(x, s.scale, one));
}
