#include "cec/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "cec/error.h"

namespace cec {
namespace {

TEST(ThreadPool, EachIndexIsVisitedOnceInTheSameRangeEveryTime) {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (const size_t n : {size_t{0}, size_t{1}, size_t{2}, size_t{6}, size_t{7}, size_t{8}, size_t{1000}}) {
      std::vector<int> owner(n, -1), again(n, -1);
      for (std::vector<int>* list : {&owner, &again}) {
        pool.parallel_for(n, [&](size_t begin, size_t end, int worker) {
          for (size_t i = begin; i < end; ++i) (*list)[i] = (*list)[i] < 0 ? worker : 1000;
        });
      }
      for (const int o : owner) EXPECT_TRUE(o >= 0 && o < threads);
      EXPECT_TRUE(owner == again);
    }
  }
}

TEST(ThreadPool, ManyShortJobsAllComplete) {
  ThreadPool pool(4);
  std::vector<int> counts(64, 0);
  for (int job = 0; job < 3000; ++job) {
    pool.parallel_for(counts.size(), [&](size_t begin, size_t end, int) {
      for (size_t i = begin; i < end; ++i) ++counts[i];
    });
  }
  for (const int c : counts) EXPECT_EQ(c, 3000);
}

TEST(ThreadPool, WakesAfterALongSleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // workers have stopped spinning
    std::atomic<int> sum{0};
    pool.parallel_for(3, [&](size_t begin, size_t end, int) { sum += static_cast<int>(end - begin); });
    EXPECT_EQ(sum.load(), 3);
  }
}

TEST(ThreadPool, TheLowestWorkersExceptionArrivesAndThePoolLives) {
  ThreadPool pool(4);
  for (int round = 0; round < 20; ++round) {
    std::string what;
    try {
      pool.parallel_for(4, [&](size_t, size_t, int worker) {
        if (worker > 0) throw std::runtime_error("worker " + std::to_string(worker));
      });
    } catch (const std::runtime_error& error) {
      what = error.what();
    }
    EXPECT_EQ(what, std::string("worker 1"));
  }
  int visited = 0;
  pool.parallel_for(1, [&](size_t, size_t, int) { ++visited; });
  EXPECT_EQ(visited, 1);
}

TEST(ThreadPool, RejectsCountsOutOfRange) {
  for (const int threads : {0, -1, 257}) {
    std::string code;
    try {
      ThreadPool pool(threads);
    } catch (const Error& error) {
      code = error.code;
    }
    EXPECT_EQ(code, std::string("CEC6007"));
  }
}

}  // namespace
}  // namespace cec
