// The transforms, written once over a vector type V of channels and included by one file per ISA, inside its unnamed namespace.
// V gives: Reg, Mask, kWidth, set1, load, store, fma, add, sub, clamp, mask, mask_load, mask_store.

// One axis of the input transform, B^T d.
template <class V>
inline __attribute__((always_inline)) void input_axis(const typename V::Reg (&d)[4], typename V::Reg (&o)[4]) {
  o[0] = V::sub(d[0], d[2]);
  o[1] = V::add(d[1], d[2]);
  o[2] = V::sub(d[2], d[1]);
  o[3] = V::sub(d[1], d[3]);
}
template <class V>
inline __attribute__((always_inline)) void input_axis(const typename V::Reg (&d)[6], typename V::Reg (&o)[6]) {
  using Reg = typename V::Reg;
  const Reg four = V::set1(4.0f), minus4 = V::set1(-4.0f), minus5 = V::set1(-5.0f), two = V::set1(2.0f), minus2 = V::set1(-2.0f);
  const Reg a = V::fma(minus4, d[2], d[4]), b = V::fma(minus4, d[1], d[3]);
  const Reg c = V::sub(d[4], d[2]), e = V::sub(d[3], d[1]);
  o[0] = V::fma(four, d[0], V::fma(minus5, d[2], d[4]));
  o[1] = V::add(a, b);
  o[2] = V::sub(a, b);
  o[3] = V::fma(two, e, c);
  o[4] = V::fma(minus2, e, c);
  o[5] = V::fma(four, d[1], V::fma(minus5, d[3], d[5]));
}

// One axis of the output transform, A^T m.
template <class V>
inline __attribute__((always_inline)) void output_axis(const typename V::Reg (&m)[4], typename V::Reg (&y)[2]) {
  y[0] = V::add(V::add(m[0], m[1]), m[2]);
  y[1] = V::sub(V::sub(m[1], m[2]), m[3]);
}
template <class V>
inline __attribute__((always_inline)) void output_axis(const typename V::Reg (&m)[6], typename V::Reg (&y)[4]) {
  using Reg = typename V::Reg;
  const Reg two = V::set1(2.0f), four = V::set1(4.0f), eight = V::set1(8.0f);
  const Reg s1 = V::add(m[1], m[2]), d1 = V::sub(m[1], m[2]), s2 = V::add(m[3], m[4]), d2 = V::sub(m[3], m[4]);
  y[0] = V::add(V::add(m[0], s1), s2);
  y[1] = V::fma(two, d2, d1);
  y[2] = V::fma(four, s2, s1);
  y[3] = V::add(V::fma(eight, d2, d1), m[5]);
}

template <class V, size_t kOut, bool Masked>
inline __attribute__((always_inline)) void input_vector(const float* const* pixels, size_t at, typename V::Mask mask, float* v, size_t stride) {
  constexpr size_t kIn = kOut + 2;
  using Reg = typename V::Reg;
  Reg columns[kIn][kIn];  // [column][row of B^T]
#pragma GCC unroll 6
  for (size_t x = 0; x < kIn; ++x) {
    Reg d[kIn];
#pragma GCC unroll 6
    for (size_t y = 0; y < kIn; ++y) {
      const float* p = pixels[y * kIn + x] + at;
      d[y] = Masked ? V::mask_load(p, mask) : V::load(p);
    }
    input_axis<V>(d, columns[x]);
  }
#pragma GCC unroll 6
  for (size_t y = 0; y < kIn; ++y) {
    Reg row[kIn], o[kIn];
#pragma GCC unroll 6
    for (size_t x = 0; x < kIn; ++x) row[x] = columns[x][y];
    input_axis<V>(row, o);
#pragma GCC unroll 6
    for (size_t x = 0; x < kIn; ++x) {
      float* to = v + (y * kIn + x) * stride + at;
      if (Masked) V::mask_store(to, mask, o[x]);
      else V::store(to, o[x]);
    }
  }
}

template <class V, size_t kOut>
void input_tiles(const WinogradInputArgs& a, size_t tile0, size_t tile1) {
  constexpr size_t kIn = kOut + 2;
  const WinogradShape& s = a.shape;
  const size_t per_image = s.tiles_h * s.tiles_w, n = a.channels;
  for (size_t t = tile0; t < tile1; ++t) {
    const float* image = a.x + t / per_image * (s.in_h * s.in_w * n);
    const ptrdiff_t top = static_cast<ptrdiff_t>(t % per_image / s.tiles_w * kOut) - s.pad_top;
    const ptrdiff_t left = static_cast<ptrdiff_t>(t % s.tiles_w * kOut) - s.pad_left;
    const float* pixels[kIn * kIn];
    for (size_t i = 0; i < kIn; ++i) {
      for (size_t j = 0; j < kIn; ++j) {
        const ptrdiff_t y = top + static_cast<ptrdiff_t>(i), x = left + static_cast<ptrdiff_t>(j);
        const bool inside = y >= 0 && x >= 0 && y < static_cast<ptrdiff_t>(s.in_h) && x < static_cast<ptrdiff_t>(s.in_w);
        pixels[i * kIn + j] = inside ? image + (static_cast<size_t>(y) * s.in_w + static_cast<size_t>(x)) * n : a.zero;
      }
    }
    float* v = a.v + (t - tile0) * n;
    size_t c = 0;
    for (; c + V::kWidth <= n; c += V::kWidth) input_vector<V, kOut, false>(pixels, c, V::mask(1), v, a.stride);
    if (c < n) input_vector<V, kOut, true>(pixels, c, V::mask(n - c), v, a.stride);
  }
}

template <class V, size_t kOut, bool Masked>
inline __attribute__((always_inline)) void output_vector(const WinogradOutputArgs& a, const float* products, size_t row, size_t rows, size_t columns,
                                                         size_t at, typename V::Mask mask) {
  constexpr size_t kIn = kOut + 2;
  using Reg = typename V::Reg;
  const EpilogueF32& e = a.epilogue;
  Reg half[kIn][kOut];  // [column][output row]
#pragma GCC unroll 6
  for (size_t x = 0; x < kIn; ++x) {
    Reg m[kIn];
#pragma GCC unroll 6
    for (size_t y = 0; y < kIn; ++y) {
      const float* p = products + (y * kIn + x) * a.stride + at;
      m[y] = Masked ? V::mask_load(p, mask) : V::load(p);
    }
    output_axis<V>(m, half[x]);
  }
  const Reg lo = V::set1(e.lo), hi = V::set1(e.hi);
  const Reg bias = e.bias == nullptr ? V::set1(0.0f) : Masked ? V::mask_load(e.bias + at, mask) : V::load(e.bias + at);
#pragma GCC unroll 4
  for (size_t y = 0; y < kOut; ++y) {
    if (y >= rows) break;
    Reg m[kIn], o[kOut];
#pragma GCC unroll 6
    for (size_t x = 0; x < kIn; ++x) m[x] = half[x][y];
    output_axis<V>(m, o);
#pragma GCC unroll 4
    for (size_t x = 0; x < kOut; ++x) {
      if (x >= columns) break;
      const size_t pixel = row + y * a.shape.out_w + x;
      Reg value = V::add(o[x], bias);
      if (e.residual != nullptr) {
        const float* residual = e.residual + pixel * e.ld_residual + at;
        value = V::add(value, Masked ? V::mask_load(residual, mask) : V::load(residual));
      }
      value = V::clamp(value, lo, hi);
      float* to = a.c + pixel * a.ldc + at;
      if (Masked) V::mask_store(to, mask, value);
      else V::store(to, value);
    }
  }
}

template <class V, size_t kOut>
void output_tiles(const WinogradOutputArgs& a, size_t tile0, size_t tile1) {
  const WinogradShape& s = a.shape;
  const size_t per_image = s.tiles_h * s.tiles_w, n = a.channels;
  for (size_t t = tile0; t < tile1; ++t) {
    const size_t y = t % per_image / s.tiles_w * kOut, x = t % s.tiles_w * kOut;
    const size_t row = t / per_image * (s.out_h * s.out_w) + y * s.out_w + x;
    const size_t rows = smaller(kOut, s.out_h - y), columns = smaller(kOut, s.out_w - x);
    const float* products = a.products + (t - tile0) * n;
    size_t c = 0;
    for (; c + V::kWidth <= n; c += V::kWidth) output_vector<V, kOut, false>(a, products, row, rows, columns, c, V::mask(1));
    if (c < n) output_vector<V, kOut, true>(a, products, row, rows, columns, c, V::mask(n - c));
  }
}

template <class V>
void input(WinogradTile tile, const WinogradInputArgs& a, size_t tile0, size_t tile1) {
  if (tile == WinogradTile::f2) input_tiles<V, 2>(a, tile0, tile1);
  else input_tiles<V, 4>(a, tile0, tile1);
}

template <class V>
void output(WinogradTile tile, const WinogradOutputArgs& a, size_t tile0, size_t tile1) {
  if (tile == WinogradTile::f2) output_tiles<V, 2>(a, tile0, tile1);
  else output_tiles<V, 4>(a, tile0, tile1);
}
