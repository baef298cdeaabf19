// Calibration, quantization and inference at once in one process: each of 20 threads gets the bytes that one thread gets alone. Meant for ThreadSanitizer too.
#include <atomic>
#include <cmath>
#include <thread>

#include "cec/observer.h"
#include "program_builder.h"

namespace cec::test {
namespace {

constexpr int kThreads = 20, kRounds = 4;
constexpr int64_t kRows = 16, kColumns = 64;

/// y = relu(x w) over f32[N, 64].
ProgramBuilder network() {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {-1, kColumns});
  std::vector<float> w(kColumns * kColumns);
  for (size_t i = 0; i < w.size(); ++i) w[i] = std::sin(static_cast<float>(i)) * 0.1f;
  b.output("y", b.op("relu", {b.op("matmul", {x, b.constant("w", DType::f32, {kColumns, kColumns}, w)}, DType::f32, 2)}, DType::f32, 2));
  return b;
}

/// The activations through 8 bits with the range that an observer saw.
ProgramBuilder quantized(const TensorStatistics& s) {
  ProgramBuilder b;
  const int32_t x = b.input("x", DType::f32, {-1, kColumns});
  const int32_t scale = b.constant("scale", DType::f32, {}, std::vector<float>{static_cast<float>((s.max - s.min) / 255)});
  const int32_t zero = b.constant("zero", DType::u8, {}, std::vector<uint8_t>{static_cast<uint8_t>(std::lround(-s.min * 255 / (s.max - s.min)))});
  const int32_t q = b.op("quantize_linear", {x, scale, zero}, DType::u8, 2);
  b.output("y", b.op("dequantize_linear", {q, scale, zero}, DType::f32, 2));
  return b;
}

struct Work {
  std::shared_ptr<const Program> program;
  std::vector<float> x;
  TensorView feed() const { return view(DType::f32, {kRows, kColumns}, x.data()); }

  std::vector<float> infer(Session& session) const { return values_of<float>(session.run({feed()})[0]); }
  TensorStatistics calibrate(Session& session) const {
    Observer observer(program, {"x"}, {});
    for (int i = 0; i < 3; ++i) session.run({feed()}, &observer);
    return observer.read()[0];
  }
  std::vector<float> quantize(const TensorStatistics& s, int threads) const {
    Session session(quantized(s).load(), {threads, {}, false});
    return infer(session);
  }
};

bool same(const TensorStatistics& a, const TensorStatistics& b) {
  return a.count == b.count && a.min == b.min && a.max == b.max && a.mean == b.mean && a.std == b.std && a.histogram == b.histogram && a.histogram_lo == b.histogram_lo;
}

TEST(Concurrency, TwentyCalibrationsQuantizationsAndInferencesAtOnceGiveTheSerialBytes) {
  Work work;
  work.program = network().load();
  work.x.resize(kRows * kColumns);
  for (size_t i = 0; i < work.x.size(); ++i) work.x[i] = std::sin(static_cast<float>(i) * 0.7f) * 3;

  Session alone(work.program, {1, {}, false});
  const std::vector<float> y = work.infer(alone);
  const TensorStatistics statistics = work.calibrate(alone);
  const std::vector<float> rounded = work.quantize(statistics, 1);
  EXPECT_EQ(statistics.count, uint64_t{3 * kRows * kColumns});
  for (size_t i = 0; i < rounded.size(); ++i) EXPECT_NEAR(rounded[i], work.x[i], (statistics.max - statistics.min) / 255 * 0.51);

  Session shared(work.program, {2, {}, false});
  Observer all(work.program, {"x"}, {});
  std::atomic<int> waiting{kThreads}, wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Session own(work.program, {1 + t % 3, {}, false});
      for (--waiting; waiting > 0;) std::this_thread::yield();
      for (int round = 0; round < kRounds; ++round) {
        switch ((t + round) % 4) {
          case 0: wrong += work.infer(shared) != y; break;
          case 1: wrong += work.infer(own) != y; break;
          case 2: wrong += !same(work.calibrate(own), statistics); break;
          default: wrong += work.quantize(work.calibrate(own), 1 + t % 2) != rounded; break;
        }
        own.run({work.feed()}, &all);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  // Counts do not depend on the order; all histograms are multiples of one run's.
  const TensorStatistics sum = all.read()[0];
  EXPECT_EQ(sum.count, uint64_t{kThreads * kRounds * kRows * kColumns});
  ASSERT_EQ(sum.histogram.size(), statistics.histogram.size());
  for (size_t i = 0; i < sum.histogram.size(); ++i) EXPECT_EQ(sum.histogram[i] * 3, statistics.histogram[i] * kThreads * kRounds);
}

}  // namespace
}  // namespace cec::test
