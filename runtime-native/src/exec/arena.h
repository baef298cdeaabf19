// Places buffers with known lifetimes in one block of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cec {

struct ArenaBuffer {
  size_t bytes = 0;
  /// First and last op (inclusive) that need the bytes.
  int32_t first = 0;
  int32_t last = 0;
  size_t offset = 0;  ///< result; a multiple of 64
};

/// Gives each buffer an offset such that buffers whose lifetimes meet do not overlap; returns the bytes of the whole block.
/// Greedy by size: large buffers first, each in the smallest gap that fits between those already placed (Pisarchyk and Lee,
/// "Efficient Memory Management for Deep Neural Net Inference", 2020).
size_t plan_arena(std::vector<ArenaBuffer>& buffers);

}  // namespace cec
