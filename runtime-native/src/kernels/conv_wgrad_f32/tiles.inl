// Written once over a vector type V, and Outputs<NV>: how many output channels a register tile of NV vectors of input channels has.

constexpr size_t kBlock = 128;  // rows that are taken at once: their dy and x stay in the first-level cache

/// Rows whose x and dy lie a fixed step apart.
struct Run {
  const float* x;
  const float* dy;
  size_t rows;
};
struct Runs {
  Run at[kBlock];
  size_t count = 0;
  size_t x_step, dy_step;
};

// dw[o][c] for MO outputs and NV vectors of channels, the last one of `last` lanes.
template <class V, int MO, int NV>
inline void tile(const Runs& runs, size_t o, size_t c, float* dw, size_t stride, size_t last) {
  typename V::Reg sums[MO][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MO; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) sums[i][j] = V::load_part(dw + static_cast<size_t>(i) * stride + static_cast<size_t>(j) * V::kWidth, j + 1 < NV ? V::kWidth : last, 0.0f);
  }
  const bool whole = last == V::kWidth;
  for (size_t run = 0; run < runs.count; ++run) {
    const float* x = runs.at[run].x + c;
    const float* dy = runs.at[run].dy + o;
    for (size_t r = runs.at[run].rows; r != 0; --r, x += runs.x_step, dy += runs.dy_step) {
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
  }
#pragma GCC unroll 16
  for (int i = 0; i < MO; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) V::store_part(dw + static_cast<size_t>(i) * stride + static_cast<size_t>(j) * V::kWidth, j + 1 < NV ? V::kWidth : last, sums[i][j]);
  }
}

template <class V, int NV>
inline void columns(const Runs& runs, size_t o0, size_t o1, size_t c, float* dw, size_t stride, size_t last) {
  constexpr int kMost = Outputs<NV>::kCount;
  size_t o = o0;
  for (; o + kMost <= o1; o += kMost) tile<V, kMost, NV>(runs, o, c, dw + o * stride, stride, last);
  for (; o + 4 <= o1; o += 4) tile<V, 4, NV>(runs, o, c, dw + o * stride, stride, last);
  for (; o < o1; ++o) tile<V, 1, NV>(runs, o, c, dw + o * stride, stride, last);
}

// The other way round, for images of few channels: vectors run over outputs. `outputs` of them, MC channels.
template <class V, int MC>
inline void tile_across(const Runs& runs, size_t o, size_t outputs, size_t c, float* dw, size_t stride) {
  float lanes[MC][V::kWidth] = {};
  typename V::Reg sums[MC];
#pragma GCC unroll 8
  for (int j = 0; j < MC; ++j) {
    for (size_t i = 0; i < outputs; ++i) lanes[j][i] = dw[i * stride + static_cast<size_t>(j)];
    sums[j] = V::load(lanes[j]);
  }
  const bool whole = outputs == V::kWidth;
  for (size_t run = 0; run < runs.count; ++run) {
    const float* x = runs.at[run].x + c;
    const float* dy = runs.at[run].dy + o;
    for (size_t r = runs.at[run].rows; r != 0; --r, x += runs.x_step, dy += runs.dy_step) {
      const typename V::Reg g = whole ? V::load(dy) : V::load_part(dy, outputs, 0.0f);
#pragma GCC unroll 8
      for (int j = 0; j < MC; ++j) sums[j] = V::fma(g, V::set1(x[j]), sums[j]);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < MC; ++j) {
    V::store(lanes[j], sums[j]);
    for (size_t i = 0; i < outputs; ++i) dw[i * stride + static_cast<size_t>(j)] = lanes[j][i];
  }
}

template <class V>
inline void columns_across(const Runs& runs, size_t o0, size_t o1, size_t channels, float* dw, size_t stride) {
  for (size_t o = o0; o < o1; o += V::kWidth) {
    const size_t outputs = o1 - o < V::kWidth ? o1 - o : V::kWidth;
    float* const to = dw + o * stride;
    size_t c = 0;
    for (; c + 8 <= channels; c += 8) tile_across<V, 8>(runs, o, outputs, c, to + c, stride);
    for (; c + 3 <= channels; c += 3) tile_across<V, 3>(runs, o, outputs, c, to + c, stride);
    for (; c < channels; ++c) tile_across<V, 1>(runs, o, outputs, c, to + c, stride);
  }
}

/// Output positions [from, to) along one axis whose tap lies in the image.
struct Inside {
  size_t from, to;
};
inline Inside inside(size_t out, size_t in, size_t stride, ptrdiff_t shift) {
  const ptrdiff_t step = static_cast<ptrdiff_t>(stride), past = static_cast<ptrdiff_t>(in) - shift;
  const ptrdiff_t from = shift >= 0 ? 0 : (-shift + step - 1) / step, to = past <= 0 ? 0 : (past + step - 1) / step;
  const ptrdiff_t most = static_cast<ptrdiff_t>(out);
  return {static_cast<size_t>(from < most ? from : most), static_cast<size_t>(to < most ? to : most)};
}

/// The rows [from, to) that tap t reads, without those in the padding.
inline void gather(const ConvWgradF32Args& args, size_t from, size_t to, size_t t, Runs* runs) {
  const TapGeometry& g = args.geometry;
  const ptrdiff_t down = static_cast<ptrdiff_t>(t / g.kernel_w * g.dilation_h) - g.pad_top, right = static_cast<ptrdiff_t>(t % g.kernel_w * g.dilation_w) - g.pad_left;
  const Inside ys = inside(g.out_h, g.in_h, g.stride_h, down), xs = inside(g.out_w, g.in_w, g.stride_w, right);
  runs->count = 0;
  runs->x_step = g.stride_w * g.pixel_stride;
  runs->dy_step = args.ld_dy;
  const size_t pixels = g.out_h * g.out_w;
  size_t image = from / pixels, y = from % pixels / g.out_w, x = from % g.out_w;
  for (size_t r = from; r < to;) {
    const size_t end = x + (to - r) < g.out_w ? x + (to - r) : g.out_w;
    const size_t first = x > xs.from ? x : xs.from, past = end < xs.to ? end : xs.to;
    if (y >= ys.from && y < ys.to && first < past) {
      const ptrdiff_t row = static_cast<ptrdiff_t>(y * g.stride_h) + down, column = static_cast<ptrdiff_t>(first * g.stride_w) + right;
      const float* const at = args.x + ((image * g.in_h + static_cast<size_t>(row)) * g.in_w + static_cast<size_t>(column)) * g.pixel_stride;
      const float* const dy = args.dy + (r + first - x) * args.ld_dy;
      Run* const last = runs->count == 0 ? nullptr : &runs->at[runs->count - 1];
      if (last != nullptr && last->x + last->rows * runs->x_step == at && last->dy + last->rows * runs->dy_step == dy) last->rows += past - first;
      else runs->at[runs->count++] = {at, dy, past - first};
    }
    r += end - x;
    x = 0;
    if (++y == g.out_h) {
      y = 0;
      ++image;
    }
  }
}

template <class V>
void accumulate(const ConvWgradF32Args& args, size_t r0, size_t r1, size_t o0, size_t o1) {
  const size_t taps = args.geometry.kernel_h * args.geometry.kernel_w, channels = args.channels, stride = taps * channels;
  const auto vectors = [](size_t count) { return (count + V::kWidth - 1) / V::kWidth; };
  // Multiply-adds of a row; across, the sums are fewer and each waits for the one before.
  const bool across = 2 * channels * vectors(o1 - o0) <= (o1 - o0) * vectors(channels);
  for (size_t from = r0; from < r1; from += kBlock) {
    const size_t to = from + kBlock < r1 ? from + kBlock : r1;
    for (size_t t = 0; t < taps; ++t) {
      Runs runs;
      gather(args, from, to, t, &runs);
      if (runs.count == 0) continue;
      float* const dw = args.dw + t * channels;
      if (across) {
        columns_across<V>(runs, o0, o1, channels, dw, stride);
        continue;
      }
      size_t c = 0;
      while (c < channels) {
        const size_t left = channels - c;
        if (left > V::kWidth) {
          const size_t width = left < 2 * V::kWidth ? left : 2 * V::kWidth;
          columns<V, 2>(runs, o0, o1, c, dw + c, stride, width - V::kWidth);
          c += width;
        } else {
          columns<V, 1>(runs, o0, o1, c, dw + c, stride, left);
          c += left;
        }
      }
    }
  }
}

template <class V>
void accumulate_depthwise(const ConvWgradF32Args& args, size_t r0, size_t r1) {
  const size_t taps = args.geometry.kernel_h * args.geometry.kernel_w;
  for (size_t from = r0; from < r1; from += kBlock) {
    const size_t to = from + kBlock < r1 ? from + kBlock : r1;
    for (size_t t = 0; t < taps; ++t) {
      Runs runs;
      gather(args, from, to, t, &runs);
      float* const dw = args.dw + t * args.channels;
      for (size_t c = 0; c < args.channels; c += V::kWidth) {
        const size_t left = args.channels - c;
        typename V::Reg sum = V::load_part(dw + c, left, 0.0f);
        for (size_t run = 0; run < runs.count; ++run) {
          const float* x = runs.at[run].x + c;
          const float* dy = runs.at[run].dy + c;
          for (size_t r = runs.at[run].rows; r != 0; --r, x += runs.x_step, dy += runs.dy_step) sum = V::fma(V::load_part(dy, left, 0.0f), V::load_part(x, left, 0.0f), sum);
        }
        V::store_part(dw + c, left, sum);
      }
    }
  }
}
