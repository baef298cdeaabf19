// A run whose shapes were met before allocates nothing; plans and arenas stay when shapes alternate; the printed plan is the one that runs.
#include <atomic>

#include "program_builder.h"

namespace cec::test {
extern std::atomic<size_t> allocations, largest_allocation;  // count_new.cc

namespace {

/// y = softmax(relu(x w + b)), z = x + x, over x f32[N, 64].
ProgramBuilder network() {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {-1, 64});
  std::vector<float> w(64 * 32);
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i % 13) * 0.01f - 0.06f;
  const int32_t weights = b.constant("w", DType::f32, {64, 32}, w);
  const int32_t bias = b.constant("b", DType::f32, {32}, std::vector<float>(32, 0.5f));
  const int32_t product = b.op("matmul", {x, weights}, DType::f32, 2);
  const int32_t sum = b.op("add", {product, bias}, DType::f32, 2);
  b.output("y", b.op("softmax", {b.op("relu", {sum}, DType::f32, 2)}, DType::f32, 2, {{"axis", int64_t{1}}}));
  b.output("z", b.op("add", {x, x}, DType::f32, 2));
  return b;
}

struct Runner {
  Session session;
  std::vector<float> x, y, z;
  std::vector<TensorView> feeds;
  OutputAllocator outputs;
  Runner(const ProgramBuilder& b, int threads, int64_t largest) : session(b.load(), {threads, {}, false}), x(static_cast<size_t>(largest) * 64, 1.0f), y(x.size()), z(x.size()) {
    outputs = [this](size_t i, const TensorType&) -> void* { return i == 0 ? y.data() : z.data(); };
  }
  void run(int64_t n) {
    feeds.assign(1, view(DType::f32, {n, 64}, x.data()));
    session.run(feeds, outputs);
  }
};

TEST(Allocation, ARunOfKnownShapesAllocatesNothing) {
  for (const int threads : {1, 3}) {
    Runner r(network(), threads, 40);
    // More shapes than one, all in the cache of plans.
    for (int round = 0; round < 2; ++round) {
      for (const int64_t n : {1, 40, 7}) r.run(n);
    }
    const size_t before = allocations;
    for (int round = 0; round < 5; ++round) {
      for (const int64_t n : {40, 1, 7}) r.run(n);
    }
    EXPECT_EQ(allocations - before, size_t{0});
    r.run(13);
    EXPECT_GT(allocations - before, size_t{0});  // the counter counts
  }
}

TEST(Allocation, PlanningAHugePadAsksForLittleMemory) {
  const auto padded = [](int64_t before, const char* mode) {
    ProgramBuilder b;
    const int32_t x = b.input("x", DType::f32, {-1, 2});
    b.output("y", b.op("pad", {x, b.constant("pads", DType::i64, {4}, std::vector<int64_t>{0, before, 0, 3})}, DType::f32, 2, {{"mode", std::string(mode)}}));
    return b;
  };
  for (const char* mode : {"constant", "reflect", "edge", "wrap"}) {
    Session session(padded(int64_t{1} << 30, mode).load(), {1, {}, false});
    largest_allocation = 0;
    EXPECT_EQ(session.memory_plan({{1, 2}}).arena_bytes, size_t{0});  // the caller holds the result
    EXPECT_LT(largest_allocation.load(), size_t{1} << 20);
    const std::vector<float> x{1, 2};
    EXPECT_EQ(code_of([&] { session.run({view(DType::f32, {1, 2}, x.data())}, [](size_t, const TensorType&) -> void* { return nullptr; }); }), std::string("CEC6006"));
    Session larger(padded(int64_t{1} << 31, mode).load(), {1, {}, false});
    EXPECT_EQ(code_of([&] { larger.memory_plan({{1, 2}}); }), std::string("CEC6006"));  // too much for one sample
    Session largest(padded(int64_t{1} << 39, mode).load(), {1, {}, false});
    EXPECT_EQ(code_of([&] { largest.memory_plan({{1, 2}}); }), std::string("CEC6004"));  // no tensor has more than 1 TiB
  }
  EXPECT_LT(largest_allocation.load(), size_t{1} << 20);
}

TEST(MemoryPlan, IsTheOneThatRunsAndNoBuffersThatLiveTogetherOverlap) {
  Runner r(network(), 2, 16);
  const MemoryPlan plan = r.session.memory_plan({{16, 64}});
  r.run(16);
  EXPECT_EQ(plan.arena_bytes, r.session.arena_bytes());
  EXPECT_EQ(plan.output_bytes, size_t{16 * (32 + 64) * 4});
  EXPECT_EQ(plan.steps.size(), size_t{5});
  EXPECT_TRUE(plan.live_bytes <= plan.arena_bytes && plan.arena_bytes <= plan.total_bytes + 64 * plan.buffers.size());
  EXPECT_FALSE(plan.buffers.empty());
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    const MemoryPlan::Buffer& a = plan.buffers[i];
    EXPECT_FALSE(a.name.empty());
    EXPECT_TRUE(a.first <= a.last && a.offset + a.bytes <= plan.arena_bytes);
    for (size_t j = 0; j < i; ++j) {
      const MemoryPlan::Buffer& b = plan.buffers[j];
      if (a.last < b.first || b.last < a.first) continue;
      EXPECT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset) << a.name << " and " << b.name;
    }
  }
  // The plan grows with the batch, and asking for it does not disturb a session.
  EXPECT_GT(r.session.memory_plan({{64, 64}}).arena_bytes, plan.arena_bytes);
  r.run(16);
  EXPECT_EQ(code_of([&] { r.session.memory_plan({{16, 63}}); }), "CEC6005");
  EXPECT_EQ(code_of([&] { r.session.memory_plan({}); }), "CEC6005");
}

TEST(Session, AlternatingShapesGiveEachItsOwnResult) {
  Runner r(network(), 1, 64);
  for (int round = 0; round < 3; ++round) {
    for (int64_t n = 1; n <= 12; ++n) {  // more shapes than plans are kept
      r.x.assign(r.x.size(), static_cast<float>(n));
      r.run(n);
      for (size_t i = 0; i < static_cast<size_t>(n) * 64; ++i) EXPECT_EQ(r.z[i], 2.0f * static_cast<float>(n));
    }
  }
}

}  // namespace
}  // namespace cec::test
