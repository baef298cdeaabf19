// The loops and functions of elementwise_f32, written once over a vector type V (vec_f32_<isa>.inl with math_f32.inl) and included by one file
// per ISA. The last lanes go through the same code, so an element's bits do not depend on its place.

template <class V, class F>
inline void map(size_t n, const float* x, float* y, const F& f) {
  size_t i = 0;
  for (; i + V::kWidth <= n; i += V::kWidth) V::store(y + i, f(V::load(x + i)));
  if (i < n) V::store_part(y + i, n - i, f(V::load_part(x + i, n - i, 0.0f)));
}

template <class V, class F>
inline void zip(size_t n, const float* a, bool a_scalar, const float* b, bool b_scalar, float* y, float lo, float hi, const F& f) {
  if (n == 0) return;
  using Reg = typename V::Reg;
  const Reg low = V::set1(lo), high = V::set1(hi), first_a = V::set1(*a), first_b = V::set1(*b);  // y may be the memory of either
  const auto g = [&](Reg p, Reg q) { return V::at_most(high, V::at_least(low, f(p, q))); };
  size_t i = 0;
  if (!a_scalar && !b_scalar) {
    for (; i + V::kWidth <= n; i += V::kWidth) V::store(y + i, g(V::load(a + i), V::load(b + i)));
  } else if (a_scalar && !b_scalar) {
    for (; i + V::kWidth <= n; i += V::kWidth) V::store(y + i, g(first_a, V::load(b + i)));
  } else if (!a_scalar) {
    for (; i + V::kWidth <= n; i += V::kWidth) V::store(y + i, g(V::load(a + i), first_b));
  } else {
    for (; i + V::kWidth <= n; i += V::kWidth) V::store(y + i, g(first_a, first_b));
  }
  if (i < n) {
    const Reg p = a_scalar ? first_a : V::load_part(a + i, n - i, 1.0f), q = b_scalar ? first_b : V::load_part(b + i, n - i, 1.0f);
    V::store_part(y + i, n - i, g(p, q));
  }
}

// The result, or the operand that is NaN.
template <class V>
inline typename V::Reg with_nan(typename V::Reg p, typename V::Reg q, typename V::Reg result) {
  return V::select(V::eq(q, q), V::select(V::eq(p, p), result, p), q);
}

template <class V>
void binary(BinaryF32 op, size_t n, const float* a, bool a_scalar, const float* b, bool b_scalar, float* y, float lo, float hi) {
  using Reg = typename V::Reg;
  const auto run = [&](const auto& f) { zip<V>(n, a, a_scalar, b, b_scalar, y, lo, hi, f); };
  switch (op) {
    case BinaryF32::add: return run([](Reg p, Reg q) { return V::add(p, q); });
    case BinaryF32::sub: return run([](Reg p, Reg q) { return V::sub(p, q); });
    case BinaryF32::mul: return run([](Reg p, Reg q) { return V::mul(p, q); });
    case BinaryF32::div: return run([](Reg p, Reg q) { return V::div(p, q); });
    case BinaryF32::min: return run([](Reg p, Reg q) { return with_nan<V>(p, q, V::select(V::lt(p, q), p, q)); });
    case BinaryF32::max: return run([](Reg p, Reg q) { return with_nan<V>(p, q, V::select(V::lt(q, p), p, q)); });
  }
}

template <class V>
void unary(UnaryF32 op, size_t n, const float* x, float* y, float alpha, float beta) {
  using Reg = typename V::Reg;
  const auto run = [&](const auto& f) { map<V>(n, x, y, f); };
  const Reg zero = V::set1(0.0f), one = V::set1(1.0f), a = V::set1(alpha), b = V::set1(beta);
  const auto clamp = [](Reg v, Reg lo, Reg hi) { return V::at_most(hi, V::at_least(lo, v)); };
  switch (op) {
    case UnaryF32::clip: return run([=](Reg v) { return clamp(v, a, b); });
    case UnaryF32::leaky_relu: return run([=](Reg v) { return is_negative_then<V>(v, V::mul(a, v), v); });
    case UnaryF32::elu: return run([=](Reg v) { return is_negative_then<V>(v, V::mul(a, expm1_of_negative<V>(v)), v); });
    case UnaryF32::celu: return run([=](Reg v) { return is_negative_then<V>(v, V::mul(a, expm1_of_negative<V>(V::div(v, a))), v); });
    case UnaryF32::selu: {
      const Reg both = V::mul(b, a);
      return run([=](Reg v) { return is_negative_then<V>(v, V::mul(both, expm1_of_negative<V>(v)), V::mul(b, v)); });
    }
    case UnaryF32::exp: return run([](Reg v) { return exp_of<V>(v); });
    case UnaryF32::log: return run([](Reg v) { return log_of<V>(v); });
    case UnaryF32::sigmoid: return run([](Reg v) { return sigmoid_of<V>(v); });
    case UnaryF32::tanh: return run([](Reg v) { return tanh_of<V>(v); });
    case UnaryF32::erf: return run([](Reg v) { return erf_of<V>(v); });
    case UnaryF32::gelu: return run([](Reg v) { return gelu_of<V>(v); });
    case UnaryF32::gelu_tanh: return run([](Reg v) { return gelu_tanh_of<V>(v); });
    case UnaryF32::silu: return run([](Reg v) { return silu_of<V>(v); });
    case UnaryF32::mish: return run([](Reg v) { return mish_of<V>(v); });
    case UnaryF32::softplus: return run([](Reg v) { return softplus_of<V>(v); });
    case UnaryF32::softsign: return run([=](Reg v) { return V::div(v, V::add(one, absolute<V>(v))); });
    case UnaryF32::thresholded_relu: return run([=](Reg v) { return V::select(V::lt(a, v), v, zero); });
    case UnaryF32::hard_sigmoid: return run([=](Reg v) { return clamp(V::add(V::mul(a, v), b), zero, one); });
    case UnaryF32::hard_swish: {
      const Reg sixth = V::set1(1.0f / 6.0f), half = V::set1(0.5f);
      return run([=](Reg v) { return V::mul(v, clamp(V::add(V::mul(v, sixth), half), zero, one)); });
    }
    case UnaryF32::sqrt: return run([](Reg v) { return V::sqrt(v); });
    case UnaryF32::reciprocal: return run([=](Reg v) { return V::div(one, v); });
    case UnaryF32::neg: return run([](Reg v) { return negative<V>(v); });
    case UnaryF32::abs: return run([](Reg v) { return absolute<V>(v); });
    case UnaryF32::sign: {
      const Reg minus_one = V::set1(-1.0f);
      return run([=](Reg v) {
        const Reg s = V::select(V::lt(zero, v), one, is_negative_then<V>(v, minus_one, zero));
        return V::select(V::eq(v, v), s, v);
      });
    }
    case UnaryF32::floor: return run([](Reg v) { return V::floor(v); });
    case UnaryF32::ceil: return run([](Reg v) { return V::ceil(v); });
    case UnaryF32::round: return run([](Reg v) { return V::round(v); });
  }
}
