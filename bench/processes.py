"""Starts the programs that are measured, and asks them things: a line out, a line of JSON back."""

import ctypes
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
LONGEST_ANSWER = 600  # seconds
DATA_BYTES = 4e9  # that must be free where data are written for the rivals


class Failure(Exception):
    """What a program said instead of an answer, or that it said nothing."""


class Program:
    """A process that lives as long as the run."""

    def __init__(self, command, log, environment=None):
        self.log = open(log, "wb")
        self.patience = LONGEST_ANSWER
        self.unread = b""
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                env={**os.environ, **(environment or {})},
            )
        except OSError as error:
            raise Failure(f"{command[0]}: {error.strerror}") from error
        self.name = self.detail = ""

    def greet(self):
        """Waits until the program is ready."""
        hello = self.read()
        self.name, self.detail = hello["name"], hello["detail"]

    def send(self, *words):
        try:
            self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise Failure(f"it ended; {self.log.name} may tell why") from error

    def ask(self, *words):
        self.send(*words)
        return self.read()

    def read(self):
        while b"\n" not in self.unread:
            ready, _, _ = select.select([self.process.stdout], [], [], self.patience)
            if not ready:
                self.process.kill()  # a late answer would be taken for the next one
                raise Failure(f"no answer in {self.patience:.0f} seconds")
            received = os.read(self.process.stdout.fileno(), 1 << 20)
            if not received:
                raise Failure(f"it ended; {self.log.name} may tell why")
            self.unread += received
        line, self.unread = self.unread.split(b"\n", 1)
        try:
            answer = json.loads(line)
        except ValueError as error:
            self.process.kill()  # which answer belongs to which question is no longer known
            raise Failure(f"it printed: {line.decode(errors='replace').strip()}") from error
        if "error" in answer:
            raise Failure(answer["error"])
        return answer

    def close(self):
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                pass
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Rival:
    """One framework: a process for each of its settings, as one thread and two; the best counts for each row."""

    models = None  # that it takes part in; all

    def __init__(self, name, script, python, data, logs, settings):
        self.name = name
        self.missing = None
        self.programs = []
        if python is None:
            self.missing = "not installed: no Python here finds it"
            return
        if not Path(python).exists():
            self.missing = f"not installed (there is no {python}; --install makes it)"
            return
        try:
            for number, setting in enumerate(settings, 1):
                environment = {**setting, "PYTHONUNBUFFERED": "1"}
                command = [str(python), str(FOLDER / "peers" / script), str(data)]
                log = logs / f"{name.lower().replace(' ', '-')}-{number}.log"
                self.programs.append(Program(command, log, environment))
        except Failure as failure:
            self.missing = str(failure)

    def greet(self):
        """Keeps those that are ready; none: the rival is missing."""
        ready, why = [], self.missing
        for program in self.programs:
            try:
                program.greet()
                ready.append(program)
            except Failure as failure:
                why = why or str(failure)
                program.close()
        self.programs = ready
        self.missing = None if ready else why

    @property
    def detail(self):
        return self.programs[0].detail if self.programs else ""

    @property
    def told(self):
        """Who it is, or that it is not there and why."""
        return f"{self.name}: not there: {self.missing}" if self.missing else f"{self.name}: {self.detail}"

    def close(self):
        for program in self.programs:
            program.close()
        self.programs = []


def finds(python, module):
    """Whether this interpreter has the module."""
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)"
    try:
        return subprocess.run([str(python), "-c", look], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def library_setting():
    """cuBLASLt in a file of a Python installation, for Braid's programs, whose loader knows of none."""
    name = "libcublasLt.so.1[23]"
    folders = [Path(folder) for folder in sys.path if folder.endswith("-packages")]
    found = [path for folder in folders for path in sorted(folder.glob(f"nvidia/*/lib/{name}"), reverse=True)]
    return {"BRAID_CUBLASLT": str(found[0])} if found and "BRAID_CUBLASLT" not in os.environ else {}


def library_told():
    """Where Braid's programs find cuBLASLt; without it their own kernels make large products, too."""
    named = {**os.environ, **library_setting()}.get("BRAID_CUBLASLT")
    if named == "none":
        return "cuBLASLt: not there: BRAID_CUBLASLT is none"
    for file in [named] if named else ["libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13", "libcublasLt.so.12"]:
        try:
            ctypes.CDLL(file)
            return f"cuBLASLt: {file}"
        except OSError:
            continue
    return f"cuBLASLt: not there: {named} cannot be loaded" if named else "cuBLASLt: not there: no file of it is found"


def built(program):
    """A benchmark of Braid's: of a bundle, if these scripts are in one, else of the build tree."""
    bundled = ROOT / "bench" / program
    return bundled if bundled.exists() else ROOT / "build/release/bench" / program


def asked_of_gpu(*properties):
    """{property: what nvidia-smi says}; empty where it says nothing."""
    try:
        command = ["nvidia-smi", f"--query-gpu={','.join(properties)}", "--format=csv,noheader"]
        lines = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return {}
    words = [word.strip() for word in lines[0].split(",")] if lines else []
    return dict(zip(properties, words)) if len(words) == len(properties) else {}


def folder_of_data():
    """A new one, in memory if there is room: more than a gigabyte is written once and read twice."""
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and shutil.disk_usage(shared).free > DATA_BYTES
    return Path(tempfile.mkdtemp(prefix="braid-goals-", dir=shared if roomy else None))
