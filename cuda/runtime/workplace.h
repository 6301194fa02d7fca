// Where steps run: a lane and the buffers of its transfers, lent to one call at a time. So any number of JavaScript
// environments, and of jobs in them, may be at work at once.
#pragma once
#include <exception>

#include "lane.h"
#include "transfer.h"

namespace turnwise::cuda {

struct Workplace {
  Transfer transfer;
  Lane lane;  // goes first: it waits for copies that still use the other's buffers
};

/// One workplace for the time of its life.
class Borrowed {
 public:
  Borrowed();
  ~Borrowed();
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  /// After an error the workplace is in an unknown state, and is not lent again; so say when there was none.
  void finished() { finished_ = true; }
  Workplace& operator*() const { return *workplace_; }

 private:
  std::unique_ptr<Workplace> workplace_;
  bool finished_ = false;
};

/// The status device-lost, or ok.
Status lostStatus();
/// What a failure is to the caller.
Status statusOf(const Failure& failure);
void useDevice();

/// Runs body(workplace), which answers a Status. A Failure becomes one too; one that broke the device's context is
/// reported once as such, and from then on every call answers device-lost instead of computing nonsense.
template <class Body>
Status guarded(const Body& body) {
  if (const Status lost = lostStatus(); !lost) return lost;
  try {
    useDevice();
    Borrowed workplace;
    const Status status = body(*workplace);
    workplace.finished();
    return status;
  } catch (const Failure& failure) {
    return statusOf(failure);
  } catch (const std::exception&) {  // of containers and locks: no memory on the host
    return {StatusCode::outOfMemory, -1};
  }
}

}  // namespace turnwise::cuda
