// Named lists as the single source of a C++ type, of its conversion from JavaScript and of the drift check.
//
//   #define TURNWISE_POINT(F) F(double, x) F(double, y)
//   TURNWISE_RECORD(Point, TURNWISE_POINT)            struct Point { double x, y; } that can be visited field by field
//
//   #define TURNWISE_COLOR(E) E(red, "red") E(darkBlue, "dark-blue")
//   TURNWISE_ENUM(Color, TURNWISE_COLOR)              enum class Color { red, darkBlue } with its JavaScript spellings
#pragma once
#include <cstddef>
#include <cstdint>

namespace turnwise {

/// `EnumNames<E>::names[i]` is the JavaScript spelling of enumerator i. Specialised by TURNWISE_ENUM.
template <class E>
struct EnumNames;

}  // namespace turnwise

#define TURNWISE_ENUM_VALUE(name, spelling) name,
#define TURNWISE_ENUM_NAME(name, spelling) spelling,
#define TURNWISE_ENUM(Name, LIST)                                                                                      \
  enum class Name : int32_t { LIST(TURNWISE_ENUM_VALUE) };                                                             \
  template <>                                                                                                          \
  struct EnumNames<Name> {                                                                                             \
    static constexpr const char* type = #Name;                                                                         \
    static constexpr const char* names[] = {LIST(TURNWISE_ENUM_NAME)};                                                 \
    static constexpr size_t count = sizeof(names) / sizeof(names[0]);                                                  \
  };

#define TURNWISE_FIELD_DECLARE(Type, name) Type name{};
#define TURNWISE_FIELD_VISIT(Type, name) visit(#name, #Type, name);
#define TURNWISE_RECORD(Name, LIST)                                                                                    \
  struct Name {                                                                                                        \
    static constexpr const char* recordName = #Name;                                                                   \
    LIST(TURNWISE_FIELD_DECLARE)                                                                                       \
    template <class Visitor>                                                                                           \
    void visitFields(Visitor&& visit) {                                                                                \
      LIST(TURNWISE_FIELD_VISIT)                                                                                       \
    }                                                                                                                  \
  };
