// Results as a JSON file and as a short table.
#pragma once
#include <cstdarg>
#include <cstdio>
#include <string>
#include <vector>

namespace turnwise::bench {

inline std::string format(const char* pattern, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(text, sizeof text, pattern, arguments);
  va_end(arguments);
  return text;
}

/// A JSON string. What is no ASCII letter of a name (device, command) is left out.
inline std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c >= ' ' && c <= '~') out += c;
  }
  return out + "\"";
}

/// One JSON object, field by field.
class Fields {
 public:
  Fields& text(const char* name, const std::string& value) { return add(name, quoted(value)); }
  Fields& number(const char* name, double value) {
    // JSON has no infinity.
    return add(name, value - value == 0 ? format("%.9g", value) : "null");
  }
  Fields& object(const char* name, const Fields& value) { return add(name, value.json()); }
  Fields& list(const char* name, const std::vector<Fields>& values, const char* separator) {
    std::string all = "[";
    for (size_t i = 0; i < values.size(); ++i) all += (i > 0 ? "," : "") + std::string(separator) + values[i].json();
    return add(name, all + separator + "]");
  }
  std::string json() const { return "{" + fields_ + "}"; }

 private:
  Fields& add(const char* name, const std::string& value) {
    if (!fields_.empty()) fields_ += ", ";
    fields_ += quoted(name) + ": " + value;
    return *this;
  }
  std::string fields_;
};

}  // namespace turnwise::bench
