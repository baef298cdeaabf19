// The fuzz target without libFuzzer, on files and seeded mutants of each: cec_program_fuzz_replay MUTANTS FILE-OR-FOLDER...
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "mutate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  constexpr size_t kLargest = 16384;  // mutants of larger files are slow and show nothing new
  const int mutants = argc > 1 ? std::atoi(argv[1]) : 0;
  std::vector<fs::path> files;
  for (int i = 2; i < argc; ++i) {
    if (fs::is_directory(argv[i])) {
      for (const fs::directory_entry& entry : fs::directory_iterator(argv[i])) files.push_back(entry.path());
    } else {
      files.emplace_back(argv[i]);
    }
  }
  std::sort(files.begin(), files.end());
  size_t runs = 0;
  for (const fs::path& path : files) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    ++runs;
    if (bytes.size() > kLargest) continue;
    for (int m = 0; m < mutants; ++m, ++runs) {
      std::vector<uint8_t> mutant(bytes.begin(), bytes.end());
      mutant.resize(bytes.size() + 256);
      const size_t size = cec_mutate(mutant.data(), bytes.size(), mutant.size(), static_cast<uint32_t>(runs));
      LLVMFuzzerTestOneInput(mutant.data(), size);
    }
  }
  std::printf("%zu files, %zu runs\n", files.size(), runs);
  return files.empty() ? 1 : 0;
}
