// The shared bodies, gathered into the table of the target being compiled (TURNWISE_SIMD).
#pragma once
#include "forward-inl.h"
#include "gradient-inl.h"

namespace turnwise::cpu::TURNWISE_SIMD {

#define TURNWISE_SPELL_(x) #x
#define TURNWISE_SPELL(x) TURNWISE_SPELL_(x)
constexpr RowKernels kTable{
    TURNWISE_SPELL(TURNWISE_SIMD),
    F32::kFused,
    {{forwardSegment<DType::f32, false>, forwardSegment<DType::f32, true>},
     {forwardSegment<DType::bf16, false>, forwardSegment<DType::bf16, true>},
     {forwardSegment<DType::f16, false>, forwardSegment<DType::f16, true>}},
    {{gradientColumns<DType::f32, false>, gradientColumns<DType::f32, true>},
     {gradientColumns<DType::bf16, false>, gradientColumns<DType::bf16, true>},
     {gradientColumns<DType::f16, false>, gradientColumns<DType::f16, true>}},
};

}  // namespace turnwise::cpu::TURNWISE_SIMD
