#include "schema.h"

#include <memory>
#include <string>
#include <type_traits>

#include "arguments.h"

namespace turnwise::binding {

namespace {

class SchemaWriter {
 public:
  explicit SchemaWriter(Napi::Env env) : env_(env), records_(Napi::Object::New(env)), enums_(Napi::Object::New(env)) {}

  template <class Record>
  void addRecord() {
    auto fields = Napi::Object::New(env_);
    auto record = std::make_unique<Record>();
    record->visitFields(FieldWriter{*this, fields});
    records_.Set(Record::recordName, fields);
  }

  template <class Enum>
  void addEnum() {
    addNames(EnumNames<Enum>::type, EnumNames<Enum>::names, EnumNames<Enum>::count);
  }

  void addNames(const char* type, const char* const* names, size_t count) {
    auto list = Napi::Array::New(env_, count);
    for (size_t i = 0; i < count; i++) list.Set(static_cast<uint32_t>(i), names[i]);
    enums_.Set(type, list);
  }

  Napi::Object records() const { return records_; }
  Napi::Object enums() const { return enums_; }

 private:
  struct FieldWriter {
    SchemaWriter& schema;
    Napi::Object fields;
    template <class T>
    void operator()(const char* name, const char* type, T& field) {
      fields.Set(name, schema.describeType(type, field));
    }
  };

  // Records and enums met on the way are added as well, so that none needs to be listed.
  template <class T>
  std::string describeType(const char* type, View<T>&) {
    return type;
  }
  template <class Byte>
  std::string describeType(const char* type, RowsOf<Byte>&) {
    return type;
  }
  template <class Record>
  std::string describeType(const char* type, Maybe<Record>&) {
    addRecord<Record>();
    return type;
  }
  template <class Record, size_t Capacity>
  std::string describeType(const char*, List<Record, Capacity>&) {
    addRecord<Record>();
    return std::string("List<") + Record::recordName + ">";
  }
  template <class T>
  std::string describeType(const char* type, T&) {
    if constexpr (std::is_enum_v<T>) {
      addEnum<T>();
    } else if constexpr (std::is_class_v<T>) {
      addRecord<T>();
    }
    return type;
  }

  Napi::Env env_;
  Napi::Object records_;
  Napi::Object enums_;
};

}  // namespace

Napi::Object schemaExports(Napi::Env env) {
  SchemaWriter schema(env);
  auto ops = Napi::Object::New(env);
#define TURNWISE_SCHEMA_OP(Record, op)                                                                                 \
  schema.addRecord<Record>();                                                                                          \
  ops.Set(#op, Record::recordName);
  TURNWISE_OPS(TURNWISE_SCHEMA_OP)
#undef TURNWISE_SCHEMA_OP
  // In no record, yet part of the contract: what an op answers, and the slots of its output vectors.
  schema.addEnum<StatusCode>();
  schema.addEnum<Metric>();
  schema.addEnum<GroupStat>();
  schema.addNames("DType", kDTypeNames, sizeof kDTypeNames / sizeof kDTypeNames[0]);
  auto result = Napi::Object::New(env);
  result.Set("ops", ops);
  result.Set("records", schema.records());
  result.Set("enums", schema.enums());
  return result;
}

}  // namespace turnwise::binding
