"""What programs printed, read for bench/gpu_check.py, and its table and report."""

import json
import re
import subprocess
import time
from dataclasses import dataclass

from processes import asked_of_gpu
from report import ALONE, BRAID_FAILED, NOT_COMPARED


@dataclass
class Result:
    state: str  # passed, failed, cut or skipped
    detail: str
    text: str = ""  # what was printed
    section: str = ""  # for the report
    seconds: float = 0


def catch2_totals(text, programs=1):
    """(passed, failed, skipped) test cases of several programs; None where one of them did not come to its end."""
    passed = [int(count) for count in re.findall(r"^All tests passed .*in (\d+) test case", text, re.MULTILINE)]
    mixed = re.findall(r"^test cases: .*$", text, re.MULTILINE)
    if len(passed) + len(mixed) < programs:
        return None
    count = lambda line, word: int((re.search(rf"(\d+) {word}", line) or [0, 0])[1])
    return sum(passed) + sum(count(line, "passed") for line in mixed), sum(count(line, "failed") for line in mixed), 0


def closing_totals(text, _programs=1):
    found = re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", text, re.MULTILINE)
    return tuple(map(int, found[-1])) if found else None


def finished_cases(text):
    """Of a program that was stopped: lines of durations, or of cases."""
    return len(re.findall(r"^\d+\.\d+ s: ", text, re.MULTILINE)) + len(re.findall(r"^passed", text, re.MULTILINE))


def failures_in(text):
    return len(re.findall(r"FAILED:?$|^FAILED ", text, re.MULTILINE)) + len(re.findall(r"^failed: ", text, re.MULTILINE))


def sanitizer_errors(text):
    """Of one program, as the tool sums them up; if it was stopped before, those it had told of."""
    sums = re.findall(r"SUMMARY: (\d+) (?:errors?|hazards?)", text)
    if sums:
        return sum(map(int, sums))
    return len(re.findall(r"^========= (?:Invalid|Uninitialized|Misaligned|Error:|Race|Barrier|Divergent|Program hit)", text, re.MULTILINE))


def first_sanitizer_error(text):
    lines = [line.removeprefix("========= ") for line in text.splitlines() if line.startswith("========= ")]
    lines = [line for line in lines if line.strip() and not line.startswith(("COMPUTE-SANITIZER", "RACECHECK"))]
    return " / ".join(line.strip() for line in lines[:3])


def lines_from(text, *beginnings):
    return [line.strip() for line in text.splitlines() if line.strip().startswith(beginnings)]


def failures_of(text):
    """Of what measures: where Braid's own program failed, or computes what nobody else does."""
    return lines_from(text, BRAID_FAILED, ALONE)


def remarks_of(text):
    """Of what measures: who was not timed, who was missing, goals, what was left out."""
    missing = [line.split(":")[0] for line in text.splitlines() if re.match(r"[^:]+: not there: ", line)]
    skipped = [f"skipped, not there: {', '.join(missing)}"] if missing else []
    fallen = [line.removeprefix(NOT_COMPARED) for line in lines_from(text, NOT_COMPARED)]
    not_compared = [NOT_COMPARED + "; ".join(fallen)] if fallen else []
    return not_compared + skipped + lines_from(text, "goals ", "left out")


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def last_json(text):
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                continue
    return {}


def section(title, text):
    text = "\n".join(line for line in text.splitlines() if not line.startswith("measuring "))
    return f"## {title}\n\n```\n{text.strip()}\n```\n"


def table(results):
    lines = [("step", "result", "seconds", "")]
    for step, result in results:
        detail = result.detail if len(result.detail) <= 140 else result.detail[:137] + "..."
        lines.append((step.name, result.state, f"{result.seconds:.0f}", detail))
    widths = [max(len(line[i]) for line in lines) for i in range(3)]
    return "\n" + "\n".join(
        f"{line[0]:<{widths[0]}}  {line[1]:<{widths[1]}}  {line[2]:>{widths[2]}}  {line[3]}".rstrip() for line in lines
    )


def commit_of(check):
    """Of the bundle, else of the checkout."""
    note = check.build / "COMMIT"
    if note.exists():
        return note.read_text().strip()
    try:
        command = ["git", "-C", str(check.source or check.build), "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def heading(check, why, seconds):
    facts, smi = check.facts, asked_of_gpu("driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit")
    lines = [f"# GPU check: {facts.get('name', 'no GPU answers')}", ""]
    lines += [f"- date: {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}", f"- commit: {commit_of(check)}"]
    if facts:
        lines.append(f"- GPU: {facts['name']}, compute capability {facts['capability']}, {facts['multiprocessors']} multiprocessors")
        lines.append(f"- CUDA: driver takes {facts['driver']}, runtime {facts['runtime']}; driver {smi.get('driver_version', 'not known')}")
        if smi:
            lines.append(f"- as found: SM clock {smi['clocks.sm']} of {smi['clocks.max.sm']}, memory {smi['clocks.mem']}, {smi['power.limit']}")
    else:
        lines.append(f"- no GPU answers: {why}")
    lines.append(f"- took {seconds:.0f} s")
    return lines


def write(check, results, why, seconds):
    lines = heading(check, why, seconds)
    lines += ["", "| step | what | result | seconds | |", "|---|---|---|---|---|"]
    for step, result in results:
        detail = result.detail.replace("|", "/").replace("\n", " ")
        lines.append(f"| {step.name} | {step.what} | {result.state} | {result.seconds:.0f} | {detail} |")
    lines.append("")
    for step, result in results:
        if result.section:
            lines.append(result.section)
    for step, result in results:
        if result.state == "failed":
            lines.append(section(f"The end of what {step.name} printed", "\n".join(result.text.splitlines()[-40:])))
    path = check.out / "report.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
