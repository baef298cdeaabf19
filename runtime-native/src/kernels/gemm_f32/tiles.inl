// Register tiles and loops of gemm_f32, written once over a vector type V and included by one file per ISA, inside its
// unnamed namespace. V gives: Reg, Mask, kWidth, zero, set1, load, store, broadcast, fma, add, clamp, mask, mask_load, mask_store.
//
// Packed B: panels of 2 * V::kWidth columns, each [k][width]; the last panel is one vector wide if that is enough.

// Where the rows of one tile are read. Gemm: a pointer per row. Conv: an image base and a row of offsets per row.
template <bool Indirect, int MR>
struct TileRows {
  const float* base[MR];
  const int32_t* offsets[MR];
  const float* zero;
  size_t taps, channels;
};

// acc[i][v] += sum over k of A[i][k] * B[k][v]; one FMA chain per element, k ascending.
template <class V, int MR, int NV, bool Indirect>
inline __attribute__((always_inline)) void multiply(const TileRows<Indirect, MR>& rows, const float* b, size_t panel_stride,
                                                    typename V::Reg (&acc)[MR][NV]) {
  constexpr int kPanelVectors = NV == 1 ? 1 : 2;
  constexpr size_t kStep = kPanelVectors * V::kWidth;
  for (size_t t = 0; t < rows.taps; ++t) {
    const float* a[MR];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      if constexpr (Indirect) {
        const int32_t offset = rows.offsets[i][t];
        a[i] = offset < 0 ? rows.zero : rows.base[i] + offset;
      } else {
        a[i] = rows.base[i];
      }
    }
    const size_t channels = rows.channels;
    for (size_t k = 0; k < channels; ++k) {
      const auto panel_at = [&](int v) {
        return b + static_cast<size_t>(v / kPanelVectors) * panel_stride + static_cast<size_t>(v % kPanelVectors) * V::kWidth;
      };
      if constexpr (NV > 2) {
        // Wide and low: each B vector is used at once, so that the registers suffice.
        typename V::Reg av[MR];
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) av[i] = V::broadcast(a[i] + k);
#pragma GCC unroll 16
        for (int v = 0; v < NV; ++v) {
          const typename V::Reg bv = V::load(panel_at(v));
#pragma GCC unroll 16
          for (int i = 0; i < MR; ++i) acc[i][v] = V::fma(av[i], bv, acc[i][v]);
        }
      } else {
        typename V::Reg bv[NV];
#pragma GCC unroll 16
        for (int v = 0; v < NV; ++v) bv[v] = V::load(panel_at(v));
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) {
          const typename V::Reg av = V::broadcast(a[i] + k);
#pragma GCC unroll 16
          for (int v = 0; v < NV; ++v) acc[i][v] = V::fma(av, bv[v], acc[i][v]);
        }
      }
      b += kStep;
    }
  }
}

// Adds bias and residual, clamps, and stores one tile whose first element is (row m, column n).
template <class V, int MR, int NV>
inline __attribute__((always_inline)) void finish(const EpilogueF32& e, size_t m, size_t n, size_t columns, float* c, size_t ldc,
                                                  typename V::Reg (&acc)[MR][NV]) {
  const typename V::Reg lo = V::set1(e.lo), hi = V::set1(e.hi);
  const float* residual = e.residual != nullptr ? e.residual + m * e.ld_residual + n : nullptr;
  c += m * ldc + n;
  if (columns == static_cast<size_t>(NV) * V::kWidth) {
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) {
      const size_t at = static_cast<size_t>(v) * V::kWidth;
      if (e.bias != nullptr) {
        const typename V::Reg bias = V::load(e.bias + n + at);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) acc[i][v] = V::add(acc[i][v], bias);
      }
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        typename V::Reg value = acc[i][v];
        if (residual != nullptr) value = V::add(value, V::load(residual + static_cast<size_t>(i) * e.ld_residual + at));
        V::store(c + static_cast<size_t>(i) * ldc + at, V::clamp(value, lo, hi));
      }
    }
    return;
  }
#pragma GCC unroll 16
  for (int v = 0; v < NV; ++v) {
    const size_t at = static_cast<size_t>(v) * V::kWidth;
    if (at < columns) {
      const typename V::Mask mask = V::mask(smaller(columns - at, V::kWidth));
      const typename V::Reg bias = e.bias != nullptr ? V::mask_load(e.bias + n + at, mask) : V::zero();
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        typename V::Reg value = acc[i][v];
        if (e.bias != nullptr) value = V::add(value, bias);
        if (residual != nullptr) value = V::add(value, V::mask_load(residual + static_cast<size_t>(i) * e.ld_residual + at, mask));
        V::mask_store(c + static_cast<size_t>(i) * ldc + at, mask, V::clamp(value, lo, hi));
      }
    }
  }
}

// One problem, both kinds, in the form that the loops need.
struct Problem {
  const float* base;
  size_t lda;  // gemm
  const int32_t* offsets;
  const float* zero;
  size_t pixels, batch_stride;  // conv
  size_t taps, channels, k;
  const float* packed;
  float* c;
  size_t ldc;
  const EpilogueF32* epilogue;
};

// Not inlined: next to the callers' values GCC 12 keeps one accumulator of 6 x 2 in memory, which halves the speed.
template <class V, int MR, int NV, bool Indirect>
__attribute__((noinline)) void tile(const Problem& p, size_t m, size_t n, size_t columns) {
  TileRows<Indirect, MR> rows;
  rows.zero = p.zero;
  rows.taps = p.taps;
  rows.channels = p.channels;
  if constexpr (Indirect) {
    size_t image = m / p.pixels, pixel = m % p.pixels;
    for (int i = 0; i < MR; ++i) {
      rows.base[i] = p.base + image * p.batch_stride;
      rows.offsets[i] = p.offsets + pixel * p.taps;
      if (++pixel == p.pixels) {
        pixel = 0;
        ++image;
      }
    }
  } else {
    for (int i = 0; i < MR; ++i) rows.base[i] = p.base + (m + static_cast<size_t>(i)) * p.lda;
  }
  typename V::Reg acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) acc[i][v] = V::zero();
  }
  multiply<V, MR, NV, Indirect>(rows, p.packed + n * p.k, 2 * V::kWidth * p.k, acc);
  finish<V, MR, NV>(*p.epilogue, m, n, columns, p.c, p.ldc, acc);
}

// Takes up to `rows` rows, and says how many: all of them up to 8 rows, above 8 those that a full tile leaves in two steps (fewer
// tiles to compile).
template <class V, int MR, int NV, bool Indirect>
size_t tile_of_rows(const Problem& p, size_t rows, size_t m, size_t n, size_t columns) {
  if constexpr (MR > 1) {
    if (rows < static_cast<size_t>(MR)) return tile_of_rows<V, (MR > 8 ? 8 : MR - 1), NV, Indirect>(p, rows, m, n, columns);
  }
  tile<V, MR, NV, Indirect>(p, m, n, columns);
  return MR;
}

// MR: rows of the full tile.
template <class V, int MR, bool Indirect>
void compute(const Problem& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  constexpr size_t kPanel = 2 * V::kWidth;
  // Few rows give too few independent chains to hide the FMA's latency, so take several panels at once.
  while (m1 - m0 <= 2 && m0 < m1 && n1 - n0 >= 2 * kPanel) {
    if (m1 - m0 == 1 && n1 - n0 >= 4 * kPanel) {
      tile<V, 1, 8, Indirect>(p, m0, n0, 4 * kPanel);
      n0 += 4 * kPanel;
    } else {
      if (m1 - m0 == 1) tile<V, 1, 4, Indirect>(p, m0, n0, 2 * kPanel);
      else tile<V, 2, 4, Indirect>(p, m0, n0, 2 * kPanel);
      n0 += 2 * kPanel;
    }
  }
  // Rows whose inputs stay in the second-level cache while all panels pass over them (neighbouring taps share inputs).
  constexpr size_t kChunkFloats = 32768;
  const size_t chunk = round_up(kChunkFloats / (p.channels + 1) + 1, MR);
  for (size_t mc = m0; mc < m1; mc += chunk) {
    const size_t mc_end = smaller(mc + chunk, m1);
    for (size_t n = n0; n < n1; n += kPanel) {
      const size_t columns = smaller(n1 - n, kPanel);
      for (size_t m = mc; m < mc_end;) {
        const size_t rows = mc_end - m;
        m += columns > V::kWidth ? tile_of_rows<V, MR, 2, Indirect>(p, rows, m, n, columns)
                                 : tile_of_rows<V, MR, 1, Indirect>(p, rows, m, n, columns);
      }
    }
  }
}

template <class V, int MR>
void gemm(const GemmF32Args& a, size_t m0, size_t m1, size_t n0, size_t n1) {
  Problem p{};
  p.base = a.a;
  p.lda = a.lda;
  p.taps = 1;
  p.channels = p.k = a.k;
  p.packed = static_cast<const float*>(a.packed_b);
  p.c = a.c;
  p.ldc = a.ldc;
  p.epilogue = &a.epilogue;
  compute<V, MR, false>(p, m0, m1, n0, n1);
}

template <class V, int MR>
void conv(const ConvF32Args& a, size_t m0, size_t m1, size_t n0, size_t n1) {
  Problem p{};
  p.base = a.base;
  p.offsets = a.taps.offsets;
  p.zero = a.zero;
  p.pixels = a.taps.pixels;
  p.batch_stride = a.taps.batch_stride;
  p.taps = a.taps.taps;
  p.channels = a.taps.channels;
  p.k = p.taps * p.channels;
  p.packed = static_cast<const float*>(a.packed_b);
  p.c = a.c;
  p.ldc = a.ldc;
  p.epilogue = &a.epilogue;
  compute<V, MR, true>(p, m0, m1, n0, n1);
}
