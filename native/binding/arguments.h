// One argument record of ops.h, made from one JavaScript object.
//
// The C++ type of a field decides how its value is checked; the fields themselves come from visitFields, so an op added
// to ops.h needs nothing here. Two passes, because reading a property may run JavaScript (a getter, a Proxy) that
// detaches a buffer: first every property of every nested record is read, then pointers are taken, and nothing runs in
// between.
#pragma once
#include <node_api.h>

#include <string>
#include <type_traits>
#include <vector>

#include "../ops.h"
#include "device_memory.h"

namespace turnwise::binding {

/// Spellings of DType, which types.h keeps free of names.
inline constexpr const char* kDTypeNames[] = {"f32", "bf16", "f16"};
static_assert(static_cast<size_t>(DType::f16) + 1 == sizeof(kDTypeNames) / sizeof(kDTypeNames[0]));

template <class T>
constexpr napi_typedarray_type typedArrayKind() {
  using Element = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Element, float>) return napi_float32_array;
  if constexpr (std::is_same_v<Element, double>) return napi_float64_array;
  if constexpr (std::is_same_v<Element, int32_t>) return napi_int32_array;
  if constexpr (std::is_same_v<Element, uint8_t>) return napi_uint8_array;
}

/// A typed array of the record: noted in the first pass, looked into in the second.
struct ArrayArgument {
  napi_value value;
  size_t place;
  const char* field;
  napi_typedarray_type kind;
  /// Its length must be a multiple of this: the width of a matrix, 1 for a view.
  size_t width;
  void* target;
  void (*assign)(void* target, void* data, size_t length, Memory memory);
  /// Known after the second pass.
  napi_value buffer = nullptr;
  void* data = nullptr;
  size_t bytes = 0;
  DeviceRef device = nullptr;  // instead of a buffer
};

/// How long the record's pointers are used: during this call, or by a job while JavaScript runs on.
enum class Lifetime { call, job };

class ArgumentReader {
 public:
  /// `device`: the memory besides the host's that arrays may lie in, or null.
  ArgumentReader(napi_env env, const char* op, Lifetime lifetime, const DeviceMemory* device)
      : env_(env), lifetime_(lifetime), device_(device), places_{{0, op, -1}} {
    arrays_.reserve(32);
  }

  /// An array beside the record, under the same rules; before `read`.
  template <class T>
  void beside(const char* name, napi_value value, View<T>& target) {
    readField(value, 0, name, target);
  }

  /// Fills `record`, whose views stay valid only as long as nothing else runs, unless the arrays are held
  /// (held_buffers.h). False: an exception is pending.
  template <class Record>
  bool read(napi_value object, Record& record) {
    readRecord(object, 0, nullptr, record);
    return !failed_ && takePointers();
  }
  const std::vector<ArrayArgument>& arrays() const { return arrays_; }

 private:
  /// A record on the way from the op's argument to a field. Messages only.
  struct Place {
    size_t parent;
    const char* name;
    int64_t index;  // in a list; -1: not in one
  };

  template <class Visit>
  struct FieldVisitor {
    Visit visit;
    template <class T>
    void operator()(const char* name, const char*, T& field) {
      visit(name, field);
    }
  };
  template <class Record, class Visit>
  static void eachField(Record& record, Visit visit) {
    record.visitFields(FieldVisitor<Visit>{visit});
  }

  template <class Record>
  void readRecord(napi_value object, size_t place, const char* field, Record& record) {
    if (!expectObject(object, place, field)) return;
    const size_t here = field ? enter(place, field) : place;
    std::vector<const char*>& names = names_;
    names.clear();
    eachField(record, [&](const char* name, auto&) { names.push_back(name); });
    if (!expectFields(object, here)) return;
    eachField(record, [&](const char* name, auto& value) {
      if (failed_) return;
      napi_value property = get(object, here, name);
      if (property) readField(property, here, name, value);
    });
  }

  void readField(napi_value value, size_t place, const char* field, double& target);
  void readField(napi_value value, size_t place, const char* field, int32_t& target);
  void readField(napi_value value, size_t place, const char* field, bool& target);

  template <class T>
  void readField(napi_value value, size_t place, const char* field, View<T>& target) {
    if (isNull(value)) return;
    const auto assign = [](void* view, void* data, size_t length, Memory memory) {
      *static_cast<View<T>*>(view) = {static_cast<T*>(data), length, memory};
    };
    arrays_.push_back({value, place, field, typedArrayKind<T>(), 1, &target, assign});
  }

  template <class Byte>
  void readField(napi_value value, size_t place, const char* field, RowsOf<Byte>& target) {
    Matrix matrix;
    if (!readMatrix(value, place, field, matrix)) return;
    target.dtype = matrix.dtype;
    target.width = matrix.width;
    const auto assign = [](void* rows, void* data, size_t length, Memory memory) {
      auto& target = *static_cast<RowsOf<Byte>*>(rows);
      target.data = static_cast<Byte*>(data);
      target.count = length / target.width;
      target.memory = memory;
    };
    const auto kind = matrix.dtype == DType::f32 ? napi_float32_array : napi_uint16_array;
    arrays_.push_back({matrix.data, matrix.place, "data", kind, matrix.width, &target, assign});
  }

  template <class Record>
  void readField(napi_value value, size_t place, const char* field, Maybe<Record>& target) {
    if (isNull(value)) return;
    target.present = true;
    readRecord(value, place, field, target.value);
  }

  template <class Record, size_t Capacity>
  void readField(napi_value value, size_t place, const char* field, List<Record, Capacity>& target) {
    target.size = listLength(value, place, field, Capacity);
    for (size_t i = 0; i < target.size && !failed_; i++) {
      const size_t item = enter(place, field, static_cast<int64_t>(i));
      if (napi_value object = element(value, i)) readRecord(object, item, nullptr, target.items[i]);
    }
  }

  template <class T>
  void readField(napi_value value, size_t place, const char* field, T& target) {
    if constexpr (std::is_enum_v<T>) {
      target = static_cast<T>(spelling(value, place, field, EnumNames<T>::names, EnumNames<T>::count));
    } else {
      readRecord(value, place, field, target);
    }
  }

  struct Matrix {
    size_t place = 0;
    napi_value data = nullptr;
    DType dtype = DType::f32;
    size_t width = 0;
  };
  bool readMatrix(napi_value value, size_t place, const char* field, Matrix& matrix);

  bool takePointers();
  /// Asks the buffer itself, which may run JavaScript: before any pointer is taken.
  bool refuseResizable(const ArrayArgument& array);
  bool takePointer(ArrayArgument& array);
  bool takeDevicePointer(ArrayArgument& array);
  bool assign(ArrayArgument& array, size_t length, Memory memory);

  napi_value get(napi_value object, size_t place, const char* field);
  napi_value element(napi_value list, size_t index);
  bool isNull(napi_value value) const;
  /// Whether the object has no other own fields than names_. (A missing one shows when it is read.)
  bool expectFields(napi_value object, size_t place);
  bool ownKeys(napi_value object, napi_value& keys, uint32_t& count);
  bool expectObject(napi_value value, size_t place, const char* field);
  bool expectNumber(napi_value value, size_t place, const char* field, const char* expected, double& number);
  size_t listLength(napi_value value, size_t place, const char* field, size_t capacity);
  size_t spelling(napi_value value, size_t place, const char* field, const char* const* names, size_t count);

  size_t enter(size_t place, const char* name, int64_t index = -1);
  std::string path(size_t place, const char* field) const;
  bool fail(size_t place, const char* field, const std::string& expected, napi_value received);
  bool failWith(size_t place, const char* field, const std::string& problem);

  napi_env env_;
  Lifetime lifetime_;
  const DeviceMemory* device_;
  bool failed_ = false;
  std::vector<Place> places_;
  std::vector<ArrayArgument> arrays_;
  std::vector<const char*> names_;
};

}  // namespace turnwise::binding
