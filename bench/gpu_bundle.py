#!/usr/bin/env python3
"""Packs what a build made for machines with a GPU: tests, golden runner, examples and benchmarks, with the libraries that they
need beyond the C library and the driver.

  bench/gpu_bundle.py [--build FOLDER] [--out FILE]

The archive unpacks into one folder, and runs where the C library is as new as the newest symbol asked for (printed). There:
  python3 braid-gpu/bench/gpu_check.py --source <checkout>
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 35 * 1000 * 1000
NEWEST_C_LIBRARY = (2, 36)
FOLDER = "braid-gpu"
PROGRAMS = ("tests/braid_tests", "tests/braid_golden", "bench/braid_step_bench", "bench/braid_device_bench")
SCRIPTS = ("bench/*.py", "bench/peers/*.py", "tests/examples_test.sh")
# The C library's own, and the driver's.
NOT_PACKED = re.compile(r"^(lib(c|m|dl|rt|pthread|resolv|util|anl|nsl|mvec|cuda|nvidia-ml)\.so|ld-linux|linux-vdso)")


class Refused(Exception):
    pass


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout


def examples_of(build):
    folder = build / "python_free_examples"
    return sorted(path for path in folder.glob("[0-9]*") if path.is_file() and os.access(path, os.X_OK))


def libraries_of(program):
    """{name: path} of all that the loader would take, as far as it is packed."""
    found = {}
    for line in output_of("ldd", str(program)).splitlines():
        match = re.match(r"\s*(\S+) => (\S+) \(", line)
        if "not found" in line:
            raise Refused(f"{program}: {line.strip()}")
        if match and not NOT_PACKED.match(Path(match[1]).name):
            found[Path(match[1]).name] = Path(match[2]).resolve()
    return found


def newest_symbol(files):
    """The newest version of the C library that a file asks for, and which file does."""
    newest = ((0, 0), None)
    for path in files:
        for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", output_of("objdump", "-T", str(path))):
            newest = max(newest, ((int(major), int(minor)), path), key=lambda pair: pair[0])
    return newest


def commit():
    try:
        return output_of("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12").strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def gather(build, stage):
    """Copies everything to `stage`, stripped."""
    programs = [build / name for name in PROGRAMS]
    missing = [str(path) for path in programs if not path.exists()]
    if missing:
        raise Refused(f"not built: {', '.join(missing)}")
    programs += examples_of(build)
    libraries = {}
    for program in programs:
        libraries.update(libraries_of(program))
        target = stage / program.relative_to(build)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(program, target)
    if any(name.startswith("libcud") for name in libraries):
        raise Refused("a program needs a shared library of CUDA; cudart is to be linked statically")
    (stage / "lib").mkdir()
    for name, path in sorted(libraries.items()):
        shutil.copy2(path, stage / "lib" / name)
    binaries = [path for path in stage.rglob("*") if path.is_file()]
    for path in binaries:
        path.chmod(0o755)
        subprocess.run(["strip", str(path)], check=True)
    for program in programs:
        if "$ORIGIN/../lib" not in output_of("objdump", "-p", str(stage / program.relative_to(build))):
            raise Refused(f"{program.name} does not look for libraries beside it")
    for pattern in SCRIPTS:
        for script in ROOT.glob(pattern):
            target = stage / script.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(script, target)
    (stage / "COMMIT").write_text(commit() + "\n")
    return binaries, sorted(libraries)


def pack(stage, out):
    # Programs share most of their code: the dictionary must hold more than one of them.
    with tarfile.open(out, "w:xz", preset=9) as archive:
        archive.add(stage, arcname=FOLDER, filter=lambda entry: entry.replace(uid=0, gid=0, uname="", gname="", deep=False))


def main(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build/release")
    parser.add_argument("--out", type=Path, default=ROOT / "build/braid-gpu.tar.xz")
    options = parser.parse_args(words)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            stage = Path(scratch) / FOLDER
            stage.mkdir()
            binaries, libraries = gather(options.build.resolve(), stage)
            (version, who) = newest_symbol(binaries)
            if version > NEWEST_C_LIBRARY:
                raise Refused(f"{who.name} asks for glibc {version[0]}.{version[1]}, newer than 2.36")
            options.out.parent.mkdir(parents=True, exist_ok=True)
            pack(stage, options.out)
            unpacked = sum(path.stat().st_size for path in stage.rglob("*") if path.is_file())
    except (Refused, OSError, subprocess.CalledProcessError) as error:
        print(f"no bundle: {error}", file=sys.stderr)
        return 1
    size = options.out.stat().st_size
    print(f"{options.out}: {size / 1e6:.1f} MB ({unpacked / 1e6:.0f} MB unpacked), {len(binaries)} programs and libraries")
    print(f"packed libraries: {', '.join(libraries)}; needs glibc {version[0]}.{version[1]} and, for a GPU, its driver")
    if size > MOST_BYTES:
        print(f"no bundle: more than {MOST_BYTES / 1e6:.0f} MB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
