// Times every runnable variant on layers of real models, one thread.
//
//   cec_kernels_bench [--json] [filter]     the filter is a substring of the variant's or the layer's name
//
// GFLOPS counts two operations per multiply-add. "*" marks the variant that the dispatcher picks on this machine (CEC_MAX_ISA holds).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace {

using namespace cec;

bool g_json = false;
const char* g_filter = "";

struct Layer {
  const char* name;
  size_t batch, size, channels, out, kernel, stride;  // square images; out == 0: depthwise
};

constexpr Layer kLayers[] = {
    {"resnet20 conv1 3x3 3-16 @32", 1, 32, 3, 16, 3, 1},       {"resnet20 stage1 3x3 16-16 @32", 1, 32, 16, 16, 3, 1},
    {"resnet20 stage2 3x3 16-32/2 @32", 1, 32, 16, 32, 3, 2},  {"resnet20 stage2 3x3 32-32 @16", 1, 16, 32, 32, 3, 1},
    {"resnet20 stage3 3x3 64-64 @8", 1, 8, 64, 64, 3, 1},      {"mobilenetv2 stem 3x3 3-32/2 @224", 1, 224, 3, 32, 3, 2},
    {"mobilenetv2 1x1 32-16 @112", 1, 112, 32, 16, 1, 1},      {"mobilenetv2 1x1 16-96 @112", 1, 112, 16, 96, 1, 1},
    {"mobilenetv2 dw 3x3 96/2 @112", 1, 112, 96, 0, 3, 2},     {"mobilenetv2 dw 3x3 144 @56", 1, 56, 144, 0, 3, 1},
    {"mobilenetv2 1x1 144-24 @56", 1, 56, 144, 24, 1, 1},      {"mobilenetv2 1x1 32-192 @28", 1, 28, 32, 192, 1, 1},
    {"mobilenetv2 dw 3x3 384 @14", 1, 14, 384, 0, 3, 1},       {"mobilenetv2 1x1 384-64 @14", 1, 14, 384, 64, 1, 1},
    {"mobilenetv2 1x1 96-576 @14", 1, 14, 96, 576, 1, 1},      {"mobilenetv2 1x1 960-320 @7", 1, 7, 960, 320, 1, 1},
    {"mobilenetv2 1x1 320-1280 @7", 1, 7, 320, 1280, 1, 1},    {"mobilenetv2 fc 1280-1000", 1, 1, 1280, 1000, 1, 1},
    {"resnet50 3x3 64-64 @56", 1, 56, 64, 64, 3, 1},           {"resnet50 3x3 512-512 @7", 1, 7, 512, 512, 3, 1},
    {"resnet50 1x1 1024-256 @14", 1, 14, 1024, 256, 1, 1},     {"bert gemm 128x768-768", 1, 0, 768, 768, 1, 1},
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Median seconds of one call, over 21 samples of about 2 ms after 20 ms to warm up.
template <class F>
double median_seconds(const F& f) {
  for (const double begin = now(); now() - begin < 0.02;) f();
  const double start = now();
  f();
  const size_t repeat = 1 + static_cast<size_t>(2e-3 / std::max(now() - start, 1e-7));
  std::vector<double> samples;
  for (int s = 0; s < 21; ++s) {
    const double t = now();
    for (size_t i = 0; i < repeat; ++i) f();
    samples.push_back((now() - t) / static_cast<double>(repeat));
  }
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

bool wanted(const char* variant, const char* what) {
  return std::strstr(variant, g_filter) != nullptr || std::strstr(what, g_filter) != nullptr;
}

void report(const char* variant, bool selected, const char* what, double seconds, double work, const char* unit) {
  if (g_json) {
    std::printf("{\"kernel\":\"%s\",\"selected\":%s,\"case\":\"%s\",\"medianUs\":%.3f,\"rate\":%.4g,\"unit\":\"%s\",\"threads\":1,\"isa\":\"%s\"}\n",
                variant, selected ? "true" : "false", what, seconds * 1e6, work / seconds / 1e9, unit, isa_name(active_isa()));
  } else {
    std::printf("%c %-34s %-34s %10.1f us %8.2f %s\n", selected ? '*' : ' ', variant, what, seconds * 1e6, work / seconds / 1e9, unit);
  }
  std::fflush(stdout);
}

void* aligned(size_t bytes) {
  void* p = std::aligned_alloc(64, std::max<size_t>(bytes, 64));
  std::memset(p, 1, bytes);
  return p;
}

void bench_layer(const Layer& l) {
  const bool depthwise = l.out == 0, plain = l.kernel == 1 && l.stride == 1;
  const size_t pad = l.kernel / 2, size = l.size == 0 ? 1 : l.size, out_size = (size + 2 * pad - l.kernel) / l.stride + 1;
  const size_t rows = l.size == 0 ? 128 : l.batch * out_size * out_size, pixels = l.batch * (l.size == 0 ? 128 : size * size);
  const size_t taps = l.kernel * l.kernel, n = depthwise ? l.channels : l.out;
  std::vector<int32_t> offsets(out_size * out_size * taps);
  TapGeometry g;
  g.in_h = g.in_w = size;
  g.out_h = g.out_w = out_size;
  g.kernel_h = g.kernel_w = l.kernel;
  g.stride_h = g.stride_w = l.stride;
  g.pad_top = g.pad_left = static_cast<ptrdiff_t>(pad);
  g.pixel_stride = l.channels;
  build_tap_offsets(g, offsets.data());
  const Taps view{offsets.data(), out_size * out_size, taps, l.channels, size * size * l.channels};
  const double flops = 2.0 * static_cast<double>(rows) * static_cast<double>(n) * static_cast<double>(taps) *
                       static_cast<double>(depthwise ? 1 : l.channels);
  const std::vector<float> x(pixels * l.channels, 0.5f), w(n * taps * (depthwise ? 1 : l.channels), 0.25f), zero(l.channels), scale(n, 1e-3f);
  const std::vector<uint8_t> xq(x.size(), 77), zero_q(l.channels, 3);
  const std::vector<int8_t> wq(w.size(), 5);
  std::vector<float> y(rows * n);
  std::vector<uint8_t> yq(rows * n);
  EpilogueQ epilogue;
  epilogue.multiplier = scale.data();

  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (!isa_supported(isa)) continue;
    const KernelTable& t = kernels_for(isa);
    if (depthwise) {
      if (t.dwconv_f32->isa == isa && wanted(t.dwconv_f32->name, l.name)) {
        void* packed = aligned(t.dwconv_f32->packed_bytes(n, taps));
        t.dwconv_f32->pack(n, taps, w.data(), packed);
        DwconvF32Args a;
        a.rows = rows;
        a.taps = view;
        a.base = x.data();
        a.zero = zero.data();
        a.packed_w = packed;
        a.c = y.data();
        a.ldc = n;
        const double s = median_seconds([&] { t.dwconv_f32->dwconv(a, 0, rows); });
        report(t.dwconv_f32->name, t.dwconv_f32 == kernels().dwconv_f32, l.name, s, flops, "GFLOPS");
        std::free(packed);
      }
      if (t.dwconv_q->isa == isa && wanted(t.dwconv_q->name, l.name)) {
        void* packed = aligned(t.dwconv_q->packed_bytes(n, taps));
        t.dwconv_q->pack(n, taps, wq.data(), packed);
        DwconvQArgs a;
        a.rows = rows;
        a.taps = view;
        a.base = xq.data();
        a.a_zp = 3;
        a.geometry = &g;
        a.zero = zero_q.data();
        a.packed_w = packed;
        a.c = yq.data();
        a.ldc = n;
        a.epilogue = epilogue;
        const double s = median_seconds([&] { t.dwconv_q->dwconv(a, 0, rows); });
        report(t.dwconv_q->name, t.dwconv_q == kernels().dwconv_q, l.name, s, flops, "GFLOPS");
        std::free(packed);
      }
      continue;
    }
    for (const GemmF32Variant* gemm : {t.gemm_f32, t.gemm_bf16}) {
      if (gemm->isa != isa || !wanted(gemm->name, l.name)) continue;
      void* packed = aligned(gemm->packed_bytes(n, taps * l.channels));
      gemm->pack(n, taps * l.channels, w.data(), taps * l.channels, 1, packed);
      GemmF32Args a;
      a.m = rows;
      a.n = n;
      a.k = a.lda = l.channels;
      a.a = x.data();
      a.packed_b = packed;
      a.c = y.data();
      a.ldc = n;
      ConvF32Args c;
      c.rows = rows;
      c.n = n;
      c.taps = view;
      c.base = x.data();
      c.zero = zero.data();
      c.packed_b = packed;
      c.c = y.data();
      c.ldc = n;
      const double s = median_seconds([&] {
        if (plain) gemm->gemm(a, 0, rows, 0, n);
        else gemm->conv(c, 0, rows, 0, n);
      });
      report(gemm->name, gemm == kernels().gemm_f32 || gemm == kernels().gemm_bf16, l.name, s, flops, "GFLOPS");
      std::free(packed);
    }
    if (t.gemm_q->isa == isa && wanted(t.gemm_q->name, l.name)) {
      void* packed = aligned(t.gemm_q->packed_bytes(n, taps, l.channels));
      t.gemm_q->pack(n, taps, l.channels, wq.data(), taps * l.channels, 1, packed);
      GemmQArgs a;
      a.m = rows;
      a.n = n;
      a.k = a.lda = l.channels;
      a.a = xq.data();
      a.a_zp = 3;
      a.packed_b = packed;
      a.c = yq.data();
      a.ldc = n;
      a.epilogue = epilogue;
      ConvQArgs c;
      c.rows = rows;
      c.n = n;
      c.taps = view;
      c.base = xq.data();
      c.a_zp = 3;
      c.zero = zero_q.data();
      c.packed_b = packed;
      c.c = yq.data();
      c.ldc = n;
      c.epilogue = epilogue;
      const double s = median_seconds([&] {
        if (plain) t.gemm_q->gemm(a, 0, rows, 0, n);
        else t.gemm_q->conv(c, 0, rows, 0, n);
      });
      report(t.gemm_q->name, t.gemm_q == kernels().gemm_q, l.name, s, flops, "GFLOPS");
      std::free(packed);
    }
  }
}

void bench_elements() {
  constexpr size_t n = 1 << 16;
  std::vector<float> x(n), y(n);
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i % 1000) * 0.01f - 5.0f;
  std::vector<uint8_t> a(n, 100), b(n);
  std::vector<uint64_t> bins(2048);
  const double elements = static_cast<double>(n);
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (!isa_supported(isa)) continue;
    const KernelTable& t = kernels_for(isa);
    const auto run = [&](const auto* variant, const auto* pick, const char* what, const auto& f) {
      if (variant->isa != isa || !wanted(variant->name, what)) return;
      report(variant->name, variant == pick, what, median_seconds(f), elements, "Gelem/s");
    };
    const KernelTable& p = kernels();
    run(t.elementwise, p.elementwise, "add", [&] { t.elementwise->binary(BinaryF32::add, n, x.data(), false, x.data(), false, y.data(), 0, 6); });
    run(t.elementwise, p.elementwise, "relu", [&] { t.elementwise->unary(UnaryF32::clip, n, x.data(), y.data(), 0, 6); });
    run(t.elementwise, p.elementwise, "exp", [&] { t.elementwise->unary(UnaryF32::exp, n, x.data(), y.data(), 0, 0); });
    run(t.elementwise, p.elementwise, "sigmoid", [&] { t.elementwise->unary(UnaryF32::sigmoid, n, x.data(), y.data(), 0, 0); });
    run(t.elementwise, p.elementwise, "gelu", [&] { t.elementwise->unary(UnaryF32::gelu, n, x.data(), y.data(), 0, 0); });
    run(t.rows, p.rows, "softmax 64 x 1024", [&] { t.rows->softmax(64, 1024, x.data(), y.data()); });
    run(t.rows, p.rows, "layer_norm 64 x 1024", [&] { t.rows->layer_norm(64, 1024, x.data(), nullptr, nullptr, 1e-5f, y.data(), nullptr, nullptr); });
    const QParams q{Q8::u8, 0.04f, 128};
    run(t.quantize, p.quantize, "quantize", [&] { t.quantize->quantize(n, x.data(), q, 0, 255, b.data()); });
    run(t.quantize, p.quantize, "dequantize", [&] { t.quantize->dequantize(n, a.data(), q, y.data()); });
    run(t.quantize, p.quantize, "add u8", [&] { t.quantize->add(n, a.data(), false, q, a.data(), false, q, q, 0, 255, b.data()); });
    run(t.quantize, p.quantize, "lut", [&] { t.quantize->lut(n, a.data(), a.data(), b.data()); });
    run(t.layout, p.layout, "transpose 64 x 1024 f32", [&] { t.layout->transpose(4, 64, 1024, x.data(), 1024, y.data(), 64); });
    MomentsF32 moments;
    run(t.stats, p.stats, "moments", [&] { t.stats->moments(n, x.data(), &moments); });
    run(t.stats, p.stats, "histogram 2048", [&] { t.stats->histogram(n, x.data(), 128.0f, -1024, 2048, bins.data()); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) g_json = true;
    else g_filter = argv[i];
  }
  for (const Layer& l : kLayers) bench_layer(l);
  bench_elements();
  return 0;
}
