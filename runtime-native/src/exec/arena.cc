#include "exec/arena.h"

#include <algorithm>
#include <numeric>

namespace cec {

size_t plan_arena(std::vector<ArenaBuffer>& buffers) {
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  std::vector<size_t> placed;  // by ascending offset
  size_t total = 0;
  for (size_t index : order) {
    ArenaBuffer& buffer = buffers[index];
    if (buffer.bytes == 0) continue;
    const size_t size = (buffer.bytes + 63) / 64 * 64;
    size_t best = SIZE_MAX;
    size_t best_gap = SIZE_MAX;
    size_t end = 0;  // end of the conflicting buffers seen so far
    for (size_t other_index : placed) {
      const ArenaBuffer& other = buffers[other_index];
      if (other.last < buffer.first || other.first > buffer.last) continue;
      if (other.offset >= end + size && other.offset - end < best_gap) {
        best = end;
        best_gap = other.offset - end;
      }
      end = std::max(end, other.offset + (other.bytes + 63) / 64 * 64);
    }
    buffer.offset = best == SIZE_MAX ? end : best;
    total = std::max(total, buffer.offset + size);
    const auto at = std::upper_bound(placed.begin(), placed.end(), buffer.offset, [&](size_t offset, size_t i) { return offset < buffers[i].offset; });
    placed.insert(at, index);
  }
  return total;
}

}  // namespace cec
