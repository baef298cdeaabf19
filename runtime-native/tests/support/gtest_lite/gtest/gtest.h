// The part of GoogleTest's interface that our tests use, for machines that have no GoogleTest and only the npm registry to get it from.
// Written for this project; names and meaning follow GoogleTest's documentation, so that the same tests compile against either.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iostream>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace testing {

template <typename T>
struct TestParamInfo {
  T param;
  size_t index;
};

namespace lite {

struct Case {
  std::string name;
  std::function<void()> run;
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
/// Suites with parameters are known before or after their instances, so joining waits until the run.
inline std::vector<std::function<void()>>& joins() {
  static std::vector<std::function<void()>> all;
  return all;
}

struct State {
  bool failed = false;
  bool skipped = false;
  std::vector<std::string> traces;
};
inline State& state() {
  static State s;
  return s;
}

/// Prints what can be printed, else its bytes' number.
template <typename T, typename = void>
struct Show {
  static void to(std::ostream& out, const T&) { out << '<' << sizeof(T) << " bytes>"; }
};
template <typename T>
struct Show<T, std::void_t<decltype(std::declval<std::ostream&>() << std::declval<const T&>())>> {
  static void to(std::ostream& out, const T& v) {
    if constexpr (std::is_same_v<T, int8_t> || std::is_same_v<T, uint8_t>) out << static_cast<int>(v);
    else out << v;
  }
};
template <typename T>
std::string show(const T& v) {
  std::ostringstream out;
  Show<T>::to(out, v);
  return out.str();
}

class Report {
 public:
  Report(const char* file, int line, std::string what, bool failure) : failure_(failure) { out_ << file << ':' << line << ": " << what; }
  template <typename T>
  Report& operator<<(const T& v) {
    out_ << ' ';
    Show<T>::to(out_, v);
    return *this;
  }
  ~Report() {
    std::cout << out_.str() << '\n';
    for (const std::string& trace : state().traces) std::cout << "  in " << trace << '\n';
    (failure_ ? state().failed : state().skipped) = true;
  }

 private:
  std::ostringstream out_;
  bool failure_;
};
/// Lets `return Void() = Report(...) << ...` stand in a function without result.
struct Void {
  void operator=(const Report&) const {}
};

template <typename A, typename B>
bool equal(const A& a, const B& b) {
  if constexpr (std::is_integral_v<A> && std::is_integral_v<B> && std::is_signed_v<A> != std::is_signed_v<B>) {
    if constexpr (std::is_signed_v<A>) return a >= 0 && static_cast<std::make_unsigned_t<A>>(a) == b;
    else return b >= 0 && a == static_cast<std::make_unsigned_t<B>>(b);
  } else {
    return a == b;
  }
}
/// Within 4 units in the last place, as GoogleTest has it.
inline bool almost_equal(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return false;
  const auto biased = [](float v) {
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    return (bits & 0x80000000u) != 0 ? ~bits + 1 : bits | 0x80000000u;
  };
  const uint32_t x = biased(a), y = biased(b);
  return (x > y ? x - y : y - x) <= 4;
}

struct Trace {
  explicit Trace(std::string text) { state().traces.push_back(std::move(text)); }
  ~Trace() { state().traces.pop_back(); }
};

template <typename Fixture>
struct Suite {
  using Param = typename Fixture::ParamType;
  struct Instance {
    std::string name;
    std::vector<Param> values;
    std::function<std::string(const TestParamInfo<Param>&)> label;
  };
  static std::vector<std::pair<std::string, std::function<std::unique_ptr<Fixture>()>>>& tests() {
    static std::vector<std::pair<std::string, std::function<std::unique_ptr<Fixture>()>>> all;
    return all;
  }
  static bool instantiate(const char* suite, Instance instance) {
    joins().push_back([suite, instance] {
      for (const auto& test : tests()) {
        for (size_t i = 0; i < instance.values.size(); ++i) {
          const Param param = instance.values[i];
          const auto make = test.second;
          cases().push_back({instance.name + "/" + suite + "." + test.first + "/" + instance.label({param, i}), [make, param] {
                               Fixture::current() = &param;
                               make()->TestBody();
                             }});
        }
      }
    });
    return true;
  }
};

}  // namespace lite

class Test {
 public:
  virtual ~Test() = default;
  virtual void TestBody() = 0;
};

template <typename T>
class TestWithParam : public Test {
 public:
  using ParamType = T;
  static const T& GetParam() { return *current(); }
  static const T*& current() {
    static const T* param = nullptr;
    return param;
  }
};

class Message {
 public:
  template <typename T>
  Message& operator<<(const T& v) {
    lite::Show<T>::to(out_, v);
    return *this;
  }
  friend std::ostream& operator<<(std::ostream& out, const Message& m) { return out << m.out_.str(); }

 private:
  std::ostringstream out_;
};

template <typename Container>
auto ValuesIn(const Container& values) {
  return std::vector<std::decay_t<decltype(*std::begin(values))>>(std::begin(values), std::end(values));
}
template <typename T, typename... Rest>
std::vector<T> Values(T first, Rest... rest) {
  return {first, rest...};
}

}  // namespace testing

#define TEST(suite, name)                                                                                                                  \
  struct suite##_##name : public ::testing::Test {                                                                                         \
    void TestBody() override;                                                                                                              \
  };                                                                                                                                       \
  [[maybe_unused]] static const bool suite##_##name##_added = (::testing::lite::cases().push_back({#suite "." #name, [] { suite##_##name().TestBody(); }}), true); \
  void suite##_##name::TestBody()

#define TEST_P(fixture, name)                                                                                                              \
  struct fixture##_##name : public fixture {                                                                                               \
    void TestBody() override;                                                                                                              \
  };                                                                                                                                       \
  [[maybe_unused]] static const bool fixture##_##name##_added =                                                                            \
      (::testing::lite::Suite<fixture>::tests().emplace_back(#name, [] { return std::unique_ptr<fixture>(new fixture##_##name()); }), true); \
  void fixture##_##name::TestBody()

#define INSTANTIATE_TEST_SUITE_P(prefix, fixture, values, ...) \
  [[maybe_unused]] static const bool prefix##_##fixture##_made = ::testing::lite::Suite<fixture>::instantiate(#fixture, {#prefix, values, __VA_ARGS__})

#define CEC_LITE_CHECK(ok, text, on_fail) \
  if (ok) {                               \
  } else                                  \
    on_fail ::testing::lite::Report(__FILE__, __LINE__, text, true)
#define CEC_LITE_FATAL return ::testing::lite::Void() =
#define CEC_LITE_PAIR(ok, op, a, b, on_fail) \
  CEC_LITE_CHECK(ok, std::string(#a " " op " " #b ": ") + ::testing::lite::show(a) + ", " + ::testing::lite::show(b), on_fail)

#define EXPECT_TRUE(v) CEC_LITE_CHECK(static_cast<bool>(v), #v " is false", )
#define EXPECT_FALSE(v) CEC_LITE_CHECK(!static_cast<bool>(v), #v " is true", )
#define ASSERT_TRUE(v) CEC_LITE_CHECK(static_cast<bool>(v), #v " is false", CEC_LITE_FATAL)
#define ASSERT_FALSE(v) CEC_LITE_CHECK(!static_cast<bool>(v), #v " is true", CEC_LITE_FATAL)
#define EXPECT_EQ(a, b) CEC_LITE_PAIR(::testing::lite::equal((a), (b)), "==", a, b, )
#define ASSERT_EQ(a, b) CEC_LITE_PAIR(::testing::lite::equal((a), (b)), "==", a, b, CEC_LITE_FATAL)
#define EXPECT_NE(a, b) CEC_LITE_PAIR(!::testing::lite::equal((a), (b)), "!=", a, b, )
#define ASSERT_NE(a, b) CEC_LITE_PAIR(!::testing::lite::equal((a), (b)), "!=", a, b, CEC_LITE_FATAL)
#define EXPECT_LE(a, b) CEC_LITE_PAIR((a) <= (b), "<=", a, b, )
#define EXPECT_LT(a, b) CEC_LITE_PAIR((a) < (b), "<", a, b, )
#define EXPECT_GE(a, b) CEC_LITE_PAIR((a) >= (b), ">=", a, b, )
#define EXPECT_GT(a, b) CEC_LITE_PAIR((a) > (b), ">", a, b, )
#define EXPECT_NEAR(a, b, e) CEC_LITE_PAIR(std::fabs((a) - (b)) <= (e), "near", a, b, )
#define ASSERT_NEAR(a, b, e) CEC_LITE_PAIR(std::fabs((a) - (b)) <= (e), "near", a, b, CEC_LITE_FATAL)
#define EXPECT_FLOAT_EQ(a, b) CEC_LITE_PAIR(::testing::lite::almost_equal((a), (b)), "almost", a, b, )
#define ASSERT_FLOAT_EQ(a, b) CEC_LITE_PAIR(::testing::lite::almost_equal((a), (b)), "almost", a, b, CEC_LITE_FATAL)
#define ADD_FAILURE() ::testing::lite::Report(__FILE__, __LINE__, "failed", true)
#define FAIL() return ::testing::lite::Void() = ::testing::lite::Report(__FILE__, __LINE__, "failed", true)
#define GTEST_SKIP() return ::testing::lite::Void() = ::testing::lite::Report(__FILE__, __LINE__, "skipped", false)
#define CEC_LITE_JOIN2(a, b) a##b
#define CEC_LITE_JOIN(a, b) CEC_LITE_JOIN2(a, b)
#define SCOPED_TRACE(text) const ::testing::lite::Trace CEC_LITE_JOIN(cec_trace_, __LINE__)(::testing::lite::show(text))
