#include "exec/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace cec {
namespace {

TEST(Arena, BuffersThatNeverMeetShareBytes) {
  // A chain a -> b -> c -> d: two of equal size alternate.
  std::vector<ArenaBuffer> chain{{1000, 0, 1, 0}, {1000, 1, 2, 0}, {1000, 2, 3, 0}, {1000, 3, 4, 0}};
  EXPECT_EQ(plan_arena(chain), size_t{2048});
  EXPECT_EQ(chain[0].offset, chain[2].offset);
  EXPECT_EQ(chain[1].offset, chain[3].offset);
}

TEST(Arena, ASmallBufferTakesTheGapThatFitsBest) {
  // 640 and 64 free at the same time, between living neighbours: 64 goes into neither the end nor the large gap.
  std::vector<ArenaBuffer> buffers{{640, 0, 1, 0}, {640, 0, 9, 0}, {128, 0, 1, 0}, {640, 0, 9, 0}, {64, 5, 6, 0}};
  const size_t total = plan_arena(buffers);
  EXPECT_EQ(total, size_t{640 * 3 + 128});
  EXPECT_LE(buffers[4].offset + 64, total);
}

TEST(Arena, EmptyBuffersTakeNothing) {
  std::vector<ArenaBuffer> buffers{{0, 0, 5, 0}, {0, 2, 3, 0}};
  EXPECT_EQ(plan_arena(buffers), size_t{0});
  buffers.clear();
  EXPECT_EQ(plan_arena(buffers), size_t{0});
}

TEST(Arena, LivingBuffersNeverOverlapAndThePeakIsBounded) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const int n = 1 + static_cast<int>(random() % 60);
    std::vector<ArenaBuffer> buffers;
    for (int i = 0; i < n; ++i) {
      const int32_t first = static_cast<int32_t>(random() % 40);
      buffers.push_back({random() % 5 == 0 ? 0 : 1 + random() % 5000, first, first + static_cast<int32_t>(random() % 8), 0});
    }
    const size_t total = plan_arena(buffers);
    const auto rounded = [](size_t v) { return (v + 63) / 64 * 64; };
    size_t sum = 0, end = 0;
    std::vector<size_t> live(64, 0);
    for (size_t i = 0; i < buffers.size(); ++i) {
      const ArenaBuffer& a = buffers[i];
      EXPECT_EQ(a.offset % 64, size_t{0});
      sum += rounded(a.bytes);
      end = std::max(end, a.bytes == 0 ? 0 : a.offset + rounded(a.bytes));
      for (int32_t t = a.first; t <= a.last; ++t) live[static_cast<size_t>(t)] += rounded(a.bytes);
      for (size_t j = 0; j < i; ++j) {
        const ArenaBuffer& b = buffers[j];
        if (a.bytes == 0 || b.bytes == 0 || a.last < b.first || b.last < a.first) continue;
        EXPECT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset);
      }
    }
    EXPECT_EQ(total, end);
    EXPECT_LE(total, sum);
    EXPECT_GE(total, *std::max_element(live.begin(), live.end()));
  }
}

}  // namespace
}  // namespace cec
