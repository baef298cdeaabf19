// Second moments and learned rounding for JavaScript: arrays of the caller are read and written in place, off the event loop.
#include <cmath>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "addon/support.h"
#include "cec/rounding.h"

namespace cec_addon {
namespace {

using cec::codes::kArgument;

/// Runs `body` off the event loop, holding the arrays that it works on; resolves with the numbers that it gives.
class TaskWorker final : public Napi::AsyncWorker {
 public:
  using Body = std::function<std::vector<double>()>;
  TaskWorker(Napi::Env env, std::vector<Napi::Reference<Napi::Value>> held, Body body)
      : Napi::AsyncWorker(env, "cec.rounding"), deferred_(Napi::Promise::Deferred::New(env)), held_(std::move(held)), body_(std::move(body)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    run_coded("there is no memory for this", [&] { result_ = body_(); }, [this](const std::string& code, const std::string& message) { fail(code, message); });
  }
  void OnOK() override {
    const Napi::HandleScope scope(Env());
    Napi::Array numbers = Napi::Array::New(Env(), result_.size());
    for (size_t i = 0; i < result_.size(); ++i) numbers.Set(static_cast<uint32_t>(i), result_[i]);
    deferred_.Resolve(numbers);
  }
  void OnError(const Napi::Error& error) override {
    const Napi::HandleScope scope(Env());
    deferred_.Reject(coded(Env(), code_, error.Message()).Value());
  }

 private:
  void fail(const std::string& code, const std::string& message) {
    code_ = code;
    SetError(message);
  }

  Napi::Promise::Deferred deferred_;
  std::vector<Napi::Reference<Napi::Value>> held_;
  Body body_;
  std::vector<double> result_;
  std::string code_;
};

/// Reads fields of an object; arrays are held until the worker is gone.
class Fields {
 public:
  Fields(Napi::Env env, const Napi::Value& value, std::vector<Napi::Reference<Napi::Value>>& held) : env_(env), held_(held) {
    if (!value.IsObject()) throw coded(env, kArgument, "an object is needed here");
    object_ = value.As<Napi::Object>();
  }
  double real(const char* name) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsNumber() || !std::isfinite(value.As<Napi::Number>().DoubleValue())) throw coded(env_, kArgument, std::string(name) + " must be a number");
    return value.As<Napi::Number>().DoubleValue();
  }
  int32_t integer(const char* name, double least = 0) const {
    const double value = real(name);
    if (value != std::floor(value) || value < least || value > 2147483647.0) throw coded(env_, kArgument, std::string(name) + " must be a whole number from " + std::to_string(static_cast<int>(least)));
    return static_cast<int32_t>(value);
  }
  size_t size(const char* name, double least = 0) const { return static_cast<size_t>(integer(name, least)); }
  bool flag(const char* name) const { return object_.Get(name).ToBoolean(); }
  template <typename T>
  T* array(const char* name, napi_typedarray_type type, double count) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type || static_cast<double>(value.As<Napi::TypedArray>().ElementLength()) < count) {
      throw coded(env_, kArgument, std::string(name) + " must be a typed array of at least " + std::to_string(static_cast<int64_t>(count)) + " elements");
    }
    held_.push_back(Napi::Reference<Napi::Value>::New(value, 1));
    return static_cast<T*>(typed_array_data(env_, value));
  }
  size_t length(const char* name) const {
    const Napi::Value value = object_.Get(name);
    return value.IsTypedArray() ? value.As<Napi::TypedArray>().ElementLength() : 0;
  }

 private:
  Napi::Env env_;
  Napi::Object object_;
  std::vector<Napi::Reference<Napi::Value>>& held_;
};

int threads_of(Napi::Env env, const Napi::Value& value) {
  const double threads = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  if (!(threads >= 1 && threads <= 256) || threads != std::floor(threads)) throw coded(env, kArgument, "threads must be a whole number from 1 to 256");
  return static_cast<int>(threads);
}

Napi::Value start(Napi::Env env, std::vector<Napi::Reference<Napi::Value>> held, TaskWorker::Body body) {
  auto* worker = new TaskWorker(env, std::move(held), std::move(body));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

struct MomentsJob {
  cec::Columns columns;
  double* moments = nullptr;
  double* sums = nullptr;
};

MomentsJob read_job(Napi::Env env, const Fields& f) {
  MomentsJob job;
  cec::Columns& c = job.columns;
  c.matrix = f.flag("matrix");
  c.images = f.size("images"), c.channels = f.size("channels", 1), c.groups = f.size("groups", 1);
  if (c.channels % c.groups != 0) throw coded(env, kArgument, "channels must be a multiple of groups");
  if (!c.matrix) {
    c.height = f.size("height"), c.width = f.size("width"), c.out_h = f.size("outH"), c.out_w = f.size("outW");
    c.kernel_h = f.size("kernelH", 1), c.kernel_w = f.size("kernelW", 1), c.stride_h = f.size("strideH", 1), c.stride_w = f.size("strideW", 1);
    c.dilation_h = f.size("dilationH", 1), c.dilation_w = f.size("dilationW", 1);
    c.pad_top = f.integer("padTop", -2147483647.0), c.pad_left = f.integer("padLeft", -2147483647.0);
  }
  const double depth = static_cast<double>(c.depth());
  const double pixels = c.matrix ? 1 : static_cast<double>(c.out_h) * static_cast<double>(c.out_w);
  c.x = f.array<float>("x", napi_float32_array, static_cast<double>(c.images) * static_cast<double>(c.channels) * static_cast<double>(c.height) * static_cast<double>(c.width));
  c.rows = f.array<int32_t>("rows", napi_int32_array, 0);
  c.row_count = f.length("rows");
  for (size_t i = 0; i < c.row_count; ++i) {
    if (c.rows[i] < 0 || static_cast<double>(c.rows[i]) >= pixels * static_cast<double>(c.images)) throw coded(env, kArgument, "a row lies outside of the input");
  }
  job.moments = f.array<double>("moments", napi_float64_array, static_cast<double>(c.groups) * depth * depth);
  job.sums = f.array<double>("sums", napi_float64_array, static_cast<double>(c.groups) * depth);
  return job;
}

/// (jobs, threads): for each job the number of values that are not finite.
Napi::Value add_moments(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsArray()) throw coded(env, kArgument, "jobs must be a list");
  std::vector<Napi::Reference<Napi::Value>> held;
  std::vector<MomentsJob> jobs;
  const Napi::Array list = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) jobs.push_back(read_job(env, Fields(env, list.Get(i), held)));
  const int threads = threads_of(env, info[1]);
  return start(env, std::move(held), [jobs = std::move(jobs), threads] {
    cec::ThreadPool pool(threads);
    std::vector<double> bad;
    for (const MomentsJob& job : jobs) bad.push_back(static_cast<double>(cec::add_moments(job.columns, job.moments, job.sums, pool)));
    return bad;
  });
}

/// (problem, threads): solves `blocks` problems of one size, whose arrays follow each other; fills integers, nearestError and error of the problem.
Napi::Value round_weights(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::vector<Napi::Reference<Napi::Value>> held;
  const Fields f(env, info[0], held);
  cec::RoundingProblem p;
  cec::RoundingOptions o;
  const size_t blocks = f.size("blocks");
  p.channels = f.size("channels"), p.depth = f.size("depth", 1);
  p.lo = f.integer("lo", -128), p.hi = f.integer("hi", -128);
  if (p.lo > p.hi || p.hi > 127) throw coded(env, kArgument, "lo and hi must be a range of i8");
  o.method = f.flag("adaround") ? cec::RoundingMethod::adaround : cec::RoundingMethod::gptq;
  o.act_order = f.flag("actOrder");
  o.iterations = f.size("iterations");
  o.regularization = f.real("regularization");
  o.pair_sweeps = f.size("pairSweeps");
  const double channels = static_cast<double>(blocks) * static_cast<double>(p.channels);
  const double depth = static_cast<double>(p.depth);
  p.steps = f.array<double>("steps", napi_float64_array, channels * depth);
  p.moments = f.array<double>("moments", napi_float64_array, static_cast<double>(blocks) * depth * depth);
  auto* integers = f.array<int8_t>("integers", napi_int8_array, channels * depth);
  auto* nearest = f.array<double>("nearestError", napi_float64_array, channels);
  auto* error = f.array<double>("error", napi_float64_array, channels);
  const int threads = threads_of(env, info[1]);
  return start(env, std::move(held), [p, o, blocks, integers, nearest, error, threads] {
    const auto solve = [&](size_t b, cec::ThreadPool& pool) {
      cec::RoundingProblem block = p;
      block.steps += b * p.channels * p.depth, block.moments += b * p.depth * p.depth;
      cec::round_weights(block, o, integers + b * p.channels * p.depth, nearest + b * p.channels, error + b * p.channels, pool);
    };
    cec::ThreadPool pool(threads);
    if (blocks == 1) {
      solve(0, pool);
    } else {
      pool.parallel_for(blocks, [&](size_t begin, size_t end, int) {
        cec::ThreadPool single(1);
        for (size_t b = begin; b < end; ++b) solve(b, single);
      });
    }
    return std::vector<double>();
  });
}

}  // namespace

void define_rounding(Napi::Env env, Napi::Object exports) {
  exports.Set("addMoments", Napi::Function::New(env, add_moments));
  exports.Set("roundWeights", Napi::Function::New(env, round_weights));
}

}  // namespace cec_addon
