// Transcendental functions on 8 floats, AVX2 + FMA. Included inside an unnamed namespace. Polynomials are Chebyshev fits made with
// mpmath.chebyfit at 40 digits on the intervals named; error bounds measured by the tests stand in elementwise_f32/README.md.

inline __m256 splat(float v) { return _mm256_set1_ps(v); }

// 2^n for integral n in -126..127.
inline __m256 power_of_two(__m256i n) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23)); }

// e^x = 2^n e^r, |r| <= ln2 / 2; e^r = 1 + r + r^2 P(r), fit to 1.5e-9. Subnormal results are right to their last bit or so;
// above 88.73 inf, NaN stays.
inline __m256 exp_8(__m256 x) {
  // Bounds beyond which the result is inf or 0 anyhow; min/max are ordered so that NaN passes.
  const __m256 bounded = _mm256_min_ps(splat(89.0f), _mm256_max_ps(splat(-104.0f), x));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(bounded, splat(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  // ln2 in two parts; the first has so few bits that n times it is exact.
  __m256 r = _mm256_fnmadd_ps(n, splat(0.693145752f), bounded);
  r = _mm256_fnmadd_ps(n, splat(1.42860677e-6f), r);
  __m256 p = splat(1.989108046e-4f);
  p = _mm256_fmadd_ps(p, r, splat(1.393373072e-3f));
  p = _mm256_fmadd_ps(p, r, splat(8.333310845e-3f));
  p = _mm256_fmadd_ps(p, r, splat(4.16664642e-2f));
  p = _mm256_fmadd_ps(p, r, splat(0.1666666668f));
  p = _mm256_fmadd_ps(p, r, splat(0.5000000014f));
  p = _mm256_fmadd_ps(_mm256_mul_ps(r, r), p, r);
  p = _mm256_add_ps(p, splat(1.0f));
  // 2^n in two factors, as n reaches from -150 to 128.
  const __m256i whole = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  return _mm256_mul_ps(_mm256_mul_ps(p, power_of_two(half)), power_of_two(_mm256_sub_epi32(whole, half)));
}

inline __m256 abs_8(__m256 x) { return _mm256_andnot_ps(splat(-0.0f), x); }
inline __m256 copy_sign_8(__m256 magnitude, __m256 sign) { return _mm256_or_ps(magnitude, _mm256_and_ps(splat(-0.0f), sign)); }

// 1 / (1 + e^-x), without overflow: e = e^-|x|.
inline __m256 sigmoid_8(__m256 x) {
  const __m256 e = exp_8(_mm256_or_ps(splat(-0.0f), x));
  const __m256 positive = _mm256_div_ps(splat(1.0f), _mm256_add_ps(splat(1.0f), e));
  return _mm256_blendv_ps(positive, _mm256_mul_ps(e, positive), x);
}

// |x| < 0.625: x + x^3 P(x^2), fit to 4.4e-8; else 1 - 2 / (e^2|x| + 1) with the sign of x.
inline __m256 tanh_8(__m256 x) {
  const __m256 a = abs_8(x);
  const __m256 u = _mm256_mul_ps(x, x);
  __m256 p = splat(-6.096714166e-3f);
  p = _mm256_fmadd_ps(p, u, splat(2.0997179e-2f));
  p = _mm256_fmadd_ps(p, u, splat(-5.385090958e-2f));
  p = _mm256_fmadd_ps(p, u, splat(0.1333276974f));
  p = _mm256_fmadd_ps(p, u, splat(-0.3333332894f));
  const __m256 small = _mm256_fmadd_ps(_mm256_mul_ps(u, x), p, x);
  const __m256 e = exp_8(_mm256_add_ps(a, a));
  const __m256 large = _mm256_sub_ps(splat(1.0f), _mm256_div_ps(splat(2.0f), _mm256_add_ps(e, splat(1.0f))));
  return _mm256_blendv_ps(copy_sign_8(large, x), small, _mm256_cmp_ps(a, splat(0.625f), _CMP_LT_OQ));
}

// |x| < 1: x P(x^2), fit to 3.4e-11; else 1 - e^Q(|x|), Q fit to ln erfc on 1..4 to 1.7e-8; from 4 on 1.
inline __m256 erf_8(__m256 x) {
  const __m256 u = _mm256_mul_ps(x, x);
  __m256 p = splat(-9.667044571e-6f);
  p = _mm256_fmadd_ps(p, u, splat(1.126595903e-4f));
  p = _mm256_fmadd_ps(p, u, splat(-8.484080406e-4f));
  p = _mm256_fmadd_ps(p, u, splat(5.221031808e-3f));
  p = _mm256_fmadd_ps(p, u, splat(-2.686543073e-2f));
  p = _mm256_fmadd_ps(p, u, splat(0.112837825f));
  p = _mm256_fmadd_ps(p, u, splat(-0.3761263847f));
  p = _mm256_fmadd_ps(p, u, splat(1.128379167f));
  const __m256 small = _mm256_mul_ps(p, x);
  const __m256 a = abs_8(x);
  const __m256 b = _mm256_min_ps(splat(4.0f), a);
  __m256 q = splat(1.637151415e-6f);
  q = _mm256_fmadd_ps(q, b, splat(-4.605804269e-5f));
  q = _mm256_fmadd_ps(q, b, splat(5.968056257e-4f));
  q = _mm256_fmadd_ps(q, b, splat(-4.759596293e-3f));
  q = _mm256_fmadd_ps(q, b, splat(2.642113601e-2f));
  q = _mm256_fmadd_ps(q, b, splat(-0.1100800829f));
  q = _mm256_fmadd_ps(q, b, splat(-0.6318260516f));
  q = _mm256_fmadd_ps(q, b, splat(-1.130233435f));
  q = _mm256_fmadd_ps(q, b, splat(3.201380497e-4f));
  __m256 large = _mm256_sub_ps(splat(1.0f), exp_8(q));
  large = _mm256_blendv_ps(large, splat(1.0f), _mm256_cmp_ps(a, splat(4.0f), _CMP_GE_OQ));
  return _mm256_blendv_ps(copy_sign_8(large, x), small, _mm256_cmp_ps(a, splat(1.0f), _CMP_LT_OQ));
}
