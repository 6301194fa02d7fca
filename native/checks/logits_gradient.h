// What can be said of logitsGradient's arguments from sizes and settings alone: for every backend, before any array is
// read.
#pragma once
#include "../backend.h"

namespace turnwise {

/// Sizes and dtypes that fit each other, a temperature that the kernels can work with, and entropy where it has a
/// coefficient.
bool validArguments(const LogitsGradient& args);

}  // namespace turnwise
