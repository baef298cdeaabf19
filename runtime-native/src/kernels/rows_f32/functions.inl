// Softmax, log-softmax and layer normalization, written once over a vector type V (vec_f32_<isa>.inl with math_f32.inl) and over Sum, sixteen
// partial sums in double: element i of a row goes to sum i % 16, whatever the vector width, so that every ISA gives the same bits.

constexpr size_t kBlock = 16;  // elements that one step of Sum takes

// Partial sums are added by halves: 8 to 8, 4 to 4, and so on.
inline double fold(double (&lanes)[kBlock]) {
  for (size_t half = kBlock / 2; half != 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// f(vector index within its block of 16, first element, elements left), over whole blocks: the last may have vectors with none left.
template <class V, class F>
inline void blocks(size_t n, const F& f) {
  for (size_t i = 0; i < n; i += kBlock) {
#pragma GCC unroll 16
    for (size_t v = 0; v < kBlock / V::kWidth; ++v) {
      const size_t at = i + v * V::kWidth;
      f(v, at, at < n ? n - at : 0);
    }
  }
}

template <class V, class F>
inline void vectors(size_t n, const F& f) {
  for (size_t i = 0; i < n; i += V::kWidth) f(i, n - i);
}

// NaN where the row holds one.
template <class V>
inline float row_max(size_t n, const float* x) {
  typename V::Reg most = V::set1(-kInfinity), nan = V::set1(0.0f);
  vectors<V>(n, [&](size_t i, size_t left) {
    const typename V::Reg v = V::load_part(x + i, left, -kInfinity);
    nan = V::select(V::eq(v, v), nan, v);
    most = V::select(V::lt(most, v), v, most);
  });
  float lanes[V::kWidth], nans[V::kWidth];
  V::store(lanes, most);
  V::store(nans, nan);
  float result = lanes[0], wrong = nans[0];
  for (size_t i = 1; i < V::kWidth; ++i) {
    result = lanes[i] > result ? lanes[i] : result;
    wrong += nans[i];
  }
  return wrong == 0.0f ? result : wrong;
}

template <class V>
void softmax(size_t rows, size_t n, const float* x, float* y) {
  for (size_t r = 0; r < rows; ++r, x += n, y += n) {
    const typename V::Reg most = V::set1(row_max<V>(n, x));
    Sum sum;
    blocks<V>(n, [&](size_t v, size_t i, size_t left) {
      if (left == 0) return;
      // Lanes beyond the end hold -inf, whose exponential is 0; where the maximum is -inf too, the row is NaN in any case.
      const typename V::Reg e = exp_of<V>(V::sub(V::load_part(x + i, left, -kInfinity), most));
      sum.add(v, V::first(left, e));
      V::store_part(y + i, left, e);
    });
    const typename V::Reg scale = V::set1(static_cast<float>(1.0 / sum.total()));
    vectors<V>(n, [&](size_t i, size_t left) { V::store_part(y + i, left, V::mul(V::load_part(y + i, left, 0.0f), scale)); });
  }
}

template <class V>
void log_softmax(size_t rows, size_t n, const float* x, float* y) {
  for (size_t r = 0; r < rows; ++r, x += n, y += n) {
    const typename V::Reg most = V::set1(row_max<V>(n, x));
    Sum sum;
    blocks<V>(n, [&](size_t v, size_t i, size_t left) {
      if (left != 0) sum.add(v, V::first(left, exp_of<V>(V::sub(V::load_part(x + i, left, -kInfinity), most))));
    });
    const typename V::Reg log_sum = V::set1(static_cast<float>(::log(sum.total())));
    vectors<V>(n, [&](size_t i, size_t left) {
      V::store_part(y + i, left, V::sub(V::sub(V::load_part(x + i, left, 0.0f), most), log_sum));
    });
  }
}

template <class V>
void layer_norm(size_t rows, size_t n, const float* x, const float* gamma, const float* beta, float epsilon, float* y, float* mean_out,
                float* inv_std_out) {
  for (size_t r = 0; r < rows; ++r, x += n, y += n) {
    Sum sum;
    blocks<V>(n, [&](size_t v, size_t i, size_t left) {
      if (left != 0) sum.add(v, V::load_part(x + i, left, 0.0f));
    });
    const double mean = sum.total() / static_cast<double>(n);
    // In two parts: a large mean does not take bits from small deviations.
    const float middle = static_cast<float>(mean);
    const typename V::Reg high = V::set1(middle), low = V::set1(static_cast<float>(mean - static_cast<double>(middle)));
    const auto deviation = [&](size_t i, size_t left) { return V::sub(V::sub(V::load_part(x + i, left, 0.0f), high), low); };
    Sum squares;
    blocks<V>(n, [&](size_t v, size_t i, size_t left) {
      if (left != 0) squares.add_square(v, V::first(left, deviation(i, left)));
    });
    const float inv_std = static_cast<float>(1.0 / ::sqrt(squares.total() / static_cast<double>(n) + static_cast<double>(epsilon)));
    const typename V::Reg scale = V::set1(inv_std);
    vectors<V>(n, [&](size_t i, size_t left) {
      typename V::Reg v = V::mul(deviation(i, left), scale);
      if (gamma != nullptr) v = V::mul(v, V::load_part(gamma + i, left, 0.0f));
      if (beta != nullptr) v = V::add(v, V::load_part(beta + i, left, 0.0f));
      V::store_part(y + i, left, v);
    });
    if (mean_out != nullptr) mean_out[r] = middle;
    if (inv_std_out != nullptr) inv_std_out[r] = inv_std;
  }
}
