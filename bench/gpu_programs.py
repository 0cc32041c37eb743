"""How bench/gpu_check.py runs programs on a machine with a GPU, many side by side, and logs what they print."""

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import gpu_report
from processes import library_setting


@dataclass
class Ran:
    status: int
    text: str
    cut: bool  # it ran out of time
    pieces: list = field(default_factory=list)  # the same of each program, if there were several

    def __post_init__(self):
        self.pieces = self.pieces or [self]


class Broken(Exception):
    """Why a step could not do what it is there for."""


class Check:
    """What the steps share: where things are, and how programs are run and logged."""

    def __init__(self, build, source, out, jobs):
        self.build, self.source, self.out = build, source, out
        self.jobs = jobs
        self.slots = threading.BoundedSemaphore(jobs)
        self.deadline = float("inf")  # of what runs side by side
        self.facts = {}
        self.settings = {"BRAID_SOURCE": str(source or ""), **library_setting()}  # of every program
        out.mkdir(parents=True, exist_ok=True)
        self.log = open(out / "log.txt", "w", encoding="utf-8")
        self.log_is_free = threading.Lock()

    def program(self, path):
        return self.build / path

    def run(self, command, seconds, environment=None):
        """Runs a command with all that it starts, at most so long, as soon as fewer than `jobs` others run."""
        words = [str(word) for word in command]
        with self.slots, tempfile.TemporaryFile() as printed:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
                                       env={**os.environ, **self.settings, **(environment or {})}, start_new_session=True)
            cut = False
            try:
                process.wait(timeout=max(1, min(seconds, self.deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                cut = True
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            printed.seek(0)
            text = printed.read().decode("utf-8", errors="replace")
        settings = " ".join(f"{key}={value}" for key, value in (environment or {}).items())
        with self.log_is_free:
            self.log.write(f"\n$ {settings} {' '.join(words)}\n{text}\n[status {process.returncode}{', cut' if cut else ''}]\n")
            self.log.flush()
        return Ran(process.returncode, text, cut)

    def tags(self):
        """The test files, as tags that Catch2 makes of their names."""
        listed = self.run([self.program("tests/braid_tests"), "-#", "--list-tags"], 60)
        lines = re.findall(r"^ *\d+ +(\[.*)$", listed.text, re.MULTILINE)
        total = re.search(r"^(\d+) tags?$", listed.text, re.MULTILINE)
        # The status of an older Catch2 is the number of tags, as far as a status can hold it.
        if not lines or not total or int(total[1]) != len(lines) or listed.status not in (0, len(lines) % 256):
            raise Broken(f"the tests cannot be listed: status {listed.status}, {gpu_report.last_line(listed.text)}")
        return sorted({word.strip("[]#") for line in lines for word in line.split() if word.startswith("[#")})


def tests(check, seconds, files, environment, prefix=(), options=(), pieces=1):
    """Runs test cases, in so many pieces side by side."""
    pieces = min(pieces, check.jobs, max(1, len(files)))

    def run(number):
        picked = ",".join(f"[#{file}]" for file in files[number::pieces])
        command = [*prefix, check.program("tests/braid_tests"), "-#", picked, "-d", "yes", *options]
        return check.run(command, seconds, environment)

    with ThreadPoolExecutor(pieces) as pool:
        ran = list(pool.map(run, range(pieces)))
    text = "\n".join(each.text for each in ran)
    return Ran(max((each.status for each in ran), key=abs), text, any(each.cut for each in ran), ran)
