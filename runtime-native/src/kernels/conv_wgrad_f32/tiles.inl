// Written once over a vector type V, and Outputs<NV>: how many output channels a register tile of NV vectors of input channels has.

constexpr size_t kBlock = 128;  // rows whose addresses are gathered at once: their dy and x stay in the first-level cache

struct Rows {
  const float* x[kBlock];
  const float* dy[kBlock];
  size_t count;
};

// dw[o][c] for MO outputs and NV vectors of channels, the last one of `last` lanes.
template <class V, int MO, int NV>
inline void tile(const Rows& rows, size_t o, size_t c, float* dw, size_t stride, size_t last) {
  typename V::Reg sums[MO][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MO; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) sums[i][j] = V::load_part(dw + static_cast<size_t>(i) * stride + static_cast<size_t>(j) * V::kWidth, j + 1 < NV ? V::kWidth : last, 0.0f);
  }
  const bool whole = last == V::kWidth;
  for (size_t r = 0; r < rows.count; ++r) {
    const float* const x = rows.x[r] + c;
    const float* const dy = rows.dy[r] + o;
    typename V::Reg v[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) v[j] = whole || j + 1 < NV ? V::load(x + static_cast<size_t>(j) * V::kWidth) : V::load_part(x + static_cast<size_t>(j) * V::kWidth, last, 0.0f);
#pragma GCC unroll 16
    for (int i = 0; i < MO; ++i) {
      const typename V::Reg g = V::set1(dy[i]);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) sums[i][j] = V::fma(g, v[j], sums[i][j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MO; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) V::store_part(dw + static_cast<size_t>(i) * stride + static_cast<size_t>(j) * V::kWidth, j + 1 < NV ? V::kWidth : last, sums[i][j]);
  }
}

template <class V, int NV>
inline void columns(const Rows& rows, size_t o0, size_t o1, size_t c, float* dw, size_t stride, size_t last) {
  constexpr int kMost = Outputs<NV>::kCount;
  size_t o = o0;
  for (; o + kMost <= o1; o += kMost) tile<V, kMost, NV>(rows, o, c, dw + o * stride, stride, last);
  for (; o + 4 <= o1; o += 4) tile<V, 4, NV>(rows, o, c, dw + o * stride, stride, last);
  for (; o < o1; ++o) tile<V, 1, NV>(rows, o, c, dw + o * stride, stride, last);
}

/// Addresses of the rows [from, to) that tap t reads, without those in the padding.
inline void gather(const ConvWgradF32Args& args, size_t from, size_t to, size_t t, Rows* rows) {
  const Taps& taps = args.taps;
  rows->count = 0;
  size_t image = from / taps.pixels, pixel = from % taps.pixels;
  for (size_t r = from; r < to; ++r) {
    const int32_t offset = taps.offsets[pixel * taps.taps + t];
    if (offset >= 0) {
      rows->x[rows->count] = args.x + image * taps.batch_stride + static_cast<size_t>(offset);
      rows->dy[rows->count++] = args.dy + r * args.ld_dy;
    }
    if (++pixel == taps.pixels) {
      pixel = 0;
      ++image;
    }
  }
}

template <class V>
void accumulate(const ConvWgradF32Args& args, size_t r0, size_t r1, size_t o0, size_t o1) {
  const Taps& taps = args.taps;
  const size_t stride = taps.taps * taps.channels;
  for (size_t from = r0; from < r1; from += kBlock) {
    const size_t to = from + kBlock < r1 ? from + kBlock : r1;
    for (size_t t = 0; t < taps.taps; ++t) {
      Rows rows;
      gather(args, from, to, t, &rows);
      if (rows.count == 0) continue;
      float* const dw = args.dw + t * taps.channels;
      size_t c = 0;
      while (c < taps.channels) {
        const size_t left = taps.channels - c;
        if (left > V::kWidth) {
          const size_t width = left < 2 * V::kWidth ? left : 2 * V::kWidth;
          columns<V, 2>(rows, o0, o1, c, dw + c, stride, width - V::kWidth);
          c += width;
        } else {
          columns<V, 1>(rows, o0, o1, c, dw + c, stride, left);
          c += left;
        }
      }
    }
  }
}

template <class V>
void accumulate_depthwise(const ConvWgradF32Args& args, size_t r0, size_t r1) {
  const Taps& taps = args.taps;
  for (size_t from = r0; from < r1; from += kBlock) {
    const size_t to = from + kBlock < r1 ? from + kBlock : r1;
    for (size_t t = 0; t < taps.taps; ++t) {
      Rows rows;
      gather(args, from, to, t, &rows);
      float* const dw = args.dw + t * taps.channels;
      for (size_t c = 0; c < taps.channels; c += V::kWidth) {
        const size_t left = taps.channels - c;
        typename V::Reg sum = V::load_part(dw + c, left, 0.0f);
        for (size_t r = 0; r < rows.count; ++r) sum = V::fma(V::load_part(rows.dy[r] + c, left, 0.0f), V::load_part(rows.x[r] + c, left, 0.0f), sum);
        V::store_part(dw + c, left, sum);
      }
    }
  }
}
