// Register tiles and loops of gemm_u8s8_s32, written once over a vector type V and included by one file per ISA, inside its
// unnamed namespace. V gives: Reg (s32 lanes), Element (what is multiplied), kWidth (lanes), kGranule (k per lane and step),
// kRows, kSubtractsZeroPoint (see below), zero, load, store, load_b, broadcast_a, dot, fill, finish_rows.
//
// Where Element is u8, u8 rows are multiplied where they stand. Else the rows of a chunk are first gathered into a buffer on the stack, in
// the form that the multiplier takes: this is where taps, padding, types and zero points end, and it costs one pass over A for all columns.
// Where V::kSubtractsZeroPoint, the buffer holds x - zp; otherwise x (s8 moved up by 128) and the column sums correct the result.

// The buffer on the stack, and what is aimed at in it, so that it stays in the first-level cache.
template <class V>
constexpr size_t kBufferElements = 49152 / sizeof(typename V::Element);
template <class V>
constexpr size_t kChunkElements = kBufferElements<V> / 2;
// Bytes of A in a chunk of rows that are read in place: they stay in the second-level cache while all panels pass.
constexpr size_t kChunkBytes = 262144;
// Weights of so many bytes stay in the first-level cache: rows then pass in small chunks, so that results are written while their lines are near.
constexpr size_t kNearBytes = 24576, kNearTiles = 8;
// Convolutions with fewer channels are gathered: finding a tap would cost more than its few multiplications.
constexpr size_t kLeastChannels = 8;

struct Problem {
  const uint8_t* base;
  Q8 type;
  int32_t zp;
  size_t lda;  // gemm: elements between rows; taps = 1
  const int32_t* offsets;
  const uint8_t* zero;
  size_t pixels, batch_stride;
  size_t taps, channels, k;
  const int32_t* sums;
  const int8_t* panels;
  uint8_t* c;
  size_t ldc;
  const EpilogueQ* epilogue;
};

// Gathers k range [k0, k1) of row m; rounds up to the granule with zeros.
template <class V, bool Indirect>
void gather(const Problem& p, size_t m, size_t k0, size_t k1, typename V::Element* dst) {
  typename V::Element* const end = dst + round_up(k1 - k0, V::kGranule);
  if constexpr (!Indirect) {
    V::fill(p.base + m * p.lda + k0, p.type, p.zp, k1 - k0, dst);
    dst += k1 - k0;
  } else {
    const int32_t* offsets = p.offsets + m % p.pixels * p.taps;
    const uint8_t* image = p.base + m / p.pixels * p.batch_stride;
    size_t t = k0 / p.channels, inside = k0 % p.channels;
    for (size_t k = k0; k < k1;) {
      size_t count = p.channels - inside;
      const uint8_t* source = offsets[t] < 0 ? p.zero : image + offsets[t];
      // Taps that follow each other in memory are one run: with few channels this is most of a kernel row.
      if (offsets[t] >= 0) {
        while (t + 1 < p.taps && offsets[t + 1] == offsets[t] + static_cast<int32_t>(p.channels)) {
          count += p.channels;
          ++t;
        }
      }
      count = smaller(count, k1 - k);
      V::fill(source + inside, p.type, p.zp, count, dst);
      dst += count;
      k += count;
      inside = 0;
      ++t;
    }
  }
  while (dst < end) *dst++ = 0;
}

// scratch[i][j] (+)= sum over the depth; or, where `narrow` says so, narrow.add[j] + the sum ends in the result. Rows lie `lda` elements apart; or,
// Indirect, are found by taps for rows [m, m + MR) of the problem.
// Meanwhile the bytes at `ahead`, half a panel, are asked for: weights that are used next come from far away in one long stream.
// Not inlined, so that all accumulators stay in registers.
template <class V, int MR, int NV, bool Indirect>
__attribute__((noinline)) void tile(const Problem& p, size_t m, const typename V::Element* a, size_t lda, const int8_t* b, const int8_t* ahead, size_t depth,
                                    bool accumulate, int32_t* scratch, const NarrowTile& narrow) {
  typename V::Reg acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      acc[i][v] = accumulate ? V::load(scratch + static_cast<size_t>(i * 2 + v) * V::kWidth) : narrow.bytes != 0 ? V::load(narrow.add + static_cast<size_t>(v) * V::kWidth) : V::zero();
    }
  }
  if constexpr (Indirect) {
    const uint8_t* image[MR];
    const int32_t* offsets[MR];
    size_t index = m / p.pixels, pixel = m % p.pixels;
    for (int i = 0; i < MR; ++i) {
      image[i] = p.base + index * p.batch_stride;
      offsets[i] = p.offsets + pixel * p.taps;
      if (++pixel == p.pixels) {
        pixel = 0;
        ++index;
      }
    }
    for (size_t t = 0; t < p.taps; ++t) {
      const uint8_t* row[MR];
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const int32_t offset = offsets[i][t];
        row[i] = offset < 0 ? p.zero : image[i] + offset;
      }
      for (size_t k = 0; k < p.channels; k += V::kGranule) {
        typename V::Reg bv[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) bv[v] = V::load_b(b + static_cast<size_t>(v) * V::kWidth * V::kGranule);
        b += static_cast<size_t>(NV) * V::kWidth * V::kGranule;
        prefetch_l2(ahead);
        ahead += V::kWidth * V::kGranule;
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) {
          const typename V::Reg av = V::broadcast_a(row[i] + k);
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v) acc[i][v] = V::dot(acc[i][v], av, bv[v]);
        }
      }
    }
  } else {
    for (size_t k = 0; k < depth; k += V::kGranule) {
      typename V::Reg bv[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) bv[v] = V::load_b(b + static_cast<size_t>(v) * V::kWidth * V::kGranule);
      b += static_cast<size_t>(NV) * V::kWidth * V::kGranule;
      prefetch_l2(ahead);
      ahead += V::kWidth * V::kGranule;
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const typename V::Reg av = V::broadcast_a(a + static_cast<size_t>(i) * lda);
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) acc[i][v] = V::dot(acc[i][v], av, bv[v]);
      }
      a += V::kGranule;
    }
  }
  if constexpr (NV == 2) {
    if (narrow.bytes == 1) {
      V::template finish_tile<MR>(acc, narrow);
      return;
    }
  }
  int32_t* const to = narrow.bytes == 4 ? reinterpret_cast<int32_t*>(narrow.c) : scratch;
  const size_t step = narrow.bytes == 4 ? narrow.row_bytes / 4 : 2 * V::kWidth;
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) V::store(to + static_cast<size_t>(i) * step + static_cast<size_t>(v) * V::kWidth, acc[i][v]);
  }
}

// Takes up to `rows` rows, and says how many: all of them up to 8 rows, above 8 those that a full tile leaves in two steps (fewer
// tiles to compile).
template <class V, int MR, int NV, bool Indirect>
size_t tile_of_rows(size_t rows, const Problem& p, size_t m, const typename V::Element* a, size_t lda, const int8_t* b, const int8_t* ahead, size_t depth,
                    bool accumulate, int32_t* scratch, const NarrowTile& narrow) {
  if constexpr (MR > 1) {
    if (rows < static_cast<size_t>(MR)) {
      return tile_of_rows<V, (MR > 8 ? 8 : MR - 1), NV, Indirect>(rows, p, m, a, lda, b, ahead, depth, accumulate, scratch, narrow);
    }
  }
  tile<V, MR, NV, Indirect>(p, m, a, lda, b, ahead, depth, accumulate, scratch, narrow);
  return MR;
}

// One register tile of columns for `rows` <= kRows rows.
template <class V, bool Indirect>
inline void multiply(size_t rows, size_t columns, const Problem& p, size_t m, const typename V::Element* a, size_t lda, const int8_t* b, const int8_t* ahead,
                     size_t depth, bool accumulate, int32_t* scratch, NarrowTile narrow) {
  for (size_t i = 0; i < rows;) {
    const typename V::Element* from = Indirect ? nullptr : a + i * lda;
    int32_t* const to = scratch + i * 2 * V::kWidth;
    const size_t taken = columns > V::kWidth ? tile_of_rows<V, V::kRows, 2, Indirect>(rows - i, p, m + i, from, lda, b, ahead, depth, accumulate, to, narrow)
                                             : tile_of_rows<V, V::kRows, 1, Indirect>(rows - i, p, m + i, from, lda, b, ahead, depth, accumulate, to, narrow);
    i += taken;
    narrow.c += taken * narrow.row_bytes;
  }
}

// What each column adds to its sum: bias and the zero point's share.
template <class V>
inline void column_terms(const Problem& p, size_t n, size_t columns, int32_t* add) {
  for (size_t j = 0; j < 2 * V::kWidth; ++j) {
    uint32_t value = 0;
    if (j < columns) {
      if (p.epilogue->bias != nullptr) value = static_cast<uint32_t>(p.epilogue->bias[n + j]);
      if constexpr (!V::kSubtractsZeroPoint) {
        const int32_t zp = p.type == Q8::u8 ? p.zp : p.zp + 128;
        value -= static_cast<uint32_t>(zp) * static_cast<uint32_t>(p.sums[n + j]);
      }
    }
    add[j] = static_cast<int32_t>(value);
  }
}

// Whole panels of s32, or of 8 bits with finite multipliers, end in the tile itself.
template <class V>
inline NarrowTile whole_panel(const EpilogueQ& e, Multipliers kind, size_t n, size_t columns, const int32_t* add, size_t row_bytes) {
  const bool wide = e.out == QOut::s32;
  if (columns != 2 * V::kWidth || e.out == QOut::f32 || (!wide && kind == Multipliers::any)) return {};
  NarrowTile t = narrow_tile(e, kind);
  t.bytes = wide ? 4 : 1;
  t.multiplier = wide ? nullptr : e.multiplier + n;
  t.add = add;
  t.row_bytes = row_bytes;
  return t;
}

// What the steps of a panel prefetch: the two steps after each other the halves of the panel behind it, whatever comes then these again.
template <class V>
class Ahead {
 public:
  Ahead(const Problem& p, size_t n, size_t n1, size_t depth) {
    constexpr size_t kPanel = 2 * V::kWidth;
    const size_t next = n + kPanel < n1 ? n + kPanel : n;
    first_ = p.panels + next * depth;
    second_ = first_ + depth * V::kWidth;
    if (n1 - next < kPanel) second_ = first_;
  }
  const int8_t* next() {
    const int8_t* const now = first_;
    first_ = second_;
    second_ = now;
    return now;
  }

 private:
  const int8_t* first_;
  const int8_t* second_;
};

// u8 rows that are multiplied where they stand.
template <class V, bool Indirect>
void compute_in_place(const Problem& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  constexpr size_t kRows = static_cast<size_t>(V::kRows), kPanel = 2 * V::kWidth;
  const EpilogueQ& e = *p.epilogue;
  const EpilogueRegs regs = epilogue_regs(e);
  const size_t bytes = e.out == QOut::u8 || e.out == QOut::s8 ? 1 : 4;
  const Multipliers multipliers = e.out == QOut::s32 ? Multipliers::any : classify(e.multiplier + n0, n1 - n0);
  const bool finite = multipliers != Multipliers::any;
  const size_t chunk = p.k * (n1 - n0) <= kNearBytes ? kNearTiles * kRows : round_up(kChunkBytes / (p.channels + 1) + 1, kRows);
  alignas(64) int32_t scratch[kRows * kPanel];
  alignas(64) int32_t add[kPanel];
  for (size_t mc = m0; mc < m1; mc += chunk) {
    const size_t mc_end = smaller(mc + chunk, m1);
    for (size_t n = n0; n < n1; n += kPanel) {
      const size_t columns = smaller(n1 - n, kPanel);
      const int8_t* b = p.panels + n * p.k;
      column_terms<V>(p, n, columns, add);
      NarrowTile narrow = whole_panel<V>(e, multipliers, n, columns, add, p.ldc * bytes);
      Ahead<V> ahead(p, n, n1, p.k);
      for (size_t m = mc, rows; m < mc_end; m += rows) {
        rows = rows_of_tile(mc_end - m, kRows);
        uint8_t* const c = p.c + (m * p.ldc + n) * bytes;
        narrow.c = c;
        for (size_t i = 0; i < rows; ++i) prefetch_to_write(c + i * p.ldc * bytes, kPanel * bytes);
        multiply<V, Indirect>(rows, columns, p, m, Indirect ? nullptr : reinterpret_cast<const typename V::Element*>(p.base) + m * p.lda, p.lda, b, ahead.next(), p.k, false,
                              scratch, narrow);
        if (narrow.bytes == 0) V::finish_rows(e, regs, finite, n, columns, rows, scratch, kPanel, add, c, p.ldc * bytes);
      }
    }
  }
}

template <class V, bool Indirect>
void compute(const Problem& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  constexpr size_t kRows = static_cast<size_t>(V::kRows), kPanel = 2 * V::kWidth;
  if constexpr (!V::kSubtractsZeroPoint) {
    if (p.type == Q8::u8 && p.channels % V::kGranule == 0 && p.k != 0 && (!Indirect || p.channels >= kLeastChannels)) {
      compute_in_place<V, Indirect>(p, m0, m1, n0, n1);
      return;
    }
  }
  const EpilogueQ& e = *p.epilogue;
  const EpilogueRegs regs = epilogue_regs(e);
  const size_t bytes = e.out == QOut::u8 || e.out == QOut::s8 ? 1 : 4;
  const size_t depth = round_up(p.k, V::kGranule);
  // Deep rows are taken in pieces: then all columns of a chunk gather the pieces again.
  const size_t piece = smaller(depth, kBufferElements<V> / kRows / V::kGranule * V::kGranule);
  const bool whole = piece == depth;
  size_t chunk = depth == 0 ? kRows : kChunkElements<V> / depth / kRows * kRows;
  if (chunk < kRows) chunk = kRows;
  if (chunk > 16 * kRows) chunk = 16 * kRows;

  const Multipliers multipliers = e.out == QOut::s32 ? Multipliers::any : classify(e.multiplier + n0, n1 - n0);
  const bool finite = multipliers != Multipliers::any;
  alignas(64) typename V::Element buffer[kBufferElements<V>];
  alignas(64) int32_t scratch[kRows * kPanel];
  alignas(64) int32_t add[kPanel];

  for (size_t mc = m0; mc < m1; mc += chunk) {
    const size_t mc_rows = smaller(chunk, m1 - mc);
    if (whole) {
      for (size_t i = 0; i < mc_rows; ++i) gather<V, Indirect>(p, mc + i, 0, p.k, buffer + i * depth);
    }
    for (size_t n = n0; n < n1; n += kPanel) {
      const size_t columns = smaller(n1 - n, kPanel);
      const int8_t* b = p.panels + n * depth;
      column_terms<V>(p, n, columns, add);
      NarrowTile narrow = whole ? whole_panel<V>(e, multipliers, n, columns, add, p.ldc * bytes) : NarrowTile{};
      Ahead<V> ahead(p, n, n1, depth);
      for (size_t i = 0, rows; i < mc_rows; i += rows) {
        rows = rows_of_tile(mc_rows - i, kRows);
        uint8_t* const c = p.c + ((mc + i) * p.ldc + n) * bytes;
        narrow.c = c;
        for (size_t r = 0; r < rows; ++r) prefetch_to_write(c + r * p.ldc * bytes, kPanel * bytes);
        if (whole) {
          multiply<V, false>(rows, columns, p, 0, buffer + i * depth, depth, b, ahead.next(), depth, false, scratch, narrow);
        } else {
          const size_t width = columns > V::kWidth ? kPanel : V::kWidth;
          for (size_t k = 0; k < depth; k += piece) {
            const size_t length = smaller(piece, depth - k);
            for (size_t r = 0; r < rows; ++r) gather<V, Indirect>(p, mc + i + r, k, smaller(k + length, p.k), buffer + r * length);
            multiply<V, false>(rows, columns, p, 0, buffer, length, b + k * width, b + k * width, length, k != 0, scratch, narrow);
          }
        }
        if (narrow.bytes == 0) V::finish_rows(e, regs, finite, n, columns, rows, scratch, kPanel, add, c, p.ldc * bytes);
      }
    }
  }
}

template <class V>
PackShape shape_of(size_t n, size_t k) {
  return {n, k, 2 * V::kWidth, V::kWidth, V::kGranule};
}

template <class V>
size_t packed_bytes(size_t n, size_t taps, size_t channels) {
  return packed_q_bytes(shape_of<V>(n, taps * channels));
}

template <class V>
void pack(size_t n, size_t taps, size_t channels, const int8_t* w, size_t stride_n, size_t stride_k, void* dst) {
  pack_panels_s8(shape_of<V>(n, taps * channels), w, stride_n, stride_k, dst);
}

template <class V>
void set_weights(Problem& p, const void* packed, size_t n) {
  p.sums = static_cast<const int32_t*>(packed);
  p.panels = static_cast<const int8_t*>(packed) + packed_sums_bytes(shape_of<V>(n, p.k));
}

template <class V>
void gemm(const GemmQArgs& a, size_t m0, size_t m1, size_t n0, size_t n1) {
  Problem p{};
  p.base = static_cast<const uint8_t*>(a.a);
  p.type = a.a_type;
  p.zp = a.a_zp;
  p.lda = a.lda;
  p.taps = 1;
  p.channels = p.k = a.k;
  set_weights<V>(p, a.packed_b, a.n);
  p.c = static_cast<uint8_t*>(a.c);
  p.ldc = a.ldc;
  p.epilogue = &a.epilogue;
  compute<V, false>(p, m0, m1, n0, n1);
}

template <class V>
void conv(const ConvQArgs& a, size_t m0, size_t m1, size_t n0, size_t n1) {
  Problem p{};
  p.base = static_cast<const uint8_t*>(a.base);
  p.type = a.a_type;
  p.zp = a.a_zp;
  p.offsets = a.taps.offsets;
  p.zero = static_cast<const uint8_t*>(a.zero);
  p.pixels = a.taps.pixels;
  p.batch_stride = a.taps.batch_stride;
  p.taps = a.taps.taps;
  p.channels = a.taps.channels;
  p.k = p.taps * p.channels;
  set_weights<V>(p, a.packed_b, a.n);
  p.c = static_cast<uint8_t*>(a.c);
  p.ldc = a.ldc;
  p.epilogue = &a.epilogue;
  compute<V, true>(p, m0, m1, n0, n1);
}
