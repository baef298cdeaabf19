// GEMM beside the vendor libraries: rounds alternate in one process, so that a busy or throttled machine slows all alike.
//
//   cec_gemm_bench [--threads N] [--rounds N] [--dnnl libdnnl.so] [--mkl libmkl_rt.so] [--best] [--json] [filter]
//
// cec has the weights prepacked, as an inference engine has them; "cec+pack" packs them in every call, as the BLAS entry points of the peers do (dnnl_sgemm,
// dnnl_gemm_u8s8s32, cblas_sgemm). oneDNN's own matmul primitive is not here: its PyPI build needs an OpenCL device for the CPU. The libraries are opened at run
// time; without them the bench prints our rates alone. --best takes the best round in place of the median, to compare two builds on a noisy machine. The ceiling is what a loop of independent multiply-adds in registers reaches in the same run.
#include <dlfcn.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "cec/thread_pool.h"
#include "exec/ops/common.h"
#include "kernels/kernels.h"

namespace {

using namespace cec;

struct GemmShape {
  const char* name;
  size_t m, n, k;
};

// m: output pixels or tokens, n: output channels, k: taps x input channels, at batch 1.
constexpr GemmShape kShapes[] = {
    {"1024^3", 1024, 1024, 1024},
    {"2048^3", 2048, 2048, 2048},
    {"resnet50 conv1 7x7", 12544, 64, 147},
    {"resnet50 1x1 64-256", 3136, 256, 64},
    {"resnet50 1x1 256-64", 3136, 64, 256},
    {"resnet50 3x3 64", 3136, 64, 576},
    {"resnet50 3x3 128", 784, 128, 1152},
    {"resnet50 1x1 512-128", 784, 128, 512},
    {"resnet50 1x1 256-1024", 196, 1024, 256},
    {"resnet50 3x3 256", 196, 256, 2304},
    {"resnet50 1x1 2048-512", 49, 512, 2048},
    {"resnet50 3x3 512", 49, 512, 4608},
    {"resnet50 fc", 1, 1000, 2048},
    {"mobilenetv2 1x1 16-96", 12544, 96, 16},
    {"mobilenetv2 1x1 144-24", 3136, 24, 144},
    {"mobilenetv2 1x1 32-192", 784, 192, 32},
    {"mobilenetv2 1x1 384-64", 196, 64, 384},
    {"mobilenetv2 1x1 576-96", 196, 96, 576},
    {"mobilenetv2 1x1 960-320", 49, 320, 960},
    {"mobilenetv2 1x1 320-1280", 49, 1280, 320},
    {"bert-base qkv 128 tokens", 128, 768, 768},
    {"bert-base ffn up", 128, 3072, 768},
    {"bert-base ffn down", 128, 768, 3072},
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// One contender: `run` does the whole problem once.
struct Contender {
  std::string name;
  std::function<void()> run;
  std::vector<double> seconds;
  size_t repeat = 1;
};

void measure(std::vector<Contender>& contenders, int rounds) {
  for (Contender& c : contenders) {
    for (int i = 0; i < 2; ++i) c.run();
    const double start = now();
    c.run();
    c.repeat = 1 + static_cast<size_t>(4e-3 / std::max(now() - start, 1e-7));
  }
  for (int round = 0; round < rounds; ++round) {
    for (Contender& c : contenders) {
      c.run();  // its weights come back into the caches that the others have used
      const double start = now();
      for (size_t i = 0; i < c.repeat; ++i) c.run();
      c.seconds.push_back((now() - start) / static_cast<double>(c.repeat));
    }
  }
  for (Contender& c : contenders) std::sort(c.seconds.begin(), c.seconds.end());
}

template <class T>
std::vector<T> values(size_t n, unsigned seed) {
  std::vector<T> v(n);
  uint64_t state = seed;
  for (T& x : v) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    const int byte = static_cast<int>(state >> 56);
    if (std::is_same<T, float>::value) x = static_cast<T>(static_cast<float>(byte - 128) / 128.0f);
    else x = static_cast<T>(byte - (std::is_signed<T>::value ? 128 : 0));
  }
  return v;
}

// The vendor libraries, by their C interfaces.
struct Libraries {
  void* dnnl = nullptr;
  void* mkl = nullptr;
  template <class F>
  static F function(void* library, const char* name) {
    return library == nullptr ? nullptr : reinterpret_cast<F>(dlsym(library, name));
  }
};

// ---- the ceiling: independent multiply-adds in registers --------------------------------------------------------------------------------------------

#if CEC_KERNELS_X86
template <class F>
double rate(const F& loop, double operations) {
  loop(1000);
  std::vector<double> rates;
  for (int i = 0; i < 9; ++i) {
    const double start = now();
    loop(200000);
    rates.push_back(200000 * operations / (now() - start) / 1e9);
  }
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() / 2];
}

// Written in assembly, so that the compiler keeps nothing in memory. Values do not matter: all registers are zero.
#define CEC_REPEAT12(f) f("4") f("5") f("6") f("7") f("8") f("9") f("10") f("11") f("12") f("13") f("14") f("15")
#define CEC_CLOBBER12 "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define CEC_ZERO(r) "vpxor %%xmm" r ", %%xmm" r ", %%xmm" r "\n\t"
#define CEC_FMA_YMM(r) "vfmadd231ps %%ymm0, %%ymm1, %%ymm" r "\n\t"
#define CEC_MADD_YMM(r) "vpmaddwd %%ymm0, %%ymm1, %%ymm2\n\tvpaddd %%ymm2, %%ymm" r ", %%ymm" r "\n\t"
#define CEC_FMA_ZMM(r) "vfmadd231ps %%zmm0, %%zmm1, %%zmm" r "\n\t"
#define CEC_DOT_ZMM(r) "vpdpbusd %%zmm0, %%zmm1, %%zmm" r "\n\t"
#define CEC_PEAK(name, op)                                                                                                          \
  void name(size_t n) {                                                                                                             \
    asm volatile(CEC_ZERO("0") CEC_ZERO("1") CEC_REPEAT12(CEC_ZERO) "1:\n\t" CEC_REPEAT12(op) "dec %0\n\tjnz 1b\n\tvzeroupper\n\t" \
                 : "+r"(n)                                                                                                          \
                 :                                                                                                                  \
                 : "cc", "xmm0", "xmm1", "xmm2", CEC_CLOBBER12);                                                                    \
  }
CEC_PEAK(fma_avx2, CEC_FMA_YMM)
CEC_PEAK(madd_avx2, CEC_MADD_YMM)
CEC_PEAK(fma_avx512, CEC_FMA_ZMM)
CEC_PEAK(dot_avx512vnni, CEC_DOT_ZMM)
#endif

/// GFLOPS and GOPS of one thread; 0 where the machine has no vectors that are known here.
void ceilings(double* f32, double* q8) {
  *f32 = *q8 = 0;
#if CEC_KERNELS_X86
  const Isa isa = active_isa();
  if (isa >= Isa::avx512) *f32 = rate(fma_avx512, 12 * 32);
  else if (isa >= Isa::avx2) *f32 = rate(fma_avx2, 12 * 16);
  if (isa >= Isa::avx512vnni) *q8 = rate(dot_avx512vnni, 12 * 128);
  else if (isa >= Isa::avx2) *q8 = rate(madd_avx2, 12 * 32);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 1, rounds = 15;
  bool json = false, best = false;
  std::string dnnl, mkl, filter;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (arg == "--threads") threads = std::atoi(value());
    else if (arg == "--rounds") rounds = std::atoi(value());
    else if (arg == "--dnnl") dnnl = value();
    else if (arg == "--mkl") mkl = value();
    else if (arg == "--json") json = true;
    else if (arg == "--best") best = true;
    else filter = arg;
  }
  // oneDNN's TBB takes as many threads as the process may run on.
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (int i = 0; i < threads; ++i) CPU_SET(i, &cpus);
  sched_setaffinity(0, sizeof(cpus), &cpus);
  for (const char* name : {"OMP_NUM_THREADS", "MKL_NUM_THREADS"}) setenv(name, std::to_string(threads).c_str(), 1);

  Libraries l;
  if (!dnnl.empty() && (l.dnnl = dlopen(dnnl.c_str(), RTLD_NOW | RTLD_LOCAL)) == nullptr) std::fprintf(stderr, "no oneDNN: %s\n", dlerror());
  if (!mkl.empty() && (l.mkl = dlopen(mkl.c_str(), RTLD_NOW | RTLD_GLOBAL)) == nullptr) std::fprintf(stderr, "no MKL: %s\n", dlerror());

  const KernelTable& kernels = cec::kernels();
  ThreadPool pool(threads);
  double f32_ceiling, q8_ceiling;
  ceilings(&f32_ceiling, &q8_ceiling);
  if (!json) {
    std::printf("%d thread%s, %s. One-thread ceilings: f32 %.0f GFLOPS, u8 x s8 %.0f GOPS\n", threads, threads == 1 ? "" : "s", isa_name(active_isa()), f32_ceiling, q8_ceiling);
    std::printf("%-26s %-28s | %s\n", "shape (m x n x k)", "kernel", "rates, and ours over each peer");
  }
  for (const GemmShape& s : kShapes) {
    if (!filter.empty() && std::string(s.name).find(filter) == std::string::npos) continue;
    const double operations = 2.0 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
    const auto report = [&](const char* kernel, std::vector<Contender>& contenders, double ceiling) {
      measure(contenders, rounds);
      const auto rate_of = [&](const Contender& c) { return operations / c.seconds[best ? 0 : c.seconds.size() / 2] / 1e9; };
      const double ours = rate_of(contenders[0]);
      if (json) {
        std::printf("{\"bench\":\"gemm\",\"shape\":\"%s\",\"m\":%zu,\"n\":%zu,\"k\":%zu,\"kernel\":\"%s\",\"threads\":%d,\"isa\":\"%s\",\"ceiling\":%.1f", s.name, s.m, s.n, s.k, kernel, threads,
                    isa_name(active_isa()), ceiling);
        for (const Contender& c : contenders) {
          const double spread = (c.seconds[c.seconds.size() * 3 / 4] - c.seconds[c.seconds.size() / 4]) / c.seconds[c.seconds.size() / 2];
          std::printf(",\"%s\":%.2f,\"%s spread\":%.3f", c.name.c_str(), rate_of(c), c.name.c_str(), spread);
        }
        std::printf("}\n");
      } else {
        std::printf("%-26s %-28s | cec %6.1f (%2.0f %% of ceiling)", s.name, kernel, ours, ceiling > 0 ? 100 * ours / ceiling / threads : 0);
        for (size_t i = 1; i < contenders.size(); ++i) std::printf(" | %s %6.1f: %.2f", contenders[i].name.c_str(), rate_of(contenders[i]), ours / rate_of(contenders[i]));
        std::printf("\n");
      }
      std::fflush(stdout);
    };
    {
      const GemmF32Variant& g = *kernels.gemm_f32;
      const std::vector<float> a = values<float>(s.m * s.k, 1), b = values<float>(s.k * s.n, 2);
      std::vector<float> c(s.m * s.n);
      const std::shared_ptr<void> packed = allocate_aligned(g.packed_bytes(s.n, s.k));
      g.pack(s.n, s.k, b.data(), 1, s.n, packed.get());
      GemmF32Args args;
      args.m = s.m;
      args.n = s.n;
      args.k = args.lda = s.k;
      args.a = a.data();
      args.packed_b = packed.get();
      args.c = c.data();
      args.ldc = s.n;
      std::vector<Contender> contenders;
      const auto multiply = [&] {
        run_tiles(pool, s.m, s.n, g.m_step, g.n_step, s.m * s.n * s.k, [&](size_t m0, size_t m1, size_t n0, size_t n1) { g.gemm(args, m0, m1, n0, n1); });
      };
      contenders.push_back({"cec", multiply, {}, 1});
      contenders.push_back({"cec+pack", [&] {
                              g.pack(s.n, s.k, b.data(), 1, s.n, packed.get());
                              multiply();
                            }, {}, 1});
      if (auto f = Libraries::function<int (*)(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*, int64_t, float, float*, int64_t)>(l.dnnl, "dnnl_sgemm")) {
        const int64_t m = static_cast<int64_t>(s.m), n = static_cast<int64_t>(s.n), k = static_cast<int64_t>(s.k);
        contenders.push_back({"oneDNN", [=, &a, &b, &c] { f('N', 'N', m, n, k, 1.0f, a.data(), k, b.data(), n, 0.0f, c.data(), n); }, {}, 1});
      }
      if (l.mkl != nullptr) {
        const auto f = Libraries::function<void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int)>(l.mkl, "cblas_sgemm");
        const int m = static_cast<int>(s.m), n = static_cast<int>(s.n), k = static_cast<int>(s.k);
        if (f != nullptr) contenders.push_back({"MKL", [=, &a, &b, &c] { f(101, 111, 111, m, n, k, 1.0f, a.data(), k, b.data(), n, 0.0f, c.data(), n); }, {}, 1});
      }
      report(g.name, contenders, f32_ceiling);
    }
    {
      const GemmQVariant& g = *kernels.gemm_q;
      const std::vector<uint8_t> a = values<uint8_t>(s.m * s.k, 3);
      const std::vector<int8_t> b = values<int8_t>(s.k * s.n, 4);
      std::vector<int32_t> c(s.m * s.n);
      const std::shared_ptr<void> packed = allocate_aligned(g.packed_bytes(s.n, 1, s.k));
      g.pack(s.n, 1, s.k, b.data(), 1, s.n, packed.get());
      GemmQArgs args;
      args.m = s.m;
      args.n = s.n;
      args.k = args.lda = s.k;
      args.a = a.data();
      args.packed_b = packed.get();
      args.c = c.data();
      args.ldc = s.n;
      args.epilogue.out = QOut::s32;
      std::vector<Contender> contenders;
      const auto multiply = [&] {
        run_tiles(pool, s.m, s.n, g.m_step, g.n_step, s.m * s.n * s.k, [&](size_t m0, size_t m1, size_t n0, size_t n1) { g.gemm(args, m0, m1, n0, n1); });
      };
      contenders.push_back({"cec", multiply, {}, 1});
      contenders.push_back({"cec+pack", [&] {
                              g.pack(s.n, 1, s.k, b.data(), 1, s.n, packed.get());
                              multiply();
                            }, {}, 1});
      static const int32_t zero = 0;
      if (auto f = Libraries::function<int (*)(char, char, char, int64_t, int64_t, int64_t, float, const uint8_t*, int64_t, uint8_t, const int8_t*, int64_t, int8_t, float, int32_t*, int64_t, const int32_t*)>(
              l.dnnl, "dnnl_gemm_u8s8s32")) {
        const int64_t m = static_cast<int64_t>(s.m), n = static_cast<int64_t>(s.n), k = static_cast<int64_t>(s.k);
        contenders.push_back({"oneDNN", [=, &a, &b, &c] { f('N', 'N', 'F', m, n, k, 1.0f, a.data(), k, 0, b.data(), n, 0, 0.0f, c.data(), n, &zero); }, {}, 1});
      }
      report(g.name, contenders, q8_ceiling);
    }
  }
  return 0;
}
