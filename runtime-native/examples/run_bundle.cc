// Loads a program file (.cecb) and runs it: all that an application without Node needs.
//
//   run_bundle MODEL.cecb [--input NAME=FILE.bin]... [--dim NAME=1,3,224,224]... [--output FOLDER] [--threads N] [--runs N] [--seed N]
//
// Inputs are raw little-endian values, row-major; those without a file get values of a seeded generator, uniform in [-1, 1] (integers: zero).
// Free dimensions are 1 unless --dim gives the input's dims. --output writes each output's raw bytes to FOLDER/NAME.bin.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <cec/error.h>
#include <cec/program.h>
#include <cec/session.h>

namespace {

struct Options {
  std::string model, output;
  std::map<std::string, std::string> files;
  std::map<std::string, cec::Shape> dims;
  int threads = 1, runs = 0;
  unsigned seed = 1;
};

int whole(const std::string& text, const std::string& what) {
  size_t end = 0;
  int value = 0;
  try {
    value = std::stoi(text, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  if (end == 0 || end != text.size() || value < 0) throw std::runtime_error(what + " takes a whole number, not \"" + text + "\"");
  return value;
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg.rfind("--", 0) != 0) {
      if (!o.model.empty()) throw std::runtime_error("one model at a time: " + arg);
      o.model = arg;
      continue;
    }
    if (++i == argc) throw std::runtime_error(arg + " needs a value");
    const std::string value = argv[i];
    const size_t equals = value.find('=');
    const auto pair = [&] {
      if (equals == std::string::npos) throw std::runtime_error(arg + " takes NAME=VALUE, not \"" + value + "\"");
      return std::make_pair(value.substr(0, equals), value.substr(equals + 1));
    };
    if (arg == "--input") {
      o.files.insert(pair());
    } else if (arg == "--dim") {
      const auto [name, list] = pair();
      std::istringstream parts(list);
      for (std::string part; std::getline(parts, part, ',');) o.dims[name].push_back(whole(part, "--dim " + name));
    } else if (arg == "--output") {
      o.output = value;
    } else if (arg == "--threads") {
      o.threads = whole(value, arg);
    } else if (arg == "--runs") {
      o.runs = whole(value, arg);
    } else if (arg == "--seed") {
      o.seed = static_cast<unsigned>(whole(value, arg));
    } else {
      throw std::runtime_error("unknown option " + arg);
    }
  }
  if (o.model.empty()) throw std::runtime_error("usage: run_bundle MODEL.cecb [--input NAME=FILE.bin] [--dim NAME=1,3,224,224] [--output FOLDER] [--threads N] [--runs N] [--seed N]");
  return o;
}

std::string shown(const cec::Shape& dims) {
  std::string text;
  for (const int64_t d : dims) text += (text.empty() ? "" : ", ") + (d < 0 ? std::string("?") : std::to_string(d));
  return "[" + text + "]";
}

std::vector<char> contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad() || !file.is_open()) throw std::runtime_error(path + " cannot be read");
  return bytes;
}

/// Bytes for an input: from its file, or generated.
std::vector<char> input_bytes(const cec::ProgramTensor& t, const cec::Shape& dims, const Options& o, std::mt19937& random) {
  const size_t bytes = cec::checked_bytes(t.dtype, dims);
  const auto file = o.files.find(t.name);
  if (file != o.files.end()) {
    std::vector<char> data = contents(file->second);
    if (data.size() != bytes)
      throw std::runtime_error(file->second + " has " + std::to_string(data.size()) + " bytes; the input \"" + t.name + "\" " + shown(dims) + " takes " + std::to_string(bytes));
    return data;
  }
  std::vector<char> data(bytes);
  if (t.dtype == cec::DType::f32) {
    for (size_t i = 0; i < bytes / sizeof(float); ++i) {
      // From the generator's own bits: a distribution's values are the library's choice.
      const float v = static_cast<float>(random() >> 8) / 8388608.0f - 1.0f;
      std::memcpy(data.data() + i * sizeof v, &v, sizeof v);
    }
  }
  return data;
}

void print_top(const float* values, size_t count) {
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i;
  const size_t n = std::min<size_t>(5, count);
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), order.end(), [&](size_t a, size_t b) { return values[a] > values[b] || (values[a] == values[b] && a < b); });
  for (size_t i = 0; i < n; ++i) std::printf("  #%-6zu %.6g\n", order[i], static_cast<double>(values[order[i]]));
}

void run(const Options& o) {
  using Clock = std::chrono::steady_clock;
  const auto ms = [](Clock::time_point since) { return std::chrono::duration<double, std::milli>(Clock::now() - since).count(); };
  const Clock::time_point begin = Clock::now();
  const auto program = cec::Program::map(o.model);
  std::printf("%s: loaded in %.1f ms, %.2f MiB of weights\n", o.model.c_str(), ms(begin), static_cast<double>(program->constant_bytes()) / 1048576);

  std::mt19937 random(o.seed);
  std::vector<std::vector<char>> data;
  std::vector<cec::TensorView> feeds;
  for (const int32_t id : program->inputs()) {
    const cec::ProgramTensor& t = program->tensors()[static_cast<size_t>(id)];
    const auto given = o.dims.find(t.name);
    cec::TensorView feed;
    feed.dtype = t.dtype;
    if (given != o.dims.end()) {
      feed.shape = given->second;
    } else {
      for (const int64_t d : t.dims) feed.shape.push_back(d < 0 ? 1 : d);
    }
    std::printf("input  %s: %s%s\n", t.name.c_str(), cec::name_of(t.dtype), shown(feed.shape).c_str());
    data.push_back(input_bytes(t, feed.shape, o, random));
    feed.data = data.back().data();
    feeds.push_back(feed);
  }
  for (const auto& [name, file] : o.files) {
    const bool known = std::any_of(program->inputs().begin(), program->inputs().end(), [&, &wanted = name](int32_t id) { return program->tensors()[static_cast<size_t>(id)].name == wanted; });
    if (!known) throw std::runtime_error("the model has no input \"" + name + "\" (" + file + ")");
  }

  cec::SessionOptions options;
  options.threads = o.threads;
  cec::Session session(program, options);
  std::vector<cec::OwnedTensor> results = session.run(feeds);
  for (size_t i = 0; i < results.size(); ++i) {
    const cec::TensorType& type = results[i].type;
    std::printf("output %s: %s%s\n", session.output_name(i).c_str(), cec::name_of(type.dtype), shown(type.shape).c_str());
    if (type.dtype == cec::DType::f32) print_top(static_cast<const float*>(results[i].data.get()), type.bytes() / sizeof(float));
    if (o.output.empty()) continue;
    const std::string path = o.output + "/" + session.output_name(i) + ".bin";
    std::ofstream file(path, std::ios::binary);
    file.write(static_cast<const char*>(results[i].data.get()), static_cast<std::streamsize>(type.bytes()));
    if (!file.flush()) throw std::runtime_error(path + " cannot be written");
  }
  if (o.runs == 0) return;

  // Into the same memory each time: nothing is allocated from here on.
  std::vector<double> times;
  for (int i = 0; i < o.runs; ++i) {
    const Clock::time_point start = Clock::now();
    session.run(feeds, [&](size_t index, const cec::TensorType&) { return results[index].data.get(); });
    times.push_back(ms(start));
  }
  std::sort(times.begin(), times.end());
  std::printf("%d runs, %d thread%s: median %.3f ms, p90 %.3f ms; %.2f MiB of working memory\n", o.runs, o.threads, o.threads == 1 ? "" : "s", times[times.size() / 2], times[times.size() * 9 / 10],
              static_cast<double>(session.arena_bytes()) / 1048576);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
    return 0;
  } catch (const cec::Error& error) {
    std::fprintf(stderr, "error[%s]: %s\n", error.code.c_str(), error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
  }
  return 1;
}
