#include "cec/observer.h"

#include <cmath>

#include "program_builder.h"

namespace cec::test {
namespace {

ProgramBuilder identity_of(DType type) {
  ProgramBuilder b;
  const int32_t x = b.input("x", type, {-1, 4});
  b.output("y", b.op("identity", {x}, type, 2));
  return b;
}

TensorStatistics observe(const std::vector<float>& values, const std::vector<size_t>& split, int threads, ObserverOptions options = {}) {
  const std::shared_ptr<const Program> program = identity_of(DType::f32).load();
  SessionOptions session_options;
  session_options.threads = threads;
  Session session(program, session_options);
  Observer observer(program, {"x"}, options);
  size_t at = 0;
  for (const size_t rows : split) {
    session.run({view(DType::f32, {static_cast<int64_t>(rows), 4}, values.data() + at)}, &observer);
    at += rows * 4;
  }
  EXPECT_EQ(at, values.size());
  return observer.read()[0];
}

TEST(Observer, MomentsAndHistogramOfARampAreTheClosedForm) {
  std::vector<float> values(1024);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  ObserverOptions options;
  options.bins = 64;
  options.per_channel = true;
  const TensorStatistics s = observe(values, {256}, 1, options);
  EXPECT_EQ(s.count, uint64_t{1024});
  EXPECT_EQ(s.min, 0.0);
  EXPECT_EQ(s.max, 1023.0);
  EXPECT_NEAR(s.mean, 511.5, 1e-9);
  EXPECT_NEAR(s.std, std::sqrt((1024.0 * 1024.0 - 1) / 12), 1e-6);
  EXPECT_EQ(s.histogram_lo, 0.0);
  EXPECT_EQ(s.histogram_hi, 1024.0);
  for (const uint64_t c : s.histogram) EXPECT_EQ(c, uint64_t{16});
  for (size_t c = 0; c < 4; ++c) {
    EXPECT_EQ(s.channel_min[c], static_cast<float>(c));
    EXPECT_EQ(s.channel_max[c], static_cast<float>(1020 + c));
    EXPECT_NEAR(s.channel_mean[c], 510.0 + static_cast<double>(c), 1e-9);
    // Mean square of 4i + c, i = 0..255.
    const double d = static_cast<double>(c);
    EXPECT_NEAR(s.channel_mean_square[c], 16.0 * 255 * 511 / 6 + 4 * 255 * d + d * d, 1e-6);
  }
}

TEST(Observer, AveragesOfExtremesMoveATenthOfTheWay) {
  const std::vector<float> values = {0, 1, 2, 10, -4, 0, 0, 30, 5, 6, 7, 8};
  const TensorStatistics s = observe(values, {1, 1, 1}, 1, ObserverOptions());
  // Extremes of the runs: [0, 10], [-4, 30], [5, 8].
  EXPECT_NEAR(s.average_min, (0 * 0.9 - 4 * 0.1) * 0.9 + 5 * 0.1, 1e-12);
  EXPECT_NEAR(s.average_max, (10 * 0.9 + 30 * 0.1) * 0.9 + 8 * 0.1, 1e-12);
}

TEST(Observer, HistogramCountsAreThoseOfBinningAtTheFinalWidth) {
  const std::vector<float> values = random_values<float>(40000, 3, -7, 90);
  ObserverOptions options;
  options.bins = 100;
  const TensorStatistics s = observe(values, {10000}, 2, options);
  const double width = (s.histogram_hi - s.histogram_lo) / 100;
  std::vector<uint64_t> want(100, 0);
  for (const float v : values) ++want[static_cast<size_t>(std::floor((static_cast<double>(v) - s.histogram_lo) / width))];
  EXPECT_TRUE(want == s.histogram);
  EXPECT_EQ(std::log2(width), std::floor(std::log2(width)));
}

TEST(Observer, NothingDependsOnThreadsAndCountsNotOnTheSplit) {
  std::vector<float> values = random_values<float>(4 * 30000, 5, -2, 2);
  // The range grows late, in steps, at both ends.
  values[50000] = 1e-30f;
  values[70000] = 900;
  values[110000] = -123456;
  const TensorStatistics whole = observe(values, {30000}, 1);
  for (const int threads : {2, 3, 5}) {
    const TensorStatistics s = observe(values, {30000}, threads);
    EXPECT_TRUE(s.histogram == whole.histogram && s.mean == whole.mean && s.std == whole.std);
  }
  for (const std::vector<size_t>& split : {std::vector<size_t>{1, 29999}, {10000, 10000, 10000}, {29999, 1}, {7, 12493, 17500}}) {
    const TensorStatistics s = observe(values, split, 2);
    EXPECT_TRUE(s.histogram == whole.histogram);
    EXPECT_EQ(s.histogram_lo, whole.histogram_lo);
    EXPECT_EQ(s.histogram_hi, whole.histogram_hi);
    EXPECT_EQ(s.count, whole.count);
    EXPECT_EQ(s.min, whole.min);
    EXPECT_EQ(s.max, whole.max);
    EXPECT_NEAR(s.mean, whole.mean, 1e-9);  // sums in another order
  }
}

TEST(Observer, NanAndInfinityAreCountedApart) {
  const float inf = std::numeric_limits<float>::infinity();
  const TensorStatistics s = observe({1, inf, -inf, std::nanf(""), 3, inf, 2, std::nanf("")}, {2}, 1);
  EXPECT_EQ(s.count, uint64_t{3});
  EXPECT_EQ(s.nan_count, uint64_t{2});
  EXPECT_EQ(s.inf_count, uint64_t{3});
  EXPECT_EQ(s.min, 1.0);
  EXPECT_EQ(s.max, 3.0);
  EXPECT_NEAR(s.mean, 2.0, 1e-12);
}

TEST(Observer, ExtremesOfTheFloatRangeStayExact) {
  const float most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
  const TensorStatistics s = observe({most, -most, least, -least, 0, -0.0f, 1, -1}, {1, 1}, 1);
  EXPECT_EQ(s.count, uint64_t{8});
  uint64_t sum = 0;
  for (const uint64_t c : s.histogram) sum += c;
  EXPECT_EQ(sum, uint64_t{8});
  EXPECT_LE(s.histogram_lo, -static_cast<double>(most));
  EXPECT_GE(s.histogram_hi, static_cast<double>(most));
  const TensorStatistics tiny = observe({least, 2 * least, 3 * least, 0}, {1}, 1);
  EXPECT_EQ(tiny.count, uint64_t{4});
  EXPECT_EQ(tiny.max, 3.0 * least);
}

TEST(Observer, TinyNegativeValuesStayInTheBinBelowZeroOnEveryLevel) {
  // The bins end at 0 exactly: rounding a tiny negative value up to 0 would count it past the end.
  const float tiny = -std::numeric_limits<float>::denorm_min();
  ObserverOptions options;
  options.bins = 4;
  for (const std::vector<size_t>& split : {std::vector<size_t>{2}, {1, 1}}) {
    const TensorStatistics s = observe({-4194304.0f, tiny, tiny, -3145728.0f, tiny, tiny, tiny, tiny}, split, 1, options);
    EXPECT_EQ(s.histogram_lo, -4194304.0);
    EXPECT_EQ(s.histogram_hi, 0.0);
    EXPECT_TRUE(s.histogram == (std::vector<uint64_t>{1, 1, 0, 6}));
  }
}

TEST(Observer, WithoutBinsOnlyExtremesAndMomentsAreKept) {
  ObserverOptions options;
  options.bins = 0;
  const TensorStatistics s = observe({1, 2, 3, 6}, {1}, 1, options);
  EXPECT_TRUE(s.histogram.empty());
  EXPECT_EQ(s.max, 6.0);
  EXPECT_EQ(s.mean, 3.0);
}

TEST(Observer, ConstantAndEmptyDataAreFine) {
  const TensorStatistics zeros = observe(std::vector<float>(16, 0.0f), {4}, 1);
  EXPECT_EQ(zeros.std, 0.0);
  EXPECT_LE(zeros.histogram_lo, 0.0);
  const TensorStatistics none = observe({}, {0}, 1);
  EXPECT_EQ(none.count, uint64_t{0});
  EXPECT_EQ(none.histogram_hi, 0.0);
}

TEST(Observer, RejectsUnknownNamesBinsTypesAndForeignPrograms) {
  const auto program = identity_of(DType::f32).load();
  ObserverOptions few;
  few.bins = 1;
  EXPECT_EQ(code_of([&] { Observer(program, {"nobody"}, {}); }), std::string("CEC6007"));
  EXPECT_EQ(code_of([&] { Observer(program, {"x"}, few); }), std::string("CEC6007"));
  Session session(program, {});
  Observer foreign(identity_of(DType::f32).load(), {"x"}, {});
  const std::vector<float> x(4, 1);
  EXPECT_EQ(code_of([&] { session.run({view(DType::f32, {1, 4}, x.data())}, &foreign); }), std::string("CEC6007"));
  const auto wide = identity_of(DType::i64).load();
  Session wide_session(wide, {});
  Observer wide_observer(wide, {"x"}, {});
  const std::vector<int64_t> y(4, 1);
  EXPECT_EQ(code_of([&] { wide_session.run({view(DType::i64, {1, 4}, y.data())}, &wide_observer); }), std::string("CEC6007"));
}

TEST(Observer, IntegerTensorsAreObservedAsTheirValuesAndOthersAreRefused) {
  const auto statistics = [](DType type, const void* data) {
    const std::shared_ptr<const Program> program = identity_of(type).load();
    Session session(program, {});
    Observer observer(program, {"x"}, {});
    session.run({view(type, {1, 4}, data)}, &observer);
    return observer.read()[0];
  };
  const uint8_t u8[] = {0, 255, 10, 35};
  const int8_t i8[] = {-128, 127, 1, 4};
  const int32_t i32[] = {-1000, 3000, 0, 0};
  EXPECT_TRUE(statistics(DType::u8, u8).max == 255 && statistics(DType::u8, u8).min == 0 && statistics(DType::u8, u8).mean == 75);
  EXPECT_TRUE(statistics(DType::i8, i8).max == 127 && statistics(DType::i8, i8).min == -128 && statistics(DType::i8, i8).mean == 1);
  EXPECT_TRUE(statistics(DType::i32, i32).max == 3000 && statistics(DType::i32, i32).min == -1000 && statistics(DType::i32, i32).mean == 500);
  const double f64[] = {1, 2, 3, 4};
  EXPECT_EQ(code_of([&] { statistics(DType::f64, f64); }), std::string("CEC6007"));
}

}  // namespace
}  // namespace cec::test
