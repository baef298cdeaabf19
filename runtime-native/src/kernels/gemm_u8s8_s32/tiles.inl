// Register tiles and loops of gemm_u8s8_s32, written once over a vector type V and included by one file per ISA, inside its
// unnamed namespace. V gives: Reg (s32 lanes), Element (of the row buffer), kWidth (lanes), kGranule (k per lane and step),
// kRows, kSubtractsZeroPoint (see below), zero, load, store, load_b, broadcast_a, dot, fill.
//
// The rows of a chunk are first gathered into a buffer on the stack, in the form that the multiplier takes: this is where taps,
// padding, types and zero points end, and it costs one pass over A for all columns. Where V::kSubtractsZeroPoint, the buffer holds
// x - zp; otherwise x (s8 moved up by 128) and the column sums correct the result.

constexpr size_t kBufferElements = 24576;  // whole buffer, on the stack
constexpr size_t kChunkElements = 12288;   // aimed at, so that it stays in the first-level cache

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

// scratch[i][j] (+)= sum over `steps` granules. Not inlined, so that all accumulators stay in registers.
template <class V, int MR, int NV>
__attribute__((noinline)) void tile(const typename V::Element* a, size_t lda, const int8_t* b, size_t steps, bool accumulate, int32_t* scratch) {
  typename V::Reg acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      acc[i][v] = accumulate ? V::load(scratch + static_cast<size_t>(i * 2 + v) * V::kWidth) : V::zero();
    }
  }
  for (size_t s = 0; s < steps; ++s) {
    typename V::Reg bv[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) bv[v] = V::load_b(b + static_cast<size_t>(v) * V::kWidth * V::kGranule);
    b += static_cast<size_t>(NV) * V::kWidth * V::kGranule;
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const typename V::Reg av = V::broadcast_a(a + static_cast<size_t>(i) * lda);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[i][v] = V::dot(acc[i][v], av, bv[v]);
    }
    a += V::kGranule;
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) V::store(scratch + static_cast<size_t>(i * 2 + v) * V::kWidth, acc[i][v]);
  }
}

template <class V, int MR, int NV>
void tile_of_rows(size_t rows, const typename V::Element* a, size_t lda, const int8_t* b, size_t steps, bool accumulate, int32_t* scratch) {
  if constexpr (MR > 1) {
    if (rows < static_cast<size_t>(MR)) return tile_of_rows<V, MR - 1, NV>(rows, a, lda, b, steps, accumulate, scratch);
  }
  tile<V, MR, NV>(a, lda, b, steps, accumulate, scratch);
}

template <class V, bool Indirect>
void compute(const Problem& p, size_t m0, size_t m1, size_t n0, size_t n1) {
  constexpr size_t kRows = static_cast<size_t>(V::kRows), kPanel = 2 * V::kWidth;
  const EpilogueQ& e = *p.epilogue;
  const EpilogueRegs regs = epilogue_regs(e);
  const size_t bytes = e.out == QOut::u8 || e.out == QOut::s8 ? 1 : 4;
  const size_t depth = round_up(p.k, V::kGranule);
  // Deep rows are taken in pieces: then all columns of a chunk gather the pieces again.
  const size_t piece = smaller(depth, kBufferElements / kRows / V::kGranule * V::kGranule);
  const bool whole = piece == depth;
  size_t chunk = depth == 0 ? kRows : kChunkElements / depth / kRows * kRows;
  if (chunk < kRows) chunk = kRows;
  if (chunk > 16 * kRows) chunk = 16 * kRows;

  const bool finite = e.out != QOut::s32 && all_finite(e.multiplier + n0, n1 - n0);
  alignas(64) typename V::Element buffer[kBufferElements];
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
      for (size_t j = 0; j < kPanel; ++j) {
        uint32_t value = 0;
        if (j < columns) {
          if (e.bias != nullptr) value = static_cast<uint32_t>(e.bias[n + j]);
          if constexpr (!V::kSubtractsZeroPoint) {
            const int32_t zp = p.type == Q8::u8 ? p.zp : p.zp + 128;
            value -= static_cast<uint32_t>(zp) * static_cast<uint32_t>(p.sums[n + j]);
          }
        }
        add[j] = static_cast<int32_t>(value);
      }
      for (size_t i = 0; i < mc_rows; i += kRows) {
        const size_t rows = smaller(mc_rows - i, kRows);
        const auto multiply = [&](const typename V::Element* a, const int8_t* panel, size_t k, bool accumulate) {
          if (columns > V::kWidth) tile_of_rows<V, V::kRows, 2>(rows, a, k, panel, k / V::kGranule, accumulate, scratch);
          else tile_of_rows<V, V::kRows, 1>(rows, a, k, panel, k / V::kGranule, accumulate, scratch);
        };
        if (whole) {
          multiply(buffer + i * depth, b, depth, false);
        } else {
          const size_t width = columns > V::kWidth ? kPanel : V::kWidth;
          for (size_t k = 0; k < depth; k += piece) {
            const size_t length = smaller(piece, depth - k);
            for (size_t r = 0; r < rows; ++r) gather<V, Indirect>(p, mc + i + r, k, smaller(k + length, p.k), buffer + r * length);
            multiply(buffer, b + k * width, length, k != 0);
          }
        }
        finish_rows(e, regs, finite, n, columns, rows, scratch, kPanel, add, p.c + ((mc + i) * p.ldc + n) * bytes, p.ldc * bytes);
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
