// Plain data types shared by every backend. No dependencies beyond the standard library's integer types, no RL, no
// N-API, no CUDA: includable from a .cpp, a .cu and a test alike. Nothing here owns memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__CUDACC__)
#define TURNWISE_HD __host__ __device__
#else
#define TURNWISE_HD
#endif

namespace turnwise {

/// Whose memory an array lies in. A backend is given none that it cannot reach.
enum class Memory : int32_t { host, device };

/// A borrowed array. An absent optional argument is an empty view with `data == nullptr`.
template <class T>
struct View {
  T* data = nullptr;
  size_t size = 0;
  Memory memory = Memory::host;
  TURNWISE_HD T& operator[](size_t i) const { return data[i]; }
  TURNWISE_HD explicit operator bool() const { return data != nullptr; }
};

/// Element types of logits and their gradient. bf16 and f16 are stored as their 16 bits.
enum class DType : int32_t { f32, bf16, f16 };

TURNWISE_HD constexpr size_t sizeOf(DType dtype) {
  return dtype == DType::f32 ? 4 : 2;
}

/// A borrowed row-major matrix [count, width] of one dtype, its rows `stride` elements apart (0: width). Offsets are
/// 64-bit: `count * width` may exceed 2^32.
template <class Byte>
struct RowsOf {
  Byte* data = nullptr;
  DType dtype = DType::f32;
  size_t count = 0;
  size_t width = 0;
  size_t stride = 0;
  Memory memory = Memory::host;
  TURNWISE_HD explicit operator bool() const { return data != nullptr; }
  TURNWISE_HD size_t rowStride() const { return stride == 0 ? width : stride; }
  TURNWISE_HD Byte* row(size_t n) const { return data + n * rowStride() * sizeOf(dtype); }
  /// From the first element to the last.
  TURNWISE_HD size_t bytes() const { return count == 0 ? 0 : ((count - 1) * rowStride() + width) * sizeOf(dtype); }
};
using ConstRows = RowsOf<const unsigned char>;
using Rows = RowsOf<unsigned char>;

/// A short list stored inline, so that a record stays trivially copyable (and can be a CUDA kernel argument).
template <class T, size_t Capacity>
struct List {
  static constexpr size_t capacity = Capacity;
  T items[Capacity];
  size_t size = 0;
  TURNWISE_HD const T& operator[](size_t i) const { return items[i]; }
};

/// A nested record that may be absent.
template <class T>
struct Maybe {
  T value;
  bool present = false;
  TURNWISE_HD explicit operator bool() const { return present; }
  TURNWISE_HD const T* operator->() const { return &value; }
  TURNWISE_HD const T& operator*() const { return value; }
};

}  // namespace turnwise
