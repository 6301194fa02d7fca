// The combined advantages modulated by their turns' entropies, then whitened over the batch. Both work on one value per
// entry of the result level.
#pragma once
#include "../../ops.h"
#include "layout.h"

namespace turnwise::cpu {

void modulateAdvantages(const TurnStatistics& args, const Layout& layout, double* advantages);
void whitenAdvantages(const TurnStatistics& args, const Layout& layout, double* advantages);

}  // namespace turnwise::cpu
