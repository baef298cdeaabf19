// Loops of gemm_bf16 around the register tiles of gemm_f32: to those a pair of bfloat16 is one element of 32 bits, and V::fma a step of two products.
// Rows of A are rounded into a buffer of pairs on the stack, which all panels then read.

// Subnormals are zero while a kernel runs. vdpbf16ps itself does not look at the mode, but the sum of residual and bias does.
struct FlushSubnormals {
  static constexpr unsigned kFlushResults = 0x8000, kFlushOperands = 0x0040;  // MXCSR: FTZ, DAZ
  const unsigned before = _mm_getcsr();
  FlushSubnormals() { _mm_setcsr(before | kFlushResults | kFlushOperands); }
  ~FlushSubnormals() { _mm_setcsr(before); }
};

constexpr size_t kDepth = 256;  // pairs of a block
constexpr int kTilesOfBuffer = 2;

struct Rows {
  size_t k;  // floats
  const void* packed;
  const EpilogueF32* epilogue;
  float* c;
  size_t ldc;
};

// convert(row, from, to, out) gives pairs [from, to) of a row.
template <class V, int MR, class Convert>
void multiply_rows(const Rows& r, size_t m0, size_t m1, size_t n0, size_t n1, const Convert& convert) {
  const FlushSubnormals mode;
  alignas(64) uint32_t buffer[kTilesOfBuffer * MR * kDepth];
  const size_t pairs = pair_count(r.k);
  for (size_t m = m0; m < m1; m += kTilesOfBuffer * MR) {
    const size_t rows = smaller(m1 - m, kTilesOfBuffer * MR);
    EpilogueF32 epilogue = *r.epilogue;
    if (epilogue.residual != nullptr) epilogue.residual += m * epilogue.ld_residual;
    for (size_t k = 0; k < pairs; k += kDepth) {
      const size_t depth = smaller(pairs - k, kDepth);
      for (size_t i = 0; i < rows; ++i) convert(m + i, k, k + depth, buffer + i * depth);
      Problem p{};
      p.base = reinterpret_cast<const float*>(buffer);  // only loaded as 32-bit lanes
      p.lda = p.channels = depth;
      p.taps = 1;
      p.k = pairs;
      p.packed = static_cast<const float*>(r.packed);
      p.c = r.c + m * r.ldc;
      p.ldc = r.ldc;
      p.epilogue = &epilogue;
      const Block block{0, 1, 0, depth, k, k == 0, k + depth == pairs};
      compute_block<V, MR, false>(p, block, 0, rows, n0, n1);
    }
  }
}

template <class V, int MR>
void gemm_pairs(const GemmF32Args& a, size_t m0, size_t m1, size_t n0, size_t n1) {
  const Rows r{a.k, a.packed_b, &a.epilogue, a.c, a.ldc};
  multiply_rows<V, MR>(r, m0, m1, n0, n1, [&](size_t row, size_t from, size_t to, uint32_t* out) {
    const float* const source = a.a + row * a.lda;
    convert_row([&](size_t i) { return source[i]; }, a.k, from, to, out);
  });
}

template <class V, int MR>
void conv_pairs(const ConvF32Args& a, size_t m0, size_t m1, size_t n0, size_t n1) {
  const Taps& t = a.taps;
  const Rows r{t.taps * t.channels, a.packed_b, &a.epilogue, a.c, a.ldc};
  multiply_rows<V, MR>(r, m0, m1, n0, n1, [&](size_t row, size_t from, size_t to, uint32_t* out) {
    const float* const image = a.base + row / t.pixels * t.batch_stride;
    const int32_t* const offsets = t.offsets + row % t.pixels * t.taps;
    // Pairs go on from one tap to the next where the channels are odd: the floats are gathered first.
    float gathered[2 * kDepth];
    const size_t end = smaller(2 * to, r.k);
    for (size_t i = 2 * from; i < end;) {
      const size_t tap = i / t.channels, channel = i % t.channels;
      const size_t count = smaller(t.channels - channel, end - i);
      const float* const source = offsets[tap] < 0 ? a.zero : image + offsets[tap];
      memcpy(gathered + (i - 2 * from), source + channel, count * sizeof(float));
      i += count;
    }
    convert_row([&](size_t i) { return gathered[i]; }, end - 2 * from, 0, to - from, out);
  });
}
