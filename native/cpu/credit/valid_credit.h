// The checks of turnStatistics that need no look into the arrays.
#pragma once
#include "../../ops.h"

namespace turnwise::cpu {

/// Every array that is read is there and has its size, every setting stands where it means something, and no result
/// lies over an input.
bool validCredit(const TurnStatistics& args);

}  // namespace turnwise::cpu
