// What can be said of surrogate's arguments from sizes, settings and addresses alone: for every backend, before any
// array is read.
#pragma once
#include "../backend.h"

namespace turnwise {

/// Sizes that fit each other, stages that fit together and have what they read, outputs that share no memory with an
/// input or with each other.
bool validArguments(const Surrogate& args);

}  // namespace turnwise
