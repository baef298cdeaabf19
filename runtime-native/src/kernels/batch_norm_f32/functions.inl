// Written once over a vector type V; lanes are channels.

template <class V>
inline typename V::Reg masked(const BatchNormF32& bn, typename V::Reg dy, typename V::Reg deviation, typename V::Reg factor, typename V::Reg bias) {
  return bn.relu ? V::select(V::lt(V::set1(0.0f), V::fma(deviation, factor, bias)), dy, V::set1(0.0f)) : dy;
}

template <class V>
void moments(size_t rows, size_t channels, const float* x, float* middles, float* rests, float* m2) {
  const typename V::Reg part = V::set1(1.0f / static_cast<float>(rows));
  for (size_t c = 0; c < channels; c += V::kWidth) {
    const size_t left = channels - c;
    typename V::Reg sum = V::set1(0.0f), squares = V::set1(0.0f), rest = V::set1(0.0f);
    for (size_t r = 0; r < rows; ++r) sum = V::add(sum, V::load_part(x + r * channels + c, left, 0.0f));
    const typename V::Reg middle = V::mul(sum, part);
    for (size_t r = 0; r < rows; ++r) {
      const typename V::Reg d = V::sub(V::load_part(x + r * channels + c, left, 0.0f), middle);
      rest = V::add(rest, d);
      squares = V::fma(d, d, squares);
    }
    V::store_part(middles + c, left, middle);
    V::store_part(rests + c, left, V::mul(rest, part));
    V::store_part(m2 + c, left, squares);
  }
}

template <class V>
void normalize(const BatchNormF32& bn, size_t rows, const float* x, float* y) {
  const typename V::Reg zero = V::set1(0.0f);
  for (size_t c = 0; c < bn.channels; c += V::kWidth) {
    const size_t left = bn.channels - c;
    const typename V::Reg factor = V::load_part(bn.factor + c, left, 0.0f), bias = V::load_part(bn.bias + c, left, 0.0f);
    const typename V::Reg mean = V::load_part(bn.mean + c, left, 0.0f);
    for (size_t r = 0; r < rows; ++r) {
      const size_t at = r * bn.channels + c;
      const typename V::Reg v = V::fma(V::sub(V::load_part(x + at, left, 0.0f), mean), factor, bias);
      V::store_part(y + at, left, bn.relu ? V::at_least(zero, v) : v);
    }
  }
}

template <class V>
void sums(const BatchNormF32& bn, size_t rows, const float* dy, const float* x, float* sum, float* dot) {
  for (size_t c = 0; c < bn.channels; c += V::kWidth) {
    const size_t left = bn.channels - c;
    const typename V::Reg factor = V::load_part(bn.factor + c, left, 0.0f), bias = V::load_part(bn.bias + c, left, 0.0f);
    const typename V::Reg mean = V::load_part(bn.mean + c, left, 0.0f), inv = V::load_part(bn.inv_std + c, left, 0.0f);
    typename V::Reg s = V::set1(0.0f), d = V::set1(0.0f);
    for (size_t r = 0; r < rows; ++r) {
      const size_t at = r * bn.channels + c;
      const typename V::Reg v = V::sub(V::load_part(x + at, left, 0.0f), mean);
      const typename V::Reg g = masked<V>(bn, V::load_part(dy + at, left, 0.0f), v, factor, bias);
      s = V::add(s, g);
      d = V::fma(g, V::mul(v, inv), d);
    }
    V::store_part(sum + c, left, s);
    V::store_part(dot + c, left, d);
  }
}

template <class V>
void gradient(const BatchNormF32& bn, size_t rows, const float* dy, const float* x, const float* sum, const float* dot, float* dx) {
  for (size_t c = 0; c < bn.channels; c += V::kWidth) {
    const size_t left = bn.channels - c;
    const typename V::Reg factor = V::load_part(bn.factor + c, left, 0.0f), bias = V::load_part(bn.bias + c, left, 0.0f);
    const typename V::Reg mean = V::load_part(bn.mean + c, left, 0.0f), inv = V::load_part(bn.inv_std + c, left, 0.0f);
    const typename V::Reg s = V::load_part(sum + c, left, 0.0f), d = V::load_part(dot + c, left, 0.0f);
    for (size_t r = 0; r < rows; ++r) {
      const size_t at = r * bn.channels + c;
      const typename V::Reg v = V::sub(V::load_part(x + at, left, 0.0f), mean);
      const typename V::Reg g = masked<V>(bn, V::load_part(dy + at, left, 0.0f), v, factor, bias);
      const typename V::Reg rest = V::fnma(V::mul(v, inv), d, V::sub(g, s));
      V::store_part(dx + at, left, V::mul(factor, rest));
    }
  }
}
