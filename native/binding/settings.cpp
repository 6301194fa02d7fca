#include "settings.h"

#include <string>

#include "../cpu/cpu_features.h"
#include "../cpu/thread_pool.h"
#include "values.h"

namespace turnwise::binding {

namespace {

Napi::Value getThreads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(cpu::ThreadPool::instance().threads()));
}

Napi::Value setThreads(const Napi::CallbackInfo& info) {
  double count = 0;
  // Written so that NaN fails.
  if (napi_get_value_double(info.Env(), info[0], &count) == napi_ok && count >= 1 && count <= 1024) {
    cpu::ThreadPool::instance().setThreads(static_cast<size_t>(count));
  } else {
    throwTypeError(info.Env(),
                   "setThreads: expected a count from 1 to 1024, received " + describe(info.Env(), info[0]));
  }
  return info.Env().Undefined();
}

Napi::Value simdTarget(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), cpu::simdTarget());
}

Napi::Value simdTargets(const Napi::CallbackInfo& info) {
  auto names = Napi::Array::New(info.Env());
  for (const char* name : cpu::simdTargets()) names.Set(names.Length(), name);
  return names;
}

Napi::Value setSimdTarget(const Napi::CallbackInfo& info) {
  const bool known = info[0].IsString() && cpu::setSimdTarget(info[0].As<Napi::String>().Utf8Value().c_str());
  if (!known) {
    throwTypeError(info.Env(),
                   "setSimdTarget: expected one of simdTargets(), received " + describe(info.Env(), info[0]));
  }
  return info.Env().Undefined();
}

}  // namespace

void addSettings(Napi::Env env, Napi::Object exports) {
  exports.Set("getThreads", Napi::Function::New<getThreads>(env, "getThreads"));
  exports.Set("setThreads", Napi::Function::New<setThreads>(env, "setThreads"));
  exports.Set("simdTarget", Napi::Function::New<simdTarget>(env, "simdTarget"));
  exports.Set("simdTargets", Napi::Function::New<simdTargets>(env, "simdTargets"));
  exports.Set("setSimdTarget", Napi::Function::New<setSimdTarget>(env, "setSimdTarget"));
}

}  // namespace turnwise::binding
