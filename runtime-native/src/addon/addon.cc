// The N-API layer: Program, Session and Observer objects, cpuInfo. Everything that computes runs off the event loop.
#include <napi.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon/support.h"
#include "cec/cpu_features.h"
#include "cec/error.h"
#include "cec/observer.h"
#include "cec/program.h"
#include "cec/session.h"
#include "exec/aligned.h"
#include "exec/op.h"
#include "kernels/kernels.h"

namespace {

using cec::codes::kArgument;
using cec_addon::coded;
using cec_addon::run_coded;
using cec_addon::typed_array_data;

/// Runs body; C++ errors become JavaScript exceptions with a code.
template <typename F>
auto guarded(Napi::Env env, F&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const cec::Error& error) {
    throw coded(env, error.code, error.what());
  } catch (const std::bad_alloc&) {
    throw coded(env, cec::codes::kMemory, "there is no memory for this");
  } catch (const std::exception& error) {
    throw coded(env, cec::codes::kInternal, std::string("the engine failed: ") + error.what());
  }
}

constexpr napi_type_tag kProgramTag = {0x6365632d70726f67ULL, 0x8c1f2b60a7d94e31ULL};
constexpr napi_type_tag kObserverTag = {0x6365632d6f627376ULL, 0x51ad7730f2c64b98ULL};

std::vector<std::string> read_names(Napi::Env env, const Napi::Value& value, const char* what) {
  std::vector<std::string> names;
  if (value.IsUndefined() || value.IsNull()) return names;
  if (!value.IsArray()) throw coded(env, kArgument, std::string(what) + " must be a list of names");
  const Napi::Array list = value.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Value item = list.Get(i);
    if (!item.IsString()) throw coded(env, kArgument, std::string(what) + " must be a list of names");
    names.push_back(item.As<Napi::String>().Utf8Value());
  }
  return names;
}

class ProgramObject : public Napi::ObjectWrap<ProgramObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Program",
                       {InstanceAccessor<&ProgramObject::inputs>("inputs"), InstanceAccessor<&ProgramObject::outputs>("outputs"), InstanceAccessor<&ProgramObject::tensors>("tensors"),
                        InstanceAccessor<&ProgramObject::constant_bytes>("constantBytes"), InstanceMethod<&ProgramObject::dispose>("dispose")});
  }

  /// (bytes, isa?), or an External of a loaded program.
  explicit ProgramObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ProgramObject>(info) {
    const Napi::Env env = info.Env();
    if (info[0].IsExternal()) {
      program = *info[0].As<Napi::External<std::shared_ptr<const cec::Program>>>().Data();
      info.This().As<Napi::Object>().TypeTag(&kProgramTag);
      return;
    }
    if (!info[0].IsTypedArray()) throw coded(env, kArgument, "a program is made from a Uint8Array");
    const Napi::TypedArray bytes = info[0].As<Napi::TypedArray>();
    cec::LoadOptions options;
    if (info[1].IsString()) options.isa = info[1].As<Napi::String>().Utf8Value();
    guarded(env, [&] {
      program = cec::Program::load(static_cast<const char*>(bytes.ArrayBuffer().Data()) + bytes.ByteOffset(), bytes.ByteLength(), options);
      return 0;
    });
    info.This().As<Napi::Object>().TypeTag(&kProgramTag);
  }

  std::shared_ptr<const cec::Program> program;

 private:
  const cec::Program& get(Napi::Env env) const {
    if (program == nullptr) throw coded(env, kArgument, "the program was disposed");
    return *program;
  }
  /// Weights are no memory that the garbage collector sees: they must not wait for it.
  void dispose(const Napi::CallbackInfo&) { program.reset(); }
  static Napi::Object describe(Napi::Env env, const cec::ProgramTensor& tensor) {
    Napi::Object row = Napi::Object::New(env);
    row.Set("name", tensor.name);
    row.Set("type", cec::name_of(tensor.dtype));
    Napi::Array dims = Napi::Array::New(env, tensor.dims.size());
    for (size_t d = 0; d < tensor.dims.size(); ++d) dims.Set(static_cast<uint32_t>(d), Napi::Number::New(env, static_cast<double>(tensor.dims[d])));
    row.Set("dims", dims);
    return row;
  }
  Napi::Value inputs(const Napi::CallbackInfo& info) {
    Napi::Array rows = Napi::Array::New(info.Env());
    for (size_t i = 0; i < get(info.Env()).inputs().size(); ++i) {
      rows.Set(static_cast<uint32_t>(i), describe(info.Env(), get(info.Env()).tensors()[static_cast<size_t>(get(info.Env()).inputs()[i])]));
    }
    return rows;
  }
  /// As declared; names are those of the interface.
  Napi::Value outputs(const Napi::CallbackInfo& info) {
    Napi::Array rows = Napi::Array::New(info.Env());
    for (size_t i = 0; i < get(info.Env()).outputs().size(); ++i) {
      Napi::Object row = describe(info.Env(), get(info.Env()).tensors()[static_cast<size_t>(get(info.Env()).outputs()[i].tensor)]);
      row.Set("name", get(info.Env()).outputs()[i].name);
      rows.Set(static_cast<uint32_t>(i), row);
    }
    return rows;
  }
  /// Names of the tensors that can be kept or observed: inputs and results of ops.
  Napi::Value tensors(const Napi::CallbackInfo& info) {
    Napi::Array rows = Napi::Array::New(info.Env());
    uint32_t n = 0;
    for (const cec::ProgramTensor& tensor : get(info.Env()).tensors()) {
      if (!tensor.is_constant) rows.Set(n++, describe(info.Env(), tensor));
    }
    return rows;
  }
  Napi::Value constant_bytes(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(get(info.Env()).constant_bytes())); }
};

std::shared_ptr<const cec::Program> program_of(Napi::Env env, const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kProgramTag)) throw coded(env, kArgument, "a Program is needed here");
  const std::shared_ptr<const cec::Program> program = ProgramObject::Unwrap(value.As<Napi::Object>())->program;
  if (program == nullptr) throw coded(env, kArgument, "the program was disposed");
  return program;
}

/// Loads a program off the event loop, from a path (mapped) or from bytes.
class LoadWorker final : public Napi::AsyncWorker {
 public:
  LoadWorker(Napi::Env env, Napi::Function constructor, std::string path, cec::LoadOptions options)
      : Napi::AsyncWorker(env, "cec.load"), deferred_(Napi::Promise::Deferred::New(env)), constructor_(Napi::Persistent(constructor)), path_(std::move(path)), options_(std::move(options)) {}
  void hold(const Napi::TypedArray& bytes) {
    held_ = Napi::Reference<Napi::Value>::New(bytes, 1);
    bytes_ = static_cast<const char*>(bytes.ArrayBuffer().Data()) + bytes.ByteOffset();
    size_ = bytes.ByteLength();
  }
  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    try {
      program_ = held_.IsEmpty() ? cec::Program::map(path_, options_) : cec::Program::load(bytes_, size_, options_);
    } catch (const cec::Error& error) {
      code_ = error.code;
      SetError(error.what());
    } catch (const std::exception& error) {
      code_ = cec::codes::kInternal;
      SetError(std::string("the engine failed: ") + error.what());
    }
  }
  void OnOK() override {
    const Napi::HandleScope scope(Env());
    try {
      deferred_.Resolve(constructor_.New({Napi::External<std::shared_ptr<const cec::Program>>::New(Env(), &program_)}));
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    }
  }
  void OnError(const Napi::Error& error) override {
    const Napi::HandleScope scope(Env());
    deferred_.Reject(coded(Env(), code_, error.Message()).Value());
  }

 private:
  Napi::Promise::Deferred deferred_;
  Napi::FunctionReference constructor_;
  std::string path_;
  cec::LoadOptions options_;
  Napi::Reference<Napi::Value> held_;
  const void* bytes_ = nullptr;
  size_t size_ = 0;
  std::shared_ptr<const cec::Program> program_;
  std::string code_;
};

class ObserverObject : public Napi::ObjectWrap<ObserverObject> {
 public:
  static Napi::Function define(Napi::Env env) { return DefineClass(env, "Observer", {InstanceMethod<&ObserverObject::read>("read")}); }

  explicit ObserverObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ObserverObject>(info) {
    const Napi::Env env = info.Env();
    const std::shared_ptr<const cec::Program> program = program_of(env, info[0]);
    const std::vector<std::string> names = read_names(env, info[1], "the tensors to observe");
    cec::ObserverOptions options;
    if (info[2].IsNumber()) {
      const double bins = info[2].As<Napi::Number>().DoubleValue();
      options.bins = bins >= 0 && bins < 1e9 ? static_cast<int>(bins) : -1;
    }
    options.per_channel = info[3].ToBoolean();
    guarded(env, [&] {
      observer = std::make_shared<cec::Observer>(program, names, options);
      return 0;
    });
    info.This().As<Napi::Object>().TypeTag(&kObserverTag);
  }

  std::shared_ptr<cec::Observer> observer;

 private:
  template <typename Array, typename T>
  static Napi::Value numbers(Napi::Env env, const std::vector<T>& values) {
    Array array = Array::New(env, values.size());
    if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(T));
    return array;
  }

  Napi::Value read(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
      const std::vector<cec::TensorStatistics> statistics = observer->read();
      Napi::Array rows = Napi::Array::New(env, statistics.size());
      for (size_t i = 0; i < statistics.size(); ++i) {
        const cec::TensorStatistics& s = statistics[i];
        Napi::Object row = Napi::Object::New(env);
        row.Set("name", s.name);
        row.Set("count", static_cast<double>(s.count));
        row.Set("nanCount", static_cast<double>(s.nan_count));
        row.Set("infCount", static_cast<double>(s.inf_count));
        row.Set("min", s.min);
        row.Set("max", s.max);
        row.Set("mean", s.mean);
        row.Set("std", s.std);
        row.Set("averageMin", s.average_min);
        row.Set("averageMax", s.average_max);
        Napi::Object histogram = Napi::Object::New(env);
        histogram.Set("lo", s.histogram_lo);
        histogram.Set("hi", s.histogram_hi);
        Napi::Float64Array counts = Napi::Float64Array::New(env, s.histogram.size());
        for (size_t b = 0; b < s.histogram.size(); ++b) counts[b] = static_cast<double>(s.histogram[b]);
        histogram.Set("counts", counts);
        row.Set("histogram", histogram);
        if (!s.channel_min.empty()) {
          row.Set("channelMin", numbers<Napi::Float32Array>(env, s.channel_min));
          row.Set("channelMax", numbers<Napi::Float32Array>(env, s.channel_max));
          row.Set("channelMean", numbers<Napi::Float64Array>(env, s.channel_mean));
          row.Set("channelMeanSquare", numbers<Napi::Float64Array>(env, s.channel_mean_square));
        }
        rows.Set(static_cast<uint32_t>(i), row);
      }
      return rows;
    });
  }
};

struct Result {
  std::string name;
  cec::TensorType type;
  std::shared_ptr<void> data;  // null where the caller's array holds the result
};

/// Memory of the caller that an output is written to.
struct Target {
  void* data = nullptr;
  size_t bytes = 0;
};

Napi::ArrayBuffer to_array_buffer(Napi::Env env, const Result& result) {
  const size_t bytes = result.type.bytes();
  // Small results are copied: cheaper than an external buffer with its finalizer.
  constexpr size_t kExternal = 16384;
  if (bytes >= kExternal) {
    auto keep = std::make_unique<std::shared_ptr<void>>(result.data);
    try {
      const Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, result.data.get(), bytes, [](Napi::Env, void*, std::shared_ptr<void>* held) { delete held; }, keep.get());
      keep.release();
      return buffer;
    } catch (const Napi::Error&) {
      // Runtimes with a memory cage (Electron) refuse external buffers; fall through to a copy.
    }
  }
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, bytes);
  if (bytes != 0) std::memcpy(buffer.Data(), result.data.get(), bytes);
  return buffer;
}

class RunWorker final : public Napi::AsyncWorker {
 public:
  RunWorker(Napi::Env env, std::shared_ptr<cec::Session> session, std::shared_ptr<cec::Observer> observer, std::vector<cec::TensorView> feeds,
            std::vector<Napi::Reference<Napi::Value>> held, std::vector<Target> targets, const std::atomic<int32_t>* cancel)
      : Napi::AsyncWorker(env, "cec.run"),
        deferred_(Napi::Promise::Deferred::New(env)),
        session_(std::move(session)),
        observer_(std::move(observer)),
        feeds_(std::move(feeds)),
        held_(std::move(held)),
        targets_(std::move(targets)),
        cancel_(cancel) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  /// The whole run on this thread; the promise is settled afterwards and the worker gone.
  void run_here() {
    Execute();
    if (code_.empty()) {
      OnOK();
    } else {
      OnError(Napi::Error());
    }
    Destroy();
  }

  void Execute() override {
    run_coded("there is no memory for this run", [this] { run(); }, [this](const std::string& code, const std::string& message) { fail(code, message); });
  }

  void OnOK() override {
    const Napi::Env env = Env();
    const Napi::HandleScope scope(env);
    try {
      Napi::Array rows = Napi::Array::New(env, results_.size());
      for (size_t i = 0; i < results_.size(); ++i) {
        Napi::Object row = Napi::Object::New(env);
        row.Set("name", results_[i].name);
        row.Set("type", cec::name_of(results_[i].type.dtype));
        Napi::Array dims = Napi::Array::New(env, static_cast<size_t>(results_[i].type.shape.rank()));
        for (int d = 0; d < results_[i].type.shape.rank(); ++d) dims.Set(static_cast<uint32_t>(d), Napi::Number::New(env, static_cast<double>(results_[i].type.shape[d])));
        row.Set("dims", dims);
        if (results_[i].data != nullptr) row.Set("buffer", to_array_buffer(env, results_[i]));
        rows.Set(static_cast<uint32_t>(i), row);
      }
      deferred_.Resolve(rows);
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    }
  }

  void OnError(const Napi::Error&) override {
    const Napi::HandleScope scope(Env());
    deferred_.Reject(coded(Env(), code_, message_).Value());
  }

 private:
  void run() {
    results_.resize(session_->output_count());
    session_->run(
        feeds_,
        [this](size_t index, const cec::TensorType& type) -> void* {
          if (index < targets_.size() && targets_[index].data != nullptr) {
            if (targets_[index].bytes != type.bytes()) {
              throw cec::Error(cec::codes::kFeed, "the output \"" + session_->output_name(index) + "\" is " + type.to_string() + ", which takes " + std::to_string(type.bytes()) +
                                                      " bytes; the array given for it has " + std::to_string(targets_[index].bytes));
            }
            results_[index] = {session_->output_name(index), type, nullptr};
            return targets_[index].data;
          }
          results_[index] = {session_->output_name(index), type, cec::allocate_aligned(type.bytes())};
          return results_[index].data.get();
        },
        observer_.get(), cancel_);
  }

  void fail(const std::string& code, const std::string& message) {
    code_ = code;
    message_ = message;
    SetError(message);
  }

  Napi::Promise::Deferred deferred_;
  std::shared_ptr<cec::Session> session_;
  std::shared_ptr<cec::Observer> observer_;
  std::vector<cec::TensorView> feeds_;
  std::vector<Napi::Reference<Napi::Value>> held_;  // keeps the arrays of feeds, targets and the flag alive
  std::vector<Target> targets_;
  const std::atomic<int32_t>* cancel_;
  std::vector<Result> results_;
  std::string code_, message_;
};

class SessionObject : public Napi::ObjectWrap<SessionObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Session",
                       {InstanceMethod<&SessionObject::run>("run"), InstanceMethod<&SessionObject::profile>("profile"), InstanceMethod<&SessionObject::dispose>("dispose"),
                        InstanceMethod<&SessionObject::output_names>("outputNames"), InstanceMethod<&SessionObject::memory_plan>("memoryPlan"), InstanceMethod<&SessionObject::arena_bytes>("arenaBytes")});
  }

  /// (program, threads, keep, profile, updates: [input, output, input, output, …])
  explicit SessionObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SessionObject>(info) {
    const Napi::Env env = info.Env();
    std::shared_ptr<const cec::Program> program = program_of(env, info[0]);
    cec::SessionOptions options;
    if (info[1].IsNumber()) {
      const double threads = info[1].As<Napi::Number>().DoubleValue();
      options.threads = threads >= 0 && threads < 1e6 && std::floor(threads) == threads ? static_cast<int>(threads) : -1;
    }
    options.keep = read_names(env, info[2], "keep");
    options.profile = info[3].ToBoolean();
    if (info.Length() > 4 && !info[4].IsUndefined()) {
      const std::vector<std::string> names = read_names(env, info[4], "updates");
      if (names.size() % 2 != 0) throw coded(env, kArgument, "updates must hold pairs of an input and an output");
      for (size_t i = 0; i < names.size(); i += 2) options.updates.emplace_back(names[i], names[i + 1]);
    }
    guarded(env, [&] {
      session_ = std::make_shared<cec::Session>(std::move(program), std::move(options));
      return 0;
    });
  }

 private:
  cec::Session& session(Napi::Env env) const {
    if (session_ == nullptr) throw coded(env, kArgument, "the session was disposed");
    return *session_;
  }

  /// (shapes: number[][])
  Napi::Value memory_plan(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
      cec::Session& s = session(env);
      if (!info[0].IsArray()) throw coded(env, kArgument, "shapes must be a list of lists");
      const Napi::Array list = info[0].As<Napi::Array>();
      std::vector<cec::Shape> shapes;
      for (uint32_t i = 0; i < list.Length(); ++i) {
        const Napi::Value item = list.Get(i);
        if (!item.IsArray() || item.As<Napi::Array>().Length() > static_cast<uint32_t>(cec::kMaxRank)) throw coded(env, kArgument, "a shape must be a list of at most 8 numbers");
        cec::Shape shape;
        for (uint32_t d = 0; d < item.As<Napi::Array>().Length(); ++d) {
          const Napi::Value dim = item.As<Napi::Array>().Get(d);
          const double size = dim.IsNumber() ? dim.As<Napi::Number>().DoubleValue() : -1;
          if (!(size >= 0 && size <= 9007199254740991.0) || std::floor(size) != size) throw coded(env, kArgument, "a dimension must be a whole number");
          shape.push_back(static_cast<int64_t>(size));
        }
        shapes.push_back(shape);
      }
      const cec::MemoryPlan plan = s.memory_plan(shapes);
      Napi::Object result = Napi::Object::New(env);
      const auto number = [&](size_t v) { return Napi::Number::New(env, static_cast<double>(v)); };
      const auto names = [&](const std::vector<std::string>& from) {
        Napi::Array rows = Napi::Array::New(env, from.size());
        for (size_t i = 0; i < from.size(); ++i) rows.Set(static_cast<uint32_t>(i), from[i]);
        return rows;
      };
      result.Set("arenaBytes", number(plan.arena_bytes));
      result.Set("liveBytes", number(plan.live_bytes));
      result.Set("liveStep", Napi::Number::New(env, plan.live_step));
      result.Set("totalBytes", number(plan.total_bytes));
      result.Set("weightBytes", number(plan.weight_bytes));
      result.Set("outputBytes", number(plan.output_bytes));
      result.Set("steps", names(plan.steps));
      Napi::Array buffers = Napi::Array::New(env, plan.buffers.size());
      for (size_t i = 0; i < plan.buffers.size(); ++i) {
        const cec::MemoryPlan::Buffer& b = plan.buffers[i];
        Napi::Object row = Napi::Object::New(env);
        row.Set("name", b.name);
        row.Set("shares", names(b.shares));
        row.Set("scratch", Napi::Boolean::New(env, b.scratch));
        row.Set("offset", number(b.offset));
        row.Set("bytes", number(b.bytes));
        row.Set("first", Napi::Number::New(env, b.first));
        row.Set("last", Napi::Number::New(env, b.last));
        buffers.Set(static_cast<uint32_t>(i), row);
      }
      result.Set("buffers", buffers);
      return result;
    });
  }

  /// (feeds: {type, dims, data}[], observer?, targets?: (typed array | null)[], cancel?: Int32Array, here?): feeds and targets in the order of the program's inputs and
  /// outputs; a run ends before its next op once cancel[0] is not 0. With a true fifth argument it runs on this thread.
  Napi::Value run(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
      session(env);
      if (!info[0].IsArray()) throw coded(env, kArgument, "feeds must be a list");
      const Napi::Array list = info[0].As<Napi::Array>();
      std::vector<cec::TensorView> feeds;
      std::vector<Napi::Reference<Napi::Value>> held;
      for (uint32_t i = 0; i < list.Length(); ++i) {
        const Napi::Value item = list.Get(i);
        if (!item.IsObject()) throw coded(env, kArgument, "a feed must be a tensor");
        const Napi::Object object = item.As<Napi::Object>();
        const Napi::Value type = object.Get("type");
        const Napi::Value dims = object.Get("dims");
        const Napi::Value data = object.Get("data");
        if (!type.IsString() || !dims.IsArray() || !data.IsTypedArray()) throw coded(env, cec::codes::kFeed, "a feed must be { type, dims, data: typed array }");
        cec::TensorView feed;
        feed.dtype = cec::dtype_from_name(type.As<Napi::String>().Utf8Value());
        if (feed.dtype == cec::DType::none) throw coded(env, cec::codes::kFeed, "the engine has no tensors of the type " + type.As<Napi::String>().Utf8Value());
        const Napi::Array sizes = dims.As<Napi::Array>();
        for (uint32_t d = 0; d < sizes.Length(); ++d) {
          const Napi::Value size = sizes.Get(d);
          const double value = size.IsNumber() ? size.As<Napi::Number>().DoubleValue() : -1;
          if (!(value >= 0 && value <= 9007199254740991.0) || std::floor(value) != value) throw coded(env, cec::codes::kFeed, "a feed has a dimension that is no size");
          feed.shape.push_back(static_cast<int64_t>(value));
        }
        const Napi::TypedArray array = data.As<Napi::TypedArray>();
        const size_t bytes = cec::checked_bytes(feed.dtype, feed.shape);
        if (array.ByteLength() != bytes) {
          throw coded(env, cec::codes::kFeed,
                      "a feed of " + cec::TensorType{feed.dtype, feed.shape}.to_string() + " takes " + std::to_string(bytes) + " bytes, its array has " + std::to_string(array.ByteLength()));
        }
        if (bytes != 0) {
          feed.data = typed_array_data(env, data);
          held.push_back(Napi::Reference<Napi::Value>::New(data, 1));
        }
        feeds.push_back(feed);
      }
      std::shared_ptr<cec::Observer> observer;
      if (info.Length() > 1 && !info[1].IsUndefined() && !info[1].IsNull()) {
        if (!info[1].IsObject() || !info[1].As<Napi::Object>().CheckTypeTag(&kObserverTag)) throw coded(env, kArgument, "an Observer is needed here");
        observer = ObserverObject::Unwrap(info[1].As<Napi::Object>())->observer;
      }
      std::vector<Target> targets;
      if (info[2].IsArray()) {
        const Napi::Array given = info[2].As<Napi::Array>();
        for (uint32_t i = 0; i < given.Length(); ++i) {
          const Napi::Value target = given.Get(i);
          targets.emplace_back();
          if (!target.IsTypedArray()) continue;
          targets.back() = {typed_array_data(env, target), target.As<Napi::TypedArray>().ByteLength()};
          held.push_back(Napi::Reference<Napi::Value>::New(target, 1));
        }
      }
      const std::atomic<int32_t>* cancel = nullptr;
      if (info[3].IsTypedArray()) {
        static_assert(sizeof(std::atomic<int32_t>) == sizeof(int32_t), "an Int32Array is read as an atomic");
        cancel = static_cast<const std::atomic<int32_t>*>(typed_array_data(env, info[3]));
        held.push_back(Napi::Reference<Napi::Value>::New(info[3], 1));
      }
      auto* worker = new RunWorker(env, session_, std::move(observer), std::move(feeds), std::move(held), std::move(targets), cancel);
      const Napi::Promise promise = worker->promise();
      if (info[4].ToBoolean()) {
        worker->run_here();
      } else {
        worker->Queue();
      }
      return promise;
    });
  }

  Napi::Value profile(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
      const std::vector<cec::OpProfile> ops = session(env).profile();
      Napi::Array rows = Napi::Array::New(env, ops.size());
      for (size_t i = 0; i < ops.size(); ++i) {
        Napi::Object row = Napi::Object::New(env);
        row.Set("kind", ops[i].kind);
        row.Set("name", ops[i].name);
        row.Set("nanoseconds", static_cast<double>(ops[i].nanoseconds));
        row.Set("calls", static_cast<double>(ops[i].calls));
        rows.Set(static_cast<uint32_t>(i), row);
      }
      return rows;
    });
  }

  Napi::Value output_names(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    cec::Session& s = session(env);
    Napi::Array rows = Napi::Array::New(env, s.output_count());
    for (size_t i = 0; i < s.output_count(); ++i) rows.Set(static_cast<uint32_t>(i), Napi::String::New(env, s.output_name(i)));
    return rows;
  }

  Napi::Value arena_bytes(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(session(info.Env()).arena_bytes())); }

  Napi::Value dispose(const Napi::CallbackInfo& info) {
    session_.reset();  // runs in flight hold it until they end
    return info.Env().Undefined();
  }

  std::shared_ptr<cec::Session> session_;
};

Napi::Value cpu_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object row = Napi::Object::New(env);
  row.Set("isa", cec::isa_name(cec::active_isa()));
  row.Set("maxIsa", cec::isa_name(cec::max_isa()));
  row.Set("capIsValid", cec::isa_cap_is_valid());
  const cec::CpuFeatures& features = cec::cpu_features();
  const std::pair<const char*, bool> flags[] = {
      {"avx2", features.avx2},         {"fma", features.fma},           {"f16c", features.f16c},         {"avx512f", features.avx512f},       {"avx512bw", features.avx512bw},
      {"avx512dq", features.avx512dq}, {"avx512vl", features.avx512vl}, {"avx512vnni", features.avx512vnni}, {"avx_vnni", features.avx_vnni},
      {"avx512bf16", features.avx512bf16}, {"neon", features.neon}, {"neon_dot", features.neon_dot},
  };
  Napi::Array names = Napi::Array::New(env);
  uint32_t n = 0;
  for (const auto& [name, present] : flags) {
    if (present) names.Set(n++, Napi::String::New(env, name));
  }
  row.Set("features", names);
  Napi::Array kernels = Napi::Array::New(env);
  n = 0;
  for (const cec::KernelInfo& kernel : cec::list_kernels()) {
    Napi::Object line = Napi::Object::New(env);
    line.Set("family", kernel.family);
    line.Set("name", kernel.name);
    line.Set("isa", cec::isa_name(kernel.isa));
    line.Set("supported", kernel.supported);
    line.Set("selected", kernel.selected);
    kernels.Set(n++, line);
  }
  row.Set("kernels", kernels);
  return row;
}

/// Kinds of ops that the engine runs.
Napi::Value op_kinds(const Napi::CallbackInfo& info) {
  const std::vector<const cec::OpKind*> kinds = cec::all_ops();
  Napi::Array names = Napi::Array::New(info.Env(), kinds.size());
  for (size_t i = 0; i < kinds.size(); ++i) names.Set(static_cast<uint32_t>(i), Napi::String::New(info.Env(), kinds[i]->kind));
  return names;
}

/// (path | bytes, isa?) -> Promise of a Program.
Napi::Value load_program(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  cec::LoadOptions options;
  if (info[1].IsString()) options.isa = info[1].As<Napi::String>().Utf8Value();
  const Napi::Function constructor = static_cast<Napi::FunctionReference*>(info.Data())->Value();
  if (!info[0].IsString() && !info[0].IsTypedArray()) throw coded(env, kArgument, "a program is loaded from a path or a Uint8Array");
  auto* worker = new LoadWorker(env, constructor, info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : std::string(), std::move(options));
  if (info[0].IsTypedArray()) worker->hold(info[0].As<Napi::TypedArray>());
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  const Napi::Function program = ProgramObject::define(env);
  exports.Set("Program", program);
  // One constructor per environment, as worker threads have their own.
  auto* constructor = new Napi::FunctionReference(Napi::Persistent(program));
  env.AddCleanupHook([constructor] { delete constructor; });
  exports.Set("loadProgram", Napi::Function::New(env, load_program, "loadProgram", constructor));
  exports.Set("Session", SessionObject::define(env));
  exports.Set("Observer", ObserverObject::define(env));
  exports.Set("cpuInfo", Napi::Function::New(env, cpu_info));
  exports.Set("opKinds", Napi::Function::New(env, op_kinds));
  cec_addon::define_rounding(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(cec, init)
