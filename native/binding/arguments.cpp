#include "arguments.h"

#include <cmath>
#include <cstring>

#include "instance.h"
#include "values.h"

namespace turnwise::binding {

namespace {

/// What the view of an empty array points at: V8 gives such an array a null pointer, which would read as "absent".
alignas(64) unsigned char kEmpty[64];

constexpr double kMaxSafeInteger = 9007199254740991.0;

}  // namespace

void ArgumentReader::readField(napi_value value, size_t place, const char* field, double& target) {
  expectNumber(value, place, field, "a number", target);
}

void ArgumentReader::readField(napi_value value, size_t place, const char* field, int32_t& target) {
  constexpr const char* kExpected = "a 32-bit integer";
  double number = 0;
  if (!expectNumber(value, place, field, kExpected, number)) return;
  // Written so that NaN fails; a cast of a number outside the range would be undefined.
  if (!(number >= INT32_MIN && number <= INT32_MAX && number == std::trunc(number))) {
    fail(place, field, kExpected, value);
    return;
  }
  target = static_cast<int32_t>(number);
}

void ArgumentReader::readField(napi_value value, size_t place, const char* field, bool& target) {
  if (napi_get_value_bool(env_, value, &target) != napi_ok) fail(place, field, "a boolean", value);
}

bool ArgumentReader::readMatrix(napi_value value, size_t place, const char* field, Matrix& matrix) {
  if (!expectObject(value, place, field)) return false;
  matrix.place = enter(place, field);
  names_.assign({"data", "dtype", "width"});
  if (!expectFields(value, matrix.place)) return false;
  matrix.data = get(value, matrix.place, "data");
  napi_value dtype = matrix.data ? get(value, matrix.place, "dtype") : nullptr;
  napi_value width = dtype ? get(value, matrix.place, "width") : nullptr;
  if (!width) return false;
  matrix.dtype = static_cast<DType>(spelling(dtype, matrix.place, "dtype", kDTypeNames, std::size(kDTypeNames)));
  double number = 0;
  if (failed_ || !expectNumber(width, matrix.place, "width", "a positive integer", number)) return false;
  if (!(number >= 1 && number <= kMaxSafeInteger && number == std::trunc(number))) {
    return fail(matrix.place, "width", "a positive integer", width);
  }
  matrix.width = static_cast<size_t>(number);
  return true;
}

bool ArgumentReader::takePointers() {
  if (lifetime_ == Lifetime::job) {
    for (const ArrayArgument& array : arrays_) {
      if (!refuseResizable(array)) return false;
    }
  }
  for (ArrayArgument& array : arrays_) {
    if (!takePointer(array)) return false;
  }
  return true;
}

bool ArgumentReader::refuseResizable(const ArrayArgument& array) {
  napi_value buffer = nullptr;
  napi_value resizable = nullptr;
  bool is = false;
  // Whatever is not a typed array over an ArrayBuffer is takePointer's to judge.
  if (napi_get_typedarray_info(env_, array.value, nullptr, nullptr, nullptr, &buffer, nullptr) != napi_ok ||
      napi_is_arraybuffer(env_, buffer, &is) != napi_ok || !is) {
    return true;
  }
  if (napi_get_named_property(env_, buffer, "resizable", &resizable) != napi_ok) {
    failed_ = true;
    return false;
  }
  if (napi_get_value_bool(env_, resizable, &is) != napi_ok || !is) return true;
  return failWith(array.place, array.field, "its buffer is resizable, and could shrink while the job runs");
}

bool ArgumentReader::takePointer(ArrayArgument& array) {
  bool is = false;
  auto kind = static_cast<napi_typedarray_type>(-1);
  size_t length = 0;
  const auto fails = [&](const std::string& expected) { return fail(array.place, array.field, expected, array.value); };
  if (isDeviceBlock(env_, array.value)) return takeDevicePointer(array);
  if (napi_is_typedarray(env_, array.value, &is) != napi_ok || !is ||
      napi_get_typedarray_info(env_, array.value, &kind, &length, &array.data, &array.buffer, nullptr) != napi_ok ||
      kind != array.kind) {
    return fails(typedArrayName(array.kind));
  }
  // Length 0 alone is legal. The call answers false for a SharedArrayBuffer, which cannot be detached.
  bool detached = false;
  if (napi_is_detached_arraybuffer(env_, array.buffer, &detached) != napi_ok || detached) {
    return failWith(array.place, array.field, "its buffer is detached");
  }
  if (length == 0) array.data = kEmpty;
  return assign(array, length, Memory::host);
}

bool ArgumentReader::takeDevicePointer(ArrayArgument& array) {
  array.device = deviceBlockOf(env_, array.value);
  if (!array.device) return failWith(array.place, array.field, "its device memory is released");
  if (&array.device->memory() != device_) {
    return failWith(array.place, array.field, "expected host memory, received memory of a device");
  }
  array.data = array.device->data();
  const size_t unit = bytesPerElement(array.kind);
  if (array.device->bytes() % unit != 0) {
    return failWith(
        array.place, array.field,
        "device memory of " + std::to_string(array.device->bytes()) + " bytes holds no " + typedArrayName(array.kind));
  }
  return assign(array, array.device->bytes() / unit, Memory::device);
}

bool ArgumentReader::assign(ArrayArgument& array, size_t length, Memory memory) {
  if (length % array.width != 0) {
    return failWith(
        array.place, array.field,
        "a length of " + std::to_string(length) + " is not a multiple of width " + std::to_string(array.width));
  }
  array.bytes = length * bytesPerElement(array.kind);
  array.assign(array.target, array.data, length, memory);
  return true;
}

napi_value ArgumentReader::get(napi_value object, size_t place, const char* field) {
  napi_value value = nullptr;
  napi_valuetype type = napi_undefined;
  if (napi_get_named_property(env_, object, field, &value) != napi_ok || napi_typeof(env_, value, &type) != napi_ok) {
    failed_ = true;  // a getter threw: its exception is pending
    return nullptr;
  }
  if (type == napi_undefined) {
    failWith(place, field, "missing");
    return nullptr;
  }
  return value;
}

napi_value ArgumentReader::element(napi_value list, size_t index) {
  napi_value value = nullptr;
  if (napi_get_element(env_, list, static_cast<uint32_t>(index), &value) != napi_ok) failed_ = true;
  return failed_ ? nullptr : value;
}

bool ArgumentReader::isNull(napi_value value) const {
  napi_valuetype type = napi_undefined;
  return napi_typeof(env_, value, &type) == napi_ok && type == napi_null;
}

bool ArgumentReader::expectFields(napi_value object, size_t place) {
  napi_value keys = nullptr;
  uint32_t count = 0;
  if (!ownKeys(object, keys, count)) return false;
  if (count == names_.size()) return true;  // one field too many then means one too few, which reading reports
  for (uint32_t i = 0; i < count; i++) {
    napi_value key = nullptr;
    char name[64] = "";
    size_t length = 0;
    if (napi_get_element(env_, keys, i, &key) != napi_ok) continue;
    napi_get_value_string_utf8(env_, key, name, sizeof name, &length);
    bool known = false;
    for (const char* field : names_) known = known || std::strcmp(field, name) == 0;
    if (!known) return failWith(place, name, "unknown field");
  }
  return true;
}

bool ArgumentReader::ownKeys(napi_value object, napi_value& keys, uint32_t& count) {
  napi_value function = nullptr;
  if (napi_get_reference_value(env_, Instance::of(env_).objectKeys, &function) == napi_ok &&
      napi_call_function(env_, object, function, 1, &object, &keys) == napi_ok &&
      napi_get_array_length(env_, keys, &count) == napi_ok) {
    return true;
  }
  failed_ = true;  // a Proxy threw: its exception is pending
  return false;
}

bool ArgumentReader::expectObject(napi_value value, size_t place, const char* field) {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env_, value, &type) == napi_ok && type == napi_object) return true;
  return fail(place, field, "an object", value);
}

bool ArgumentReader::expectNumber(napi_value value, size_t place, const char* field, const char* expected,
                                  double& number) {
  if (napi_get_value_double(env_, value, &number) == napi_ok) return true;
  return fail(place, field, expected, value);
}

size_t ArgumentReader::listLength(napi_value value, size_t place, const char* field, size_t capacity) {
  bool is = false;
  uint32_t length = 0;
  if (napi_is_array(env_, value, &is) != napi_ok || !is || napi_get_array_length(env_, value, &length) != napi_ok) {
    fail(place, field, "an array", value);
    return 0;
  }
  if (length > capacity) {
    failWith(place, field, "at most " + std::to_string(capacity) + " entries, received " + std::to_string(length));
    return 0;
  }
  return length;
}

size_t ArgumentReader::spelling(napi_value value, size_t place, const char* field, const char* const* names,
                                size_t count) {
  char word[64] = "";
  size_t length = 0;
  if (napi_get_value_string_utf8(env_, value, word, sizeof word, &length) == napi_ok) {
    for (size_t i = 0; i < count; i++) {
      // Lengths too, so that "none\0x" is not "none".
      if (std::strlen(names[i]) == length && std::memcmp(names[i], word, length) == 0) return i;
    }
  }
  std::string expected = "one of";
  for (size_t i = 0; i < count; i++) expected += std::string(i ? ", \"" : " \"") + names[i] + "\"";
  fail(place, field, expected, value);
  return 0;
}

size_t ArgumentReader::enter(size_t place, const char* name, int64_t index) {
  places_.push_back({place, name, index});
  return places_.size() - 1;
}

std::string ArgumentReader::path(size_t place, const char* field) const {
  std::string result = field ? std::string(".") + field : "";
  for (size_t at = place;; at = places_[at].parent) {
    const Place& step = places_[at];
    std::string name = step.name;
    if (step.index >= 0) name += "[" + std::to_string(step.index) + "]";
    result = (at ? "." : "") + name + result;
    if (at == 0) return result;
  }
}

bool ArgumentReader::fail(size_t place, const char* field, const std::string& expected, napi_value received) {
  return failWith(place, field, "expected " + expected + ", received " + describe(env_, received));
}

bool ArgumentReader::failWith(size_t place, const char* field, const std::string& problem) {
  failed_ = true;
  throwTypeError(env_, path(place, field) + ": " + problem);
  return false;
}

}  // namespace turnwise::binding
