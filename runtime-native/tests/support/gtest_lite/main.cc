// Runs all tests, or those whose name holds the text after --gtest_filter= (stars are taken away). Exit code 1 when one failed.
#include <exception>

#include "gtest/gtest.h"

int main(int argc, char** argv) {
  using namespace testing::lite;
  std::string filter;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const std::string key = "--gtest_filter=";
    if (arg.compare(0, key.size(), key) != 0) continue;
    for (const char c : arg.substr(key.size())) {
      if (c != '*') filter += c;
    }
  }
  for (const auto& join : joins()) join();
  int failed = 0, skipped = 0, ran = 0;
  for (const Case& test : cases()) {
    if (test.name.find(filter) == std::string::npos) continue;
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
