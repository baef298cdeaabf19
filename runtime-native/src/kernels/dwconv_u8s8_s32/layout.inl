// The packed weights of the AVX2 and AVX-512 variants. Included inside an unnamed namespace.

constexpr size_t kBlock = 16;    // channels
constexpr size_t kMaxRows = 16;  // of a kernel that goes through f32

// Packed: s32 weight sums [round_up(channels, 16)], then for each block of 16 channels and each pair of taps 32 s16: the pairs of
// channels 0-3, 8-11, then of 4-7, 12-15 (the order in which vpunpck leaves them). An odd last tap has a partner of weight 0.
inline size_t sums_bytes(size_t channels) { return round_up(channels, kBlock) * sizeof(int32_t); }
inline size_t block_words(size_t taps) { return (taps + 1) / 2 * 2 * kBlock; }

inline size_t words_bytes(size_t channels, size_t taps) { return round_up(channels, kBlock) / kBlock * block_words(taps) * sizeof(int16_t); }
// Then what rows.inl reads: 255 * sum |w| of each channel, and f32 weights in blocks of 16 channels.
inline size_t integer_bytes(size_t channels, size_t taps) { return sums_bytes(channels) + words_bytes(channels, taps); }


// The part of the packed weights that rows.inl reads.
struct RowWeights {
  const int32_t* sums;   // [channels]
  const int32_t* reach;  // [channels]: 255 * sum |w|, at most 2^24
  const float* taps;     // blocks of 16 channels, [taps][16]
};

inline RowWeights row_weights(const void* packed, size_t channels, size_t taps) {
  const uint8_t* const at = static_cast<const uint8_t*>(packed) + integer_bytes(channels, taps);
  return {static_cast<const int32_t*>(packed), reinterpret_cast<const int32_t*>(at), reinterpret_cast<const float*>(at + sums_bytes(channels))};
}
