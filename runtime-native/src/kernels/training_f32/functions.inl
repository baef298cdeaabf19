// Written once over a vector type V.

template <class V, class F>
inline void each(size_t n, const F& f) {
  for (size_t i = 0; i < n; i += V::kWidth) f(i, n - i);
}

template <class V>
void relu_backward(size_t n, const float* dy, const float* y, float* dx) {
  const typename V::Reg zero = V::set1(0.0f);
  each<V>(n, [&](size_t i, size_t left) {
    const typename V::Reg v = V::select(V::lt(zero, V::load_part(y + i, left, 0.0f)), V::load_part(dy + i, left, 0.0f), zero);
    V::store_part(dx + i, left, v);
  });
}

// Plain, for the compiler to make vectors of: it is integers.
inline void dropout(const DropoutF32& d, size_t first, size_t n, const float* x, float* y) {
  const uint32_t from = static_cast<uint32_t>(first) + d.key;
  for (size_t i = 0; i < n; ++i) {
    const uint32_t h = dropout_mix(dropout_mix(from + static_cast<uint32_t>(i)) ^ d.second);
    y[i] = h < d.threshold ? 0.0f : x[i] * d.scale;
  }
}

template <class V>
void fake_quantize(const FakeQuantizeF32& q, size_t n, const float* x, float* y) {
  const typename V::Reg scale = V::set1(q.scale), zero = V::set1(q.zero_point), low = V::set1(q.q_min), high = V::set1(q.q_max);
  each<V>(n, [&](size_t i, size_t left) {
    const typename V::Reg near = V::add(V::round(V::div(V::load_part(x + i, left, 0.0f), scale)), zero);
    V::store_part(y + i, left, V::mul(V::sub(V::at_most(high, V::at_least(low, near)), zero), scale));
  });
}

template <class V>
void fake_quantize_backward(const FakeQuantizeF32& q, size_t n, const float* dy, const float* x, float* dx, float* sums) {
  using Reg = typename V::Reg;
  constexpr size_t kParts = kFakeQuantizeSums / V::kWidth;
  const Reg scale = V::set1(q.scale), low = V::set1(q.q_min - q.zero_point), high = V::set1(q.q_max - q.zero_point), none = V::set1(0.0f);
  Reg sum[kParts];
  for (size_t k = 0; k < kParts; ++k) sum[k] = V::load(sums + k * V::kWidth);
  for (size_t i = 0; i < n; i += kFakeQuantizeSums) {
    for (size_t k = 0; k < kParts && i + k * V::kWidth < n; ++k) {
      const size_t at = i + k * V::kWidth, left = n - at;
      const Reg g = V::load_part(dy + at, left, 0.0f);
      const Reg steps = V::div(V::load_part(x + at, left, 0.0f), scale);
      const Reg near = V::round(steps);
      const typename V::Test below = V::lt(near, low), above = V::lt(high, near);
      V::store_part(dx + at, left, V::select(below, none, V::select(above, none, g)));
      sum[k] = V::fma(g, V::select(below, low, V::select(above, high, V::sub(near, steps))), sum[k]);
    }
  }
  for (size_t k = 0; k < kParts; ++k) V::store(sums + k * V::kWidth, sum[k]);
}

template <class V>
void sgd(const SgdF32& s, size_t n, const float* p, const float* g, const float* velocity, float* next_p, float* next_velocity) {
  const typename V::Reg rate = V::set1(s.rate), scale = V::set1(s.scale), momentum = V::set1(s.momentum), decay = V::set1(s.weight_decay);
  each<V>(n, [&](size_t i, size_t left) {
    const typename V::Reg w = V::load_part(p + i, left, 0.0f);
    const typename V::Reg full = V::fma(decay, w, V::mul(V::load_part(g + i, left, 0.0f), scale));
    const typename V::Reg next = V::fma(momentum, V::load_part(velocity + i, left, 0.0f), full);
    const typename V::Reg step = s.nesterov ? V::fma(momentum, next, full) : next;
    V::store_part(next_velocity + i, left, next);
    V::store_part(next_p + i, left, V::fnma(rate, step, w));
  });
}

template <class V>
void adam(const AdamF32& s, size_t n, const float* p, const float* g, const float* m, const float* v, float* next_p, float* next_m, float* next_v) {
  const typename V::Reg scale = V::set1(s.scale), decay = V::set1(s.decoupled ? 0.0f : s.weight_decay);
  const typename V::Reg beta1 = V::set1(s.beta1), rest1 = V::set1(1.0f - s.beta1), beta2 = V::set1(s.beta2), rest2 = V::set1(1.0f - s.beta2);
  const typename V::Reg rate = V::set1(s.rate / s.correction1), root = V::set1(1.0f / s.root_correction2), epsilon = V::set1(s.epsilon);
  const typename V::Reg kept = V::set1(s.decoupled ? 1.0f - s.rate * s.weight_decay : 1.0f);
  each<V>(n, [&](size_t i, size_t left) {
    const typename V::Reg w = V::load_part(p + i, left, 0.0f);
    const typename V::Reg full = V::fma(decay, w, V::mul(V::load_part(g + i, left, 0.0f), scale));
    const typename V::Reg first = V::fma(beta1, V::load_part(m + i, left, 0.0f), V::mul(rest1, full));
    const typename V::Reg second = V::fma(beta2, V::load_part(v + i, left, 0.0f), V::mul(rest2, V::mul(full, full)));
    const typename V::Reg size = V::fma(V::sqrt(second), root, epsilon);
    V::store_part(next_m + i, left, first);
    V::store_part(next_v + i, left, second);
    V::store_part(next_p + i, left, V::fnma(rate, V::div(first, size), V::mul(kept, w)));
  });
}
