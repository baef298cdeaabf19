// Runs all tests, or those whose name holds one of the texts after --gtest_filter= (parted by colons; stars are taken away). Exit code 1 when one failed.
#include <exception>

#include "gtest/gtest.h"

int main(int argc, char** argv) {
  using namespace testing::lite;
  std::vector<std::string> patterns;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const std::string key = "--gtest_filter=";
    if (arg.compare(0, key.size(), key) != 0) continue;
    patterns.emplace_back();
    for (const char c : arg.substr(key.size())) {
      if (c == ':') patterns.emplace_back();
      else if (c != '*') patterns.back() += c;
    }
  }
  for (const auto& join : joins()) join();
  int failed = 0, skipped = 0, ran = 0;
  for (const Case& test : cases()) {
    bool wanted = patterns.empty();
    for (const std::string& pattern : patterns) wanted = wanted || test.name.find(pattern) != std::string::npos;
    if (!wanted) continue;
    state() = State();
    try {
      test.run();
    } catch (const std::exception& error) {
      std::cout << "threw " << error.what() << '\n';
      state().failed = true;
    }
    ++ran;
    if (state().failed) {
      ++failed;
      std::cout << "FAILED " << test.name << std::endl;
    } else if (state().skipped) {
      ++skipped;
    }
  }
  std::cout << ran << " tests, " << failed << " failed, " << skipped << " skipped" << std::endl;
  return failed == 0 && ran > 0 ? 0 : 1;
}
