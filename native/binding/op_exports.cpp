#include "op_exports.h"

#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <system_error>

#include "arguments.h"
#include "instance.h"
#include "jobs.h"
#include "values.h"

namespace turnwise::binding {

namespace {

/// An op's name and its slot in the backend table, found by its argument record.
template <class Record>
struct OpOf;
#define TURNWISE_OP_OF(Record, op)                                                                                     \
  template <>                                                                                                          \
  struct OpOf<Record> {                                                                                                \
    static constexpr const char* name = #op;                                                                           \
    static constexpr auto slot = &Backend::op;                                                                         \
  };
TURNWISE_OPS(TURNWISE_OP_OF)
#undef TURNWISE_OP_OF

template <class Record>
Outcome runOp(const Backend& backend, const Record& args, Context& context) noexcept {
  try {
    return {(backend.*OpOf<Record>::slot)(args, context), {}};
  } catch (const std::bad_alloc&) {
    return {{StatusCode::outOfMemory, -1}, {}};
  } catch (const std::length_error&) {  // a container asked for more than an address space
    return {{StatusCode::outOfMemory, -1}, {}};
  } catch (const std::system_error&) {  // no thread to be had
    return {{StatusCode::outOfMemory, -1}, {}};
  } catch (const std::exception& error) {
    return {{}, std::string(OpOf<Record>::name) + ": " + error.what()};
  } catch (...) {
    return {{}, std::string(OpOf<Record>::name) + ": unknown exception"};
  }
}

template <class Record>
class OpJob final : public Job {
 public:
  explicit OpJob(const Backend& backend) : backend_(backend) {}
  Outcome run(Context& context) override { return runOp(backend_, args, context); }

  Record args;

 private:
  const Backend& backend_;
};

/// What a callback is called with.
struct Call {
  napi_value arguments[2] = {};
  const Backend* backend = nullptr;
  Call(napi_env env, napi_callback_info info) {
    size_t count = 2;
    void* data = nullptr;
    napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
    backend = static_cast<const Backend*>(data);
  }
};

/// Runs a callback's body; memory it could not get becomes a JavaScript exception, not the end of the process.
template <class Body>
napi_value guarded(napi_env env, const char* op, Body body) noexcept {
  try {
    return body();
  } catch (...) {
    napi_throw_error(env, "ERR_OUT_OF_MEMORY", op);
    return nullptr;
  }
}

template <class Record>
napi_value callSync(napi_env env, napi_callback_info info) {
  return guarded(env, OpOf<Record>::name, [&]() -> napi_value {
    const Call call(env, info);
    Record args;
    ArgumentReader reader(env, OpOf<Record>::name, Lifetime::call, call.backend->memory);
    if (!reader.read(call.arguments[0], args)) return nullptr;
    Context context;
    const Outcome outcome = runOp(*call.backend, args, context);
    if (outcome.unexpected.empty()) return statusObject(env, outcome.status);
    napi_throw_error(env, nullptr, outcome.unexpected.c_str());
    return nullptr;
  });
}

template <class Record>
napi_value callAsync(napi_env env, napi_callback_info info) {
  return guarded(env, OpOf<Record>::name, [&]() -> napi_value {
    const Call call(env, info);
    auto job = std::make_unique<OpJob<Record>>(*call.backend);
    View<int32_t> abort;
    ArgumentReader reader(env, OpOf<Record>::name, Lifetime::job, call.backend->memory);
    reader.beside("abort", call.arguments[1], abort);
    if (!reader.read(call.arguments[0], job->args)) return nullptr;
    if (abort.size == 0 || abort.memory != Memory::host) {
      throwTypeError(env, std::string(OpOf<Record>::name) + ".abort: expected an Int32Array of one element");
      return nullptr;
    }
    static_assert(sizeof(std::atomic<int32_t>) == sizeof(int32_t) && std::atomic<int32_t>::is_always_lock_free);
    job->abort = reinterpret_cast<std::atomic<int32_t>*>(abort.data);
    if (!job->buffers.hold(env, reader.arrays())) return nullptr;
    return Instance::of(env).jobs.submit(std::move(job));
  });
}

}  // namespace

Napi::Object backendExports(Napi::Env env, const Backend& backend) {
  auto ops = Napi::Object::New(env);
  auto async = Napi::Object::New(env);
#define TURNWISE_EXPORT_OP(Record, op)                                                                                 \
  ops.Set(#op, function(env, #op, callSync<Record>, &backend));                                                        \
  async.Set(#op, function(env, #op, callAsync<Record>, &backend));
  TURNWISE_OPS(TURNWISE_EXPORT_OP)
#undef TURNWISE_EXPORT_OP
  auto result = Napi::Object::New(env);
  result.Set("ops", ops);
  result.Set("async", async);
  return result;
}

}  // namespace turnwise::binding
