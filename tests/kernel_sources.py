"""Where the code of GPU kernels stands: the sources, and the headers with device functions that they include, those that
CPU kernels share (BRAID_HOST_DEVICE) among them."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEVICE_FUNCTION = re.compile(r"\b(?:__device__|BRAID_HOST_DEVICE)\b")
# The numbers of dropout, which the host draws, too.
SHARED = ROOT / "engine/core/random.hpp"
INCLUDE = re.compile(r'#include "((?:kernels|engine)/[^"]+)"')


def _is_device_code(path):
    emulator = path.parent.name == "simt" and path.name not in ("elements.hpp", "rows.hpp")
    return not emulator and path.name != "host_device.hpp" and DEVICE_FUNCTION.search(path.read_text()) is not None


def sources():
    return sorted((ROOT / "kernels").glob("*_cuda.cu"))


def headers():
    return sorted([SHARED, *(p for p in (ROOT / "kernels").rglob("*.hpp") if _is_device_code(p))])


def _included_by(path, seen):
    for name in INCLUDE.findall(path.read_text()):
        header = ROOT / name
        if header not in seen and header.exists():
            seen.add(header)
            _included_by(header, seen)
    return seen


def sources_with(path):
    """The kernel sources that a change of this file changes."""
    return [source for source in sources() if path == source or path in _included_by(source, set())]
