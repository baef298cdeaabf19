// Register tiles and loops of gemm_f32, written once over a vector type V and included by one file per ISA, inside its
// unnamed namespace. V gives: Reg, Mask, kWidth, zero, set1, load, store, broadcast, fma, add, clamp, mask, mask_load, mask_store.
//
// Packed B: panels of 2 * V::kWidth columns, each [k][width]; the last panel is one vector wide if that is enough.

// Where the rows of one tile are read, for one block of k: taps [tap0, tap1), channels [from, to) of each. Gemm: a pointer per row, one tap.
// Conv: an image base and a row of offsets per row.
template <bool Indirect, int MR>
struct TileRows {
  const float* base[MR];
  const int32_t* offsets[MR];
  const float* zero;
  size_t tap0, tap1, from, to;
};

// acc[i][v] += sum over the block's k of A[i][k] * B[k][v]; one FMA chain per element, k ascending. Meanwhile half a panel at `ahead` is asked for:
// weights that are used next come from far away in one long stream.
template <class V, int MR, int NV, bool Indirect>
inline __attribute__((always_inline)) void multiply(const TileRows<Indirect, MR>& rows, const float* b, const float* ahead, size_t panel_stride,
                                                    typename V::Reg (&acc)[MR][NV]) {
  constexpr int kPanelVectors = NV == 1 ? 1 : 2;
  constexpr size_t kStep = kPanelVectors * V::kWidth;
  const size_t channels = rows.to - rows.from;
  for (size_t t = rows.tap0; t < rows.tap1; ++t) {
    const float* a[MR];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      if constexpr (Indirect) {
        const int32_t offset = rows.offsets[i][t];
        a[i] = (offset < 0 ? rows.zero : rows.base[i] + offset) + rows.from;
      } else {
        a[i] = rows.base[i] + rows.from;
      }
    }
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
        prefetch_l2(ahead);
        ahead += V::kWidth;
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

// Weights of so many floats stay in the second-level cache: then chunks of rows are also small enough that their results stay there until the last panel.
constexpr size_t kNearFloats = 131072;

// One block of k. Chains begin in the first block and rest in C between blocks.
struct Block {
  size_t tap0, tap1, from, to;
  size_t k;  // depth of its first row in the packed panel
  bool first, last;
};

// Begins the chains: bias + residual, or what the block before has left in C. Ends them: clamp in the last block.
template <class V, int MR, int NV, bool Masked>
inline __attribute__((always_inline)) void begin(const EpilogueF32& e, bool first, size_t m, size_t n, size_t columns, const float* c, size_t ldc,
                                                 typename V::Reg (&acc)[MR][NV]) {
  if (!first || e.residual != nullptr) {
    const float* from = first ? e.residual + m * e.ld_residual + n : c + m * ldc + n;
    const size_t ld = first ? e.ld_residual : ldc;
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) {
      const size_t at = static_cast<size_t>(v) * V::kWidth;
      if (Masked && at >= columns) {
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) acc[i][v] = V::zero();
        continue;
      }
      const typename V::Mask mask = V::mask(Masked ? smaller(columns - at, V::kWidth) : V::kWidth);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const float* row = from + static_cast<size_t>(i) * ld + at;
        acc[i][v] = Masked ? V::mask_load(row, mask) : V::load(row);
      }
    }
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 16
      for (int v = 0; v < NV; ++v) acc[i][v] = V::zero();
    }
  }
  if (first && e.bias != nullptr) {
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) {
      const size_t at = static_cast<size_t>(v) * V::kWidth;
      if (Masked && at >= columns) continue;
      const typename V::Reg bias = Masked ? V::mask_load(e.bias + n + at, V::mask(smaller(columns - at, V::kWidth))) : V::load(e.bias + n + at);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) acc[i][v] = V::add(bias, acc[i][v]);
    }
  }
}

template <class V, int MR, int NV, bool Masked>
inline __attribute__((always_inline)) void end(const EpilogueF32& e, bool last, size_t m, size_t n, size_t columns, float* c, size_t ldc,
                                               typename V::Reg (&acc)[MR][NV]) {
  const typename V::Reg lo = V::set1(last ? e.lo : -kInfinity), hi = V::set1(last ? e.hi : kInfinity);
  c += m * ldc + n;
#pragma GCC unroll 16
  for (int v = 0; v < NV; ++v) {
    const size_t at = static_cast<size_t>(v) * V::kWidth;
    if (Masked && at >= columns) continue;
    const typename V::Mask mask = V::mask(Masked ? smaller(columns - at, V::kWidth) : V::kWidth);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      float* row = c + static_cast<size_t>(i) * ldc + at;
      const typename V::Reg value = V::clamp(acc[i][v], lo, hi);
      if (Masked) V::mask_store(row, mask, value);
      else V::store(row, value);
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
__attribute__((noinline)) void tile(const Problem& p, const Block& block, size_t m, size_t n, size_t columns, const float* ahead) {
  TileRows<Indirect, MR> rows;
  rows.zero = p.zero;
  rows.tap0 = block.tap0;
  rows.tap1 = block.tap1;
  rows.from = block.from;
  rows.to = block.to;
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
  const size_t panel = (NV == 1 ? 1 : 2) * V::kWidth;
  const float* b = p.packed + n * p.k + block.k * panel;
  for (int i = 0; i < MR; ++i) prefetch_to_write(p.c + (m + static_cast<size_t>(i)) * p.ldc + n, columns * sizeof(float));
  typename V::Reg acc[MR][NV];
  if (columns == static_cast<size_t>(NV) * V::kWidth) {
    begin<V, MR, NV, false>(*p.epilogue, block.first, m, n, columns, p.c, p.ldc, acc);
    multiply<V, MR, NV, Indirect>(rows, b, ahead, panel * p.k, acc);
    end<V, MR, NV, false>(*p.epilogue, block.last, m, n, columns, p.c, p.ldc, acc);
  } else {
    begin<V, MR, NV, true>(*p.epilogue, block.first, m, n, columns, p.c, p.ldc, acc);
    multiply<V, MR, NV, Indirect>(rows, b, ahead, panel * p.k, acc);
    end<V, MR, NV, true>(*p.epilogue, block.last, m, n, columns, p.c, p.ldc, acc);
  }
}

// Takes up to `rows` rows, and says how many: all of them up to 8 rows, above 8 those that a full tile leaves in two steps (fewer
// tiles to compile).
template <class V, int MR, int NV, bool Indirect>
size_t tile_of_rows(const Problem& p, const Block& block, size_t rows, size_t m, size_t n, size_t columns, const float* ahead) {
  if constexpr (MR > 1) {
    if (rows < static_cast<size_t>(MR)) return tile_of_rows<V, (MR > 8 ? 8 : MR - 1), NV, Indirect>(p, block, rows, m, n, columns, ahead);
  }
  tile<V, MR, NV, Indirect>(p, block, m, n, columns, ahead);
  return MR;
}

// Depth of a block: its part of a panel streams from the second-level cache while the rows of a chunk pass. (A part that fits the first level
// was slower on Zen 3: loading and storing C costs more than L2's latency, which prefetching hides.)
constexpr size_t kBlockDepth = 1024;
// Floats of A that a chunk of rows reads in one block: they stay in the second-level cache while all panels pass.
constexpr size_t kChunkFloats = 65536;

// One block of k for rows [m0, m1), all panels. The two tiles of rows after each other ask for the halves of the panel behind, whatever comes then for
// these again.
template <class V, int MR, bool Indirect>
void compute_block(const Problem& p, const Block& block, size_t m0, size_t m1, size_t n0, size_t n1) {
  constexpr size_t kPanel = 2 * V::kWidth;
  const size_t depth = (block.tap1 - block.tap0) * (block.to - block.from);
  for (size_t n = n0; n < n1; n += kPanel) {
    const size_t columns = smaller(n1 - n, kPanel);
    const bool whole = n + 2 * kPanel <= n1;
    const float* const next = p.packed + (whole ? n + kPanel : n) * p.k + block.k * (columns > V::kWidth ? kPanel : V::kWidth);
    bool second = false;
    for (size_t m = m0; m < m1; second = !second) {
      const size_t rows = rows_of_tile(m1 - m, MR);
      const float* const ahead = next + (second && whole ? depth * V::kWidth : 0);
      m += columns > V::kWidth ? tile_of_rows<V, MR, 2, Indirect>(p, block, rows, m, n, columns, ahead)
                               : tile_of_rows<V, MR, 1, Indirect>(p, block, rows, m, n, columns, ahead);
    }
  }
}

// The same where rows lie a multiple of a page apart: so many of them fall into one set of the first-level cache that they push each other out, unless
// the tile is lower.
constexpr size_t kPage = 4096;
template <class V, int MR, bool Indirect>
void compute_rows(const Problem& p, const Block& block, size_t m0, size_t m1, size_t n0, size_t n1) {
  if constexpr (!Indirect && MR > 8) {
    if (p.lda * sizeof(float) % kPage == 0) return compute_block<V, 8, Indirect>(p, block, m0, m1, n0, n1);
  }
  compute_block<V, MR, Indirect>(p, block, m0, m1, n0, n1);
}

// MR: rows of the full tile.
template <class V, int MR, bool Indirect>
void compute(const Problem& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  constexpr size_t kPanel = 2 * V::kWidth, kDepth = kBlockDepth;
  const Block all{0, p.taps, 0, p.channels, 0, true, true};
  // Few rows give too few independent chains to hide the FMA's latency, so take several panels at once.
  while (m1 - m0 <= 2 && m0 < m1 && n1 - n0 >= 2 * kPanel) {
    if (m1 - m0 == 1 && n1 - n0 >= 4 * kPanel) {
      tile<V, 1, 8, Indirect>(p, all, m0, n0, 4 * kPanel, p.packed);
      n0 += 4 * kPanel;
    } else {
      if (m1 - m0 == 1) tile<V, 1, 4, Indirect>(p, all, m0, n0, 2 * kPanel, p.packed);
      else tile<V, 2, 4, Indirect>(p, all, m0, n0, 2 * kPanel, p.packed);
      n0 += 2 * kPanel;
    }
  }
  // Blocks of equal depth: several taps, or a part of one tap's channels.
  const size_t blocks = p.k <= kDepth + kDepth / 2 ? 1 : (p.k + kDepth - 1) / kDepth;
  const size_t pieces = blocks == 1 ? 1 : (p.channels + kDepth - 1) / kDepth;
  const size_t piece = pieces == 0 ? 0 : (p.channels + pieces - 1) / pieces;
  const size_t taps = blocks == 1 ? p.taps : pieces > 1 ? 1 : (p.taps + blocks - 1) / blocks;
  // Chunks of equal size: a small last one would pass over all of B for a few rows.
  size_t most = kChunkFloats / ((Indirect ? piece : taps * piece) + 1) + MR;
  if (n0 < n1 && p.k * (n1 - n0) <= kNearFloats) most = smaller(most, kChunkFloats / (n1 - n0) + 4 * MR);
  const size_t chunks = (m1 - m0 + most - 1) / most;
  const size_t chunk = chunks == 0 ? MR : round_up((m1 - m0 + chunks - 1) / chunks, MR);
  for (size_t mc = m0; mc < m1; mc += chunk) {
    const size_t mc_end = smaller(mc + chunk, m1);
    if (blocks == 1) {
      compute_rows<V, MR, Indirect>(p, all, mc, mc_end, n0, n1);
      continue;
    }
    for (size_t t = 0; t < p.taps; t += taps) {
      for (size_t c = 0; c < p.channels; c += piece) {
        Block block;
        block.tap0 = t;
        block.tap1 = smaller(t + taps, p.taps);
        block.from = c;
        block.to = smaller(c + piece, p.channels);
        block.k = t * p.channels + c;
        block.first = block.k == 0;
        block.last = block.tap1 == p.taps && block.to == p.channels;
        compute_rows<V, MR, Indirect>(p, block, mc, mc_end, n0, n1);
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
