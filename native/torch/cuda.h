// Streams, events, graphs and memory of a card; on a CPU build of PyTorch the same functions say that there is none.
#pragma once

#include "values.h"

namespace search_r1 {

/// Whether this addon was built with CUDA.
bool cudaBuilt();
/// Cards that can be used now.
int cudaDevices();
/// Makes the environment's thread work on a card, on a stream of its own.
void cudaUse(State& state, int index);
void cudaSynchronize(State& state);

/// The functions of this file that JavaScript calls.
std::vector<napi_property_descriptor> cudaFunctions();

}  // namespace search_r1
