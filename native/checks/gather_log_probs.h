// What can be said of gatherLogProbs' arguments from sizes and settings alone: for every backend, before any array is
// read.
#pragma once
#include "../backend.h"

namespace turnwise {

/// Sizes that fit each other, and a temperature that the kernels can work with.
bool validArguments(const GatherLogProbs& args);

}  // namespace turnwise
