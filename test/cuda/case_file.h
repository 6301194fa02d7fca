// The files of run_cases: cases in, results out. Both are sequences of records in the machine's byte order.
//
// Cases: test/cuda/exported_cases.ts says how. Results are per case: op name, title (u32 length, bytes), status code
// (u32), position (i32), number of arrays (u32); then of each array that the op may write, where the case ended well,
// id (u32), bytes (u32), bytes.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "../../native/backend.h"

namespace turnwise {

[[noreturn]] inline void stop(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(2);
}

/// Calls onArray for every view and matrix of a record and of the records in it.
template <class OnArray>
class ArrayVisitor {
 public:
  explicit ArrayVisitor(const OnArray& onArray) : onArray_(onArray) {}
  template <class Record>
  void record(Record& record) const {
    record.visitFields([&](const char*, const char*, auto& value) { field(value); });
  }

 private:
  template <class T>
  void field(View<T>& view) const {
    if (view) onArray_(view, !std::is_const_v<T>);
  }
  template <class Byte>
  void field(RowsOf<Byte>& rows) const {
    if (rows) onArray_(rows, !std::is_const_v<Byte>);
  }
  template <class Record>
  void field(Maybe<Record>& maybe) const {
    if (maybe) record(maybe.value);
  }
  template <class Record, size_t Capacity>
  void field(List<Record, Capacity>& list) const {
    for (size_t i = 0; i < list.size; ++i) record(list.items[i]);
  }
  template <class T>
  void field(T& value) const {
    if constexpr (std::is_class_v<T>) record(value);
  }

  const OnArray& onArray_;
};

template <class Record, class OnArray>
void visitArrays(Record& record, const OnArray& onArray) {
  ArrayVisitor<OnArray>(onArray).record(record);
}

/// The file's bytes, and the arrays of the case that was read last.
class Input {
 public:
  explicit Input(const char* path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    if (bytes_.empty()) stop(std::string(path) + ": nothing to read");
  }
  bool atEnd() const { return at_ == bytes_.size(); }
  size_t position() const { return at_; }

  template <class T>
  T number() {
    T value;
    take(&value, sizeof value);
    return value;
  }
  std::string text() {
    std::string value(number<uint32_t>(), '\0');
    take(value.data(), value.size());
    return value;
  }

  /// A case's record, field by field. Arrays of the same id share memory.
  template <class Record>
  void read(Record& args) {
    arrays_.clear();
    record(args);
  }
  /// By id, from 1.
  std::vector<unsigned char>& array(size_t id) { return *arrays_[id - 1]; }
  size_t arrayCount() const { return arrays_.size(); }
  size_t idOf(const void* data) const {
    for (size_t i = 0; i < arrays_.size(); ++i) {
      if (arrays_[i]->data() == data) return i + 1;
    }
    return 0;
  }

 private:
  template <class Record>
  void record(Record& record) {
    record.visitFields([&](const char*, const char*, auto& value) { field(value); });
  }
  void field(double& value) { value = number<double>(); }
  void field(int32_t& value) { value = static_cast<int32_t>(number<double>()); }
  void field(bool& value) { value = number<double>() != 0; }
  template <class T>
  void field(View<T>& view) {
    size_t bytes = 0;
    view.data = reinterpret_cast<T*>(takeArray(bytes));
    view.size = bytes / sizeof(T);
  }
  template <class Byte>
  void field(RowsOf<Byte>& rows) {
    size_t bytes = 0;
    rows.dtype = static_cast<DType>(number<uint32_t>());
    rows.width = number<uint32_t>();
    rows.data = takeArray(bytes);
    rows.count = bytes / sizeOf(rows.dtype) / rows.width;
  }
  template <class Record>
  void field(Maybe<Record>& maybe) {
    maybe.present = number<uint32_t>() != 0;
    if (maybe) record(maybe.value);
  }
  template <class Record, size_t Capacity>
  void field(List<Record, Capacity>& list) {
    list.size = number<uint32_t>();
    for (size_t i = 0; i < list.size; ++i) record(list.items[i]);
  }
  template <class T>
  void field(T& value) {
    if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(number<uint32_t>());
    } else {
      record(value);
    }
  }

  /// Id 0: absent. Each array in memory of its own, so that AddressSanitizer knows its end.
  unsigned char* takeArray(size_t& bytes) {
    const uint32_t id = number<uint32_t>();
    bytes = 0;
    if (id == 0) return nullptr;
    if (id > arrays_.size()) {
      bytes = number<uint32_t>();
      auto made = std::make_unique<std::vector<unsigned char>>();
      made->reserve(bytes > 0 ? bytes : 1);  // an empty array is not an absent one
      made->resize(bytes);
      take(made->data(), bytes);
      arrays_.push_back(std::move(made));
    }
    bytes = arrays_[id - 1]->size();
    return arrays_[id - 1]->data();
  }

  void take(void* to, size_t count) {
    if (bytes_.size() - at_ < count) stop("the cases end in the middle of a record");
    std::memcpy(to, bytes_.data() + at_, count);
    at_ += count;
  }

  std::vector<char> bytes_;
  size_t at_ = 0;
  std::vector<std::unique_ptr<std::vector<unsigned char>>> arrays_;
};

class Results {
 public:
  explicit Results(const char* path) {
    if (!path) return;
    file_.open(path, std::ios::binary);
    if (!file_) stop(std::string(path) + " cannot be written");
  }
  template <class Record>
  void add(const std::string& op, const std::string& title, const Status& status, Input& input, Record& args) {
    if (!file_.is_open()) return;
    std::set<size_t> written;
    if (status) {
      visitArrays(args, [&](auto& array, bool isOutput) {
        if (isOutput) written.insert(input.idOf(array.data));
      });
    }
    text(op);
    text(title);
    number(static_cast<uint32_t>(status.code));
    number(static_cast<int32_t>(status.position));
    number(static_cast<uint32_t>(written.size()));
    for (const size_t id : written) {
      const std::vector<unsigned char>& array = input.array(id);
      number(static_cast<uint32_t>(id));
      number(static_cast<uint32_t>(array.size()));
      file_.write(reinterpret_cast<const char*>(array.data()), static_cast<std::streamsize>(array.size()));
    }
  }
  void finish() {
    if (file_.is_open() && !file_.flush()) stop("the results cannot be written");
  }

 private:
  template <class T>
  void number(T value) {
    file_.write(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(const std::string& value) {
    number(static_cast<uint32_t>(value.size()));
    file_.write(value.data(), static_cast<std::streamsize>(value.size()));
  }
  std::ofstream file_;
};

}  // namespace turnwise
