// What can be said of policyLoss' arguments from sizes, settings and addresses alone: for every backend, before any
// array is read.
#pragma once
#include "../backend.h"

namespace turnwise {

/// Each op's arguments are valid, what one op writes is what the next one reads, and nothing lies where an earlier op
/// would overwrite it.
bool validArguments(const PolicyLoss& args);

}  // namespace turnwise
