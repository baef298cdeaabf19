// What the files of the addon share.
#pragma once

#include <napi.h>

#include <new>
#include <string>

#include "cec/error.h"

namespace cec_addon {

inline Napi::Error coded(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

/// Where the values of a typed array lie; shared memory too, which TypedArray::ArrayBuffer does not give.
inline void* typed_array_data(Napi::Env env, const Napi::Value& array) {
  void* data = nullptr;
  if (napi_get_typedarray_info(env, array, nullptr, nullptr, &data, nullptr, nullptr) != napi_ok) throw coded(env, cec::codes::kFeed, "an array cannot be read");
  return data;
}

/// Runs the body of a worker; what it throws comes out as fail(code, message). `memory` is said where there is none.
template <class Body, class Fail>
void run_coded(const char* memory, const Body& body, const Fail& fail) {
  try {
    body();
  } catch (const cec::Error& error) {
    fail(error.code, error.what());
  } catch (const std::bad_alloc&) {
    fail(cec::codes::kMemory, memory);
  } catch (const std::exception& error) {
    fail(cec::codes::kInternal, std::string("the engine failed: ") + error.what());
  } catch (...) {
    fail(cec::codes::kInternal, "the engine failed");
  }
}

/// addMoments and roundWeights.
void define_rounding(Napi::Env env, Napi::Object exports);

}  // namespace cec_addon
