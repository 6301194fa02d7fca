// What the add-on keeps per JavaScript environment (the main thread, each worker). Nothing of JavaScript is kept in a
// static: a second environment in the same process would get the first one's values.
#pragma once
#include <node_api.h>

#include "jobs.h"

namespace turnwise::binding {

struct Instance {
  explicit Instance(napi_env env) : jobs(env) {}
  JobQueue jobs;
  /// Object.keys: counts an argument record's fields four times faster than napi_get_all_property_names.
  napi_ref objectKeys = nullptr;

  /// Once per environment, before `of`. False: an exception is pending.
  static bool create(napi_env env);
  static Instance& of(napi_env env);
};

}  // namespace turnwise::binding
