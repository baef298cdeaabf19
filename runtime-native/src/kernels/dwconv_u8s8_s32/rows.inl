// Depthwise convolution through f32, written once over a vector type V of channels and included by one file per ISA, inside its unnamed namespace, after the
// integer epilogue. V gives: Reg, kWidth, kLeast, kMostStride, set1, load, store, fma, widen (8-bit values to f32), finish.
//
// Exact all the same: with |bias - zp * sum w| + 255 * sum |w| < 2^24 every partial sum is an integer that f32 holds. A block of channels of the input rows that a
// row of outputs needs is converted to f32 once, padding as the zero point; kernel rows that overlap find their rows converted.

constexpr size_t kRowFloats = 24576;  // all converted rows of a block, on the stack
constexpr size_t kRowPixels = 4;      // that share a load of weights

// True when all sums of the first `n` channels are exact in f32.
inline bool exact_in_f32(const EpilogueQ& e, const int32_t* reach, size_t n) {
  bool exact = true;
  for (size_t c = 0; c < n; ++c) {
    const int64_t bias = e.bias != nullptr ? e.bias[c] : 0;
    // |zp * sum w| is at most the reach.
    exact &= (bias < 0 ? -bias : bias) + 2 * int64_t{reach[c]} < (int64_t{1} << 24);
  }
  return exact;
}

// One input row, `columns` pixels from column -pad_left on; what lies outside of the image holds the zero point.
template <class V, int NV, bool Signed>
inline void convert_row(const TapGeometry& g, const uint8_t* row, bool inside, size_t columns, float zp, float* to) {
  constexpr size_t kBlock = static_cast<size_t>(NV) * V::kWidth;
  const size_t before = smaller(columns, g.pad_left > 0 ? static_cast<size_t>(g.pad_left) : 0);
  const size_t skipped = g.pad_left < 0 ? static_cast<size_t>(-g.pad_left) : 0;
  size_t end = inside ? smaller(columns, before + g.in_w - skipped) : before;
  const auto fill = [&](size_t x0, size_t x1) {
    for (size_t i = x0 * kBlock; i < x1 * kBlock; i += V::kWidth) V::store(to + i, V::set1(zp));
  };
  fill(0, before);
  row += skipped * g.pixel_stride;
  for (size_t x = before; x < end; ++x, row += g.pixel_stride) {
#pragma GCC unroll 2
    for (size_t v = 0; v < kBlock; v += V::kWidth) V::store(to + x * kBlock + v, V::template widen<Signed>(row + v));
  }
  fill(end, columns);
}

inline size_t row_columns(const TapGeometry& g) { return (g.out_w - 1) * g.stride_w + (g.kernel_w - 1) * g.dilation_w + 1; }

template <class V, int P, int NV>
inline __attribute__((always_inline)) void row_pixels(const TapGeometry& g, const float* const* rows, size_t x0, const float* w, const float* bias, const NarrowTile& t) {
  constexpr size_t kBlock = static_cast<size_t>(NV) * V::kWidth;
  const size_t taps = g.kernel_h * g.kernel_w, step = g.stride_w * kBlock;
  typename V::Reg acc[P][NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    const typename V::Reg b = V::load(bias + static_cast<size_t>(v) * V::kWidth);
#pragma GCC unroll 4
    for (int i = 0; i < P; ++i) acc[i][v] = b;
  }
  for (size_t ky = 0; ky < g.kernel_h; ++ky) {
    const float* row = rows[ky] + x0 * step;
    for (size_t kx = 0; kx < g.kernel_w; ++kx, row += g.dilation_w * kBlock, w += 16) {
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) {
        const size_t lane = static_cast<size_t>(v) * V::kWidth;
        const typename V::Reg wv = V::load(w + lane / 16 * taps * 16 + lane % 16);
#pragma GCC unroll 4
        for (int i = 0; i < P; ++i) acc[i][v] = V::fma(V::load(row + static_cast<size_t>(i) * step + static_cast<size_t>(v) * V::kWidth), wv, acc[i][v]);
      }
    }
  }
  V::template finish<P, NV>(acc, t);
}

// Rows [m0, m1) of channels [c, c + NV * kWidth).
template <class V, int NV>
void row_block(const DwconvQArgs& a, const RowWeights& weights, size_t m0, size_t m1, size_t c) {
  constexpr size_t kBlock = static_cast<size_t>(NV) * V::kWidth;
  const TapGeometry& g = *a.geometry;
  const EpilogueQ& e = a.epilogue;
  const size_t columns = row_columns(g), row_floats = columns * kBlock, taps = g.kernel_h * g.kernel_w;
  alignas(64) float converted[kRowFloats];
  alignas(64) float bias[kBlock];
  for (size_t j = 0; j < kBlock; ++j) bias[j] = static_cast<float>((e.bias != nullptr ? e.bias[c + j] : 0) - a.a_zp * weights.sums[c + j]);
  const float* const w = weights.taps + c * taps;
  NarrowTile t = narrow_tile(e);
  t.multiplier = e.multiplier + c;
  t.row_bytes = a.ldc;
  constexpr ptrdiff_t kNone = PTRDIFF_MIN;
  ptrdiff_t held[kMaxRows];
  const float* rows[kMaxRows];
  size_t held_image = SIZE_MAX;
  for (size_t m = m0; m < m1;) {
    const size_t image = m / a.taps.pixels, pixel = m % a.taps.pixels, oy = pixel / g.out_w, ox = pixel % g.out_w;
    const size_t x1 = smaller(g.out_w, ox + (m1 - m));
    if (image != held_image) {
      for (size_t i = 0; i < g.kernel_h; ++i) held[i] = kNone;
      held_image = image;
    }
    const uint8_t* const base = static_cast<const uint8_t*>(a.base) + image * a.taps.batch_stride + c;
    for (size_t ky = 0; ky < g.kernel_h; ++ky) {
      const ptrdiff_t y = static_cast<ptrdiff_t>(oy * g.stride_h + ky * g.dilation_h) - g.pad_top;
      // Neighbouring rows have neighbouring slots; with dilation a slot is a kernel row.
      const size_t slot = g.dilation_h == 1 ? static_cast<size_t>(y + g.pad_top) % g.kernel_h : ky;
      float* const to = converted + slot * row_floats;
      rows[ky] = to;
      if (held[slot] == y) continue;
      held[slot] = y;
      const bool inside = y >= 0 && y < static_cast<ptrdiff_t>(g.in_h);
      const uint8_t* const row = inside ? base + static_cast<size_t>(y) * g.in_w * g.pixel_stride : nullptr;
      if (a.a_type == Q8::u8) convert_row<V, NV, false>(g, row, inside, columns, static_cast<float>(a.a_zp), to);
      else convert_row<V, NV, true>(g, row, inside, columns, static_cast<float>(a.a_zp), to);
    }
    uint8_t* const out = static_cast<uint8_t*>(a.c) + m * a.ldc + c;
    for (size_t x = ox; x < x1;) {
      t.c = out + (x - ox) * a.ldc;
      const size_t left = x1 - x;
      if (left >= kRowPixels) {
        row_pixels<V, kRowPixels, NV>(g, rows, x, w, bias, t);
        x += kRowPixels;
      } else if (left >= 2) {
        row_pixels<V, 2, NV>(g, rows, x, w, bias, t);
        x += 2;
      } else {
        row_pixels<V, 1, NV>(g, rows, x, w, bias, t);
        x += 1;
      }
    }
    m += x1 - ox;
  }
}

// Does what it can through f32 and gives the channel from which the integer form must go on.
template <class V, int NV>
size_t through_f32(const DwconvQArgs& a, const RowWeights& weights, size_t m0, size_t m1) {
  const EpilogueQ& e = a.epilogue;
  const size_t n = a.taps.channels;
  if (a.geometry == nullptr || m0 >= m1 || (e.out != QOut::u8 && e.out != QOut::s8)) return 0;
  const TapGeometry& g = *a.geometry;
  // With strides each converted input serves few taps.
  if (g.stride_h * g.stride_w >= V::kMostStride) return 0;
  const size_t floats = g.kernel_h * row_columns(g);  // for one channel
  if (g.kernel_h > kMaxRows || floats * V::kWidth * static_cast<size_t>(V::kLeast) > kRowFloats || !all_finite(e.multiplier, n) || !exact_in_f32(e, weights.reach, n)) return 0;
  size_t c = 0;
  if (floats * V::kWidth * NV <= kRowFloats) {
    for (; c + NV * V::kWidth <= n; c += NV * V::kWidth) row_block<V, NV>(a, weights, m0, m1, c);
  }
  for (; c + V::kLeast * V::kWidth <= n; c += V::kLeast * V::kWidth) row_block<V, V::kLeast>(a, weights, m0, m1, c);
  return c;
}
