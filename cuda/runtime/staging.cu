#include <algorithm>
#include <cstring>

#include "staging.h"

namespace turnwise::cuda {

namespace {

/// Arrays up to this size travel together: a copy of their own would cost more than their bytes do.
constexpr size_t kSmallBytes = size_t{64} << 10;
constexpr size_t kRowAlignment = 16;

/// Distance from the last 16-byte boundary. Arrays keep it on the device, where rows must be aligned as their caller
/// has them.
size_t phaseOf(const unsigned char* host) {
  return reinterpret_cast<uintptr_t>(host) % kRowAlignment;
}

}  // namespace

void Staging::add(const void* host, size_t bytes, bool isInput, bool isOutput) {
  if (bytes == 0) return;
  auto* const data = static_cast<unsigned char*>(const_cast<void*>(host));
  arrays_.push_back({data, bytes, isInput, isOutput});
}

void Staging::place() {
  std::vector<Array> sorted = arrays_;
  std::sort(sorted.begin(), sorted.end(), [](const Array& a, const Array& b) { return a.host < b.host; });
  for (const Array& array : sorted) {
    const bool overlaps = !regions_.empty() && array.host < regions_.back().host + regions_.back().bytes;
    if (!overlaps) regions_.push_back({array.host, 0, nullptr, nullptr});
    Region& region = regions_.back();
    region.bytes = std::max(region.bytes, static_cast<size_t>(array.host + array.bytes - region.host));
  }
  packSmall();
  for (Region& region : regions_) {
    if (!region.pinned) region.device = lane_.take<unsigned char>(region.bytes + kRowAlignment) + phaseOf(region.host);
  }
  for (const Array& array : arrays_) {
    const Region& region = *regionOf(array.host);
    const size_t offset = static_cast<size_t>(array.host - region.host);
    if (!array.isInput) continue;
    if (region.pinned) {
      std::memcpy(region.pinned + offset, array.host, array.bytes);
    } else {
      transfer_.toDevice(region.device + offset, array.host, array.bytes, lane_.stream());
    }
  }
  if (smallBytes_ == 0) return;
  check(cudaMemcpyAsync(small_, transfer_.pinned(smallBytes_), smallBytes_, cudaMemcpyHostToDevice, lane_.stream()));
}

/// One block of device memory, and its image in pinned memory, for all small regions.
void Staging::packSmall() {
  std::vector<size_t> offsets(regions_.size());
  for (size_t i = 0; i < regions_.size(); ++i) {
    if (regions_[i].bytes > kSmallBytes) continue;
    offsets[i] = smallBytes_ + phaseOf(regions_[i].host);
    smallBytes_ = (offsets[i] + regions_[i].bytes + kRowAlignment - 1) / kRowAlignment * kRowAlignment;
  }
  if (smallBytes_ == 0) return;
  small_ = lane_.take<unsigned char>(smallBytes_);
  unsigned char* const pinned = transfer_.pinned(smallBytes_);
  for (size_t i = 0; i < regions_.size(); ++i) {
    if (regions_[i].bytes > kSmallBytes) continue;
    regions_[i].device = small_ + offsets[i];
    regions_[i].pinned = pinned + offsets[i];
  }
}

/// The region that begins at or before `host`.
const Staging::Region* Staging::regionOf(const void* host) const {
  const auto* const data = static_cast<const unsigned char*>(host);
  const auto after = std::upper_bound(regions_.begin(), regions_.end(), data,
                                      [](const unsigned char* at, const Region& region) { return at < region.host; });
  return after == regions_.begin() ? nullptr : &after[-1];
}

unsigned char* Staging::deviceAddress(const void* host) const {
  const Region* const region = regionOf(host);
  const size_t offset = region ? static_cast<size_t>(static_cast<const unsigned char*>(host) - region->host) : 0;
  // An empty array lies in no region. It must not become an absent one; nobody looks at where it is.
  if (!region || offset >= region->bytes) return reinterpret_cast<unsigned char*>(lane_.error());
  return region->device + offset;
}

void Staging::fetchSmall() {
  if (smallBytes_ == 0) return;
  check(cudaMemcpyAsync(transfer_.pinned(smallBytes_), small_, smallBytes_, cudaMemcpyDeviceToHost, lane_.stream()));
}

void Staging::toHost() {
  for (const Array& array : arrays_) {
    if (!array.isOutput) continue;
    const Region& region = *regionOf(array.host);
    if (region.pinned) {
      std::memcpy(array.host, region.pinned + (array.host - region.host), array.bytes);
    } else {
      transfer_.toHost(array.host, deviceAddress(array.host), array.bytes, lane_.stream());
    }
  }
  transfer_.finish();
}

}  // namespace turnwise::cuda
