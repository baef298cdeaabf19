// Latency of program files, without Node: cec_program_bench [--threads N] [--rounds N] [--batch N] [--isa NAME] [--ops] [--serve] [--json] FILE.cecb...
//
// Rounds of all files alternate. Loading is printed too: the file mapped (its pages in the system's cache) until a session is there, median of 5. Inputs are sine values; free dimensions are 1, the first one --batch. --ops adds the time of each op: a second run with
// clocks around the ops. --serve answers lines "INDEX SECONDS" on standard input with the milliseconds of each run of that file, so that another program
// can let rounds of ours and of other engines alternate.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "cec/cpu_features.h"
#include "cec/error.h"
#include "cec/program.h"
#include "cec/session.h"

namespace {

using namespace cec;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct Subject {
  std::string path;
  std::shared_ptr<const Program> program;
  std::unique_ptr<Session> session;
  std::vector<std::vector<float>> data;
  std::vector<TensorView> feeds;
  std::vector<std::vector<char>> results;
  std::vector<double> seconds;
  double load_ms = 0, first_ms = 0;  // until a session is there, and its first run, which makes the plan

  void run() {
    session->run(feeds, [this](size_t index, const TensorType& type) -> void* {
      results[index].resize(type.bytes());
      return results[index].data();
    });
  }
};

Subject open(const std::string& path, int threads, int64_t batch, const std::string& isa, bool profile) {
  Subject s;
  s.path = path;
  LoadOptions load;
  load.isa = isa;
  SessionOptions options;
  options.threads = threads;
  options.profile = profile;
  std::vector<double> loads;
  for (int i = 0; i < 5; ++i) {
    s.session.reset();
    s.program.reset();
    const double start = now();
    s.program = Program::map(path, load);
    s.session = std::make_unique<Session>(s.program, options);
    loads.push_back((now() - start) * 1e3);
  }
  std::sort(loads.begin(), loads.end());
  s.load_ms = loads[loads.size() / 2];
  s.results.resize(s.session->output_count());
  for (int32_t id : s.program->inputs()) {
    const ProgramTensor& t = s.program->tensors()[static_cast<size_t>(id)];
    TensorView view;
    view.dtype = t.dtype;
    size_t count = 1;
    for (size_t d = 0; d < t.dims.size(); ++d) {
      const int64_t size = t.dims[d] >= 0 ? t.dims[d] : d == 0 ? batch : 1;
      view.shape.push_back(size);
      count *= static_cast<size_t>(size);
    }
    // Other types than f32 get zeros.
    std::vector<float> data(count * std::max<size_t>(size_of(t.dtype), 4) / 4);
    if (t.dtype == DType::f32) {
      for (size_t i = 0; i < count; ++i) data[i] = std::sin(static_cast<float>(i) * 12.9898f) * 1.5f;
    }
    s.data.push_back(std::move(data));
    view.data = s.data.back().data();
    s.feeds.push_back(view);
  }
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 1, rounds = 15;
  int64_t batch = 1;
  bool ops = false, json = false, serve = false;
  std::string isa;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (arg == "--threads") threads = std::atoi(value());
    else if (arg == "--rounds") rounds = std::atoi(value());
    else if (arg == "--batch") batch = std::atoi(value());
    else if (arg == "--isa") isa = value();
    else if (arg == "--ops") ops = true;
    else if (arg == "--json") json = true;
    else if (arg == "--serve") serve = true;
    else files.push_back(arg);
  }
  try {
    std::vector<Subject> subjects;
    for (const std::string& path : files) subjects.push_back(open(path, threads, batch, isa, false));
    for (Subject& s : subjects) {
      const double start = now();
      s.run();
      s.first_ms = (now() - start) * 1e3;
      for (int i = 0; i < 2; ++i) s.run();
    }
    if (serve) {
      std::printf("ready\n");
      std::fflush(stdout);
      size_t index = 0;
      double seconds = 0;
      while (std::scanf("%zu %lf", &index, &seconds) == 2) {
        if (index >= subjects.size()) break;
        const double begin = now();
        do {
          const double start = now();
          subjects[index].run();
          std::printf("%.5f ", (now() - start) * 1e3);
        } while (now() - begin < seconds);
        std::printf("\n");
        std::fflush(stdout);
      }
      return 0;
    }
    for (int round = 0; round < rounds; ++round) {
      for (Subject& s : subjects) {
        s.run();
        for (const double begin = now(); now() - begin < 0.05;) {
          const double start = now();
          s.run();
          s.seconds.push_back(now() - start);
        }
      }
    }
    for (Subject& s : subjects) {
      std::sort(s.seconds.begin(), s.seconds.end());
      const double median = s.seconds[s.seconds.size() / 2] * 1e3, p90 = s.seconds[s.seconds.size() * 9 / 10] * 1e3;
      if (json) {
        std::printf("{\"file\":\"%s\",\"isa\":\"%s\",\"threads\":%d,\"batch\":%d,\"medianMs\":%.4f,\"p90Ms\":%.4f,\"runs\":%zu,\"loadMs\":%.3f,\"firstMs\":%.3f}\n", s.path.c_str(),
                    isa.empty() ? isa_name(active_isa()) : isa.c_str(), threads, static_cast<int>(batch), median, p90, s.seconds.size(), s.load_ms, s.first_ms);
      } else {
        std::printf("%-44s %d thread%s  median %8.3f ms  p90 %8.3f ms  best %8.3f ms  %zu runs  load %.2f ms  first run %.2f ms\n", s.path.c_str(), threads, threads == 1 ? " " : "s", median, p90, s.seconds[0] * 1e3,
                    s.seconds.size(), s.load_ms, s.first_ms);
      }
    }
    if (!ops) return 0;
    for (const std::string& path : files) {
      Subject s = open(path, threads, batch, isa, true);
      for (const double begin = now(); now() - begin < 1;) s.run();
      std::map<std::string, double> kinds;
      std::printf("\n%s\n", path.c_str());
      for (const OpProfile& op : s.session->profile()) {
        if (op.calls == 0) continue;
        const double us = static_cast<double>(op.nanoseconds) / static_cast<double>(op.calls) / 1e3;
        kinds[op.kind] += us;
        std::printf("%10.1f us  %-28s %s\n", us, op.kind.c_str(), op.name.c_str());
      }
      for (const auto& [kind, us] : kinds) std::printf("%10.1f us  all %s\n", us, kind.c_str());
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", error.code.c_str(), error.what());
    return 1;
  }
  return 0;
}
