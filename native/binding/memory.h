// Native memory behind library tensors: 64-byte aligned, zeroed, counted, and known by address in the whole process.
//
// JavaScript holds one reference to a block (through the external ArrayBuffer over it), every running job another. So a
// buffer that JavaScript transfers, detaches or forgets while a job works on it stays where it is until the job is
// done.
#pragma once
#include <cstddef>
#include <memory>

namespace turnwise::binding {

class Block {
 public:
  /// Throws std::bad_alloc.
  explicit Block(size_t bytes);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_;
  void* data_;
};
using BlockRef = std::shared_ptr<Block>;

/// A new block, held by JavaScript until dropJsHold. Throws std::bad_alloc.
BlockRef allocateBlock(size_t bytes);
/// The live block that has all of [data, data + bytes), or null.
BlockRef findBlock(const void* data, size_t bytes);
/// Gives up JavaScript's reference; more than once is harmless.
void dropJsHold(const Block& block);
/// Bytes of all live blocks.
size_t liveBytes();

}  // namespace turnwise::binding
