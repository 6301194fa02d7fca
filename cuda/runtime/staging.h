// The arrays of an argument record that lie in host memory, copied to the device for a step and back.
//
// Which array is which follows from the record's types: a view of const elements is an input, any other an output.
// Arrays that share memory share it on the device too (what one op writes the next one reads).
#pragma once
#include <vector>

#include "workplace.h"

namespace turnwise::cuda {

class Staging {
 public:
  Staging(Lane& lane, Transfer& transfer) : lane_(lane), transfer_(transfer) {}

  /// Gives every host array of `record` a place on the device, and copies inputs there.
  template <class Record>
  void toDevice(Record& record) {
    visit(record, [&](auto& array) { note(array); });
    place();
    visit(record, [&](auto& array) { redirect(array); });
  }
  /// Sends small outputs back behind the kernels, so that they are there when the lane has been waited for.
  void fetchSmall();
  /// After that: puts the outputs where the caller has them. Not after an error, so that it loses nothing.
  void toHost();

 private:
  struct Array {
    unsigned char* host;
    size_t bytes;
    bool isInput, isOutput;
  };
  /// Host memory that arrays cover without a gap between them.
  struct Region {
    unsigned char* host;
    size_t bytes;
    unsigned char* device;
    unsigned char* pinned;  // of a small one: its place in the block that travels as one
  };

  /// Calls onArray for every view and matrix of a record and of the records in it.
  template <class Record, class OnArray>
  static void visit(Record& record, const OnArray& onArray) {
    record.visitFields([&](const char*, const char*, auto& field) { visitField(field, onArray); });
  }
  template <class T, class OnArray>
  static void visitField(View<T>& view, const OnArray& onArray) {
    onArray(view);
  }
  template <class Byte, class OnArray>
  static void visitField(RowsOf<Byte>& rows, const OnArray& onArray) {
    onArray(rows);
  }
  template <class Record, class OnArray>
  static void visitField(Maybe<Record>& maybe, const OnArray& onArray) {
    if (maybe) visit(maybe.value, onArray);
  }
  template <class Record, size_t Capacity, class OnArray>
  static void visitField(List<Record, Capacity>& list, const OnArray& onArray) {
    for (size_t i = 0; i < list.size; ++i) visit(list.items[i], onArray);
  }
  template <class T, class OnArray>
  static void visitField(T& field, const OnArray& onArray) {
    if constexpr (std::is_class_v<T>) visit(field, onArray);
  }

  template <class T>
  void note(View<T>& view) {
    // An output may be written in part, so it starts as it is. Of [N, V] matrices that would cost a pass.
    if (isOnHost(view)) add(view.data, view.size * sizeof(T), true, !std::is_const_v<T>);
  }
  template <class Byte>
  void note(RowsOf<Byte>& rows) {
    if (isOnHost(rows)) add(rows.data, rows.bytes(), std::is_const_v<Byte>, !std::is_const_v<Byte>);
  }
  template <class Array>
  static bool isOnHost(const Array& array) {
    return array.data && array.memory == Memory::host;
  }
  void add(const void* host, size_t bytes, bool isInput, bool isOutput);
  void place();

  template <class Array>
  void redirect(Array& array) {
    if (!isOnHost(array)) return;
    array.data = reinterpret_cast<decltype(array.data)>(deviceAddress(array.data));
    array.memory = Memory::device;
  }
  void packSmall();
  const Region* regionOf(const void* host) const;
  unsigned char* deviceAddress(const void* host) const;

  Lane& lane_;
  Transfer& transfer_;
  std::vector<Array> arrays_;
  std::vector<Region> regions_;  // by address
  unsigned char* small_ = nullptr;
  size_t smallBytes_ = 0;
};

}  // namespace turnwise::cuda
