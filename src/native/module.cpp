// Registers what the units bind; a unit is one .cpp with its computation and its Python face.
#include <nanobind/nanobind.h>

#include "sources.h"  // written by CMake into the build folder: the digest of every source

namespace nb = nanobind;

namespace egopack {

void bind_aggregate(nb::module_& m);
void bind_dropout(nb::module_& m);
void bind_nearest(nb::module_& m);
void bind_nms(nb::module_& m);
void bind_overlap(nb::module_& m);
void bind_pooling(nb::module_& m);

}  // namespace egopack

NB_MODULE(egopack_native, m) {
    m.doc() = "Compiled parts of egopack.detection and egopack.nn.";
    egopack::bind_aggregate(m);
    egopack::bind_dropout(m);
    egopack::bind_nearest(m);
    egopack::bind_nms(m);
    egopack::bind_overlap(m);
    egopack::bind_pooling(m);

    nb::dict sources;
    for (const auto& [name, sha256] : egopack::kSources) sources[name] = sha256;
    m.attr("SOURCES") = sources;
}
