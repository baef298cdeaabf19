// Depthwise tiles over a vector type V (see vec_f32_*.inl): 4 pixels x 2 vectors of channels, so that a weight is loaded once for
// 4 pixels. Included inside an unnamed namespace.
//
// Packed weights: panels of 2 * V::kWidth channels, each [taps][width] (gemm_f32/pack.h with k = taps).

constexpr size_t kPixels = 4;
constexpr size_t kMaxTaps = 128;  // whose addresses fit the table on the stack; larger windows find theirs in the inner loop

template <class V, int P, int NV, bool Masked, class Address>
inline __attribute__((always_inline)) void tile(const DwconvF32Args& a, const Address& address, const float* w, size_t m, size_t c,
                                                typename V::Mask mask) {
  const EpilogueF32& e = a.epilogue;
  typename V::Reg acc[P][NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    const size_t at = c + static_cast<size_t>(v) * V::kWidth;
    const bool last = Masked && v == NV - 1;
    const typename V::Reg bias = e.bias == nullptr ? V::zero() : last ? V::mask_load(e.bias + at, mask) : V::load(e.bias + at);
#pragma GCC unroll 4
    for (int i = 0; i < P; ++i) acc[i][v] = bias;
  }
  for (size_t t = 0; t < a.taps.taps; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      const typename V::Reg wv = V::load(w + static_cast<size_t>(v) * V::kWidth);
#pragma GCC unroll 4
      for (int i = 0; i < P; ++i) {
        const float* x = address(i, t) + c + static_cast<size_t>(v) * V::kWidth;
        acc[i][v] = V::fma(Masked && v == NV - 1 ? V::mask_load(x, mask) : V::load(x), wv, acc[i][v]);
      }
    }
    w += static_cast<size_t>(NV) * V::kWidth;
  }
  const typename V::Reg lo = V::set1(e.lo), hi = V::set1(e.hi);
#pragma GCC unroll 4
  for (int i = 0; i < P; ++i) {
    const size_t row = m + static_cast<size_t>(i);
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      const size_t at = c + static_cast<size_t>(v) * V::kWidth;
      const bool last = Masked && v == NV - 1;
      typename V::Reg value = acc[i][v];
      if (e.residual != nullptr) {
        const float* residual = e.residual + row * e.ld_residual + at;
        value = V::add(value, last ? V::mask_load(residual, mask) : V::load(residual));
      }
      value = V::clamp(value, lo, hi);
      if (last) V::mask_store(a.c + row * a.ldc + at, mask, value);
      else V::store(a.c + row * a.ldc + at, value);
    }
  }
}

template <class V, int P, class Address>
void channels(const DwconvF32Args& a, const Address& address, size_t m) {
  const size_t n = a.taps.channels, taps = a.taps.taps;
  const float* w = static_cast<const float*>(a.packed_w);
  size_t c = 0;
  for (; c + 2 * V::kWidth <= n; c += 2 * V::kWidth) tile<V, P, 2, false>(a, address, w + c * taps, m, c, V::mask(1));
  const size_t left = n - c;
  if (left == 0) return;
  const typename V::Mask mask = V::mask(left > V::kWidth ? left - V::kWidth : left);
  if (left > V::kWidth) tile<V, P, 2, true>(a, address, w + c * taps, m, c, mask);
  else tile<V, P, 1, true>(a, address, w + c * taps, m, c, mask);
}

template <class V>
void dwconv(const DwconvF32Args& a, size_t m0, size_t m1) {
  const Taps& taps = a.taps;
  const auto find = [&](size_t m, size_t t) {
    const int32_t offset = taps.offsets[m % taps.pixels * taps.taps + t];
    return offset < 0 ? a.zero : a.base + m / taps.pixels * taps.batch_stride + offset;
  };
  if (taps.taps > kMaxTaps) {
    for (size_t m = m0; m < m1; ++m) {
      channels<V, 1>(a, [&](int, size_t t) { return find(m, t); }, m);
    }
    return;
  }
  const float* table[kPixels][kMaxTaps];
  const auto address = [&](int i, size_t t) { return table[i][t]; };
  for (size_t m = m0; m < m1; m += kPixels) {
    const size_t count = smaller(kPixels, m1 - m);
    for (size_t i = 0; i < count; ++i) {
      const int32_t* offsets = taps.offsets + (m + i) % taps.pixels * taps.taps;
      const float* image = a.base + (m + i) / taps.pixels * taps.batch_stride;
      for (size_t t = 0; t < taps.taps; ++t) table[i][t] = offsets[t] < 0 ? a.zero : image + offsets[t];
    }
    switch (count) {
      case 4: channels<V, 4>(a, address, m); break;
      case 3: channels<V, 3>(a, address, m); break;
      case 2: channels<V, 2>(a, address, m); break;
      default: channels<V, 1>(a, address, m); break;
    }
  }
}
