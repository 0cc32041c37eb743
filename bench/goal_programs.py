"""Who is asked in bench/goals.py: Braid's programs and PyTorch's, by precision, in turns."""

import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import run
from processes import Failure, Program, Rival, finds, library_setting
from report import ALONE, NOT_COMPARED

ROOT = Path(__file__).resolve().parent.parent
CHECKED_STEPS = {True: run.CURVE_STEPS, False: 10}  # on a GPU, and where it is only shown that it runs
SMALL = 128  # times fewer rows without a GPU


@dataclass
class Setting:
    """Everybody at one precision."""

    precision: str
    logs: Path
    braid: Program = None
    fed: Program = None  # Braid, with data that stay on the host
    kernels: Program = None  # Braid, kernels alone
    rivals: dict = field(default_factory=dict)  # by variant


class Bench:
    def __init__(self, options, data):
        self.options, self.data = options, data
        self.large = options.device == "cuda"
        self.settings = {}
        self.written = set()
        self.goals = []  # (title, whether it was reached)
        self.alone = False  # rivals answered, and none computes what Braid does

    def setting(self, precision):
        if precision not in self.settings:
            logs = ROOT / "build/bench-data" / precision
            logs.mkdir(parents=True, exist_ok=True)
            self.settings[precision] = Setting(precision, logs)
        return self.settings[precision]

    def start(self, precision, variants):
        """PyTorch takes its time: all at once."""
        setting = self.setting(precision)
        pythons = [Path(sys.executable), Path("/usr/bin/python3"), self.options.venv / "bin" / "python"]
        place = "cuda" if self.large else "cpu"
        for variant in variants:
            if variant not in setting.rivals:
                python = next((python for python in pythons if finds(python, "torch")), None)
                environment = {"BENCH_DEVICE": place, "BENCH_PRECISION": precision, "BENCH_VARIANT": variant}
                name = f"PyTorch {variant} {precision}"
                setting.rivals[variant] = Rival(name, "torch_gpu_peer.py", python, self.data, setting.logs, [environment])

    def braid(self, precision, fed=False):
        setting = self.setting(precision)
        name = "fed" if fed else "braid"
        if getattr(setting, name) is None:
            command = [str(self.options.braid), "--device", self.options.device, "--precision", precision]
            environment = {**library_setting(), **({"BRAID_NO_RESIDENT_DATA": "1"} if fed else {})}
            program = Program(command + (["--large"] if self.large else []), setting.logs / f"{name}.log", environment)
            setattr(setting, name, program)
            program.greet()
        return getattr(setting, name)

    def kernels(self, precision):
        setting = self.setting(precision)
        if setting.kernels is None:
            device = "cuda" if self.large else "emulated"
            program = self.options.braid.parent / "braid_device_bench"
            command = [str(program), "--device", device, "--precision", precision, "--serve"]
            setting.kernels = Program(command, setting.logs / "kernels.log", library_setting())
            setting.kernels.greet()
        return setting.kernels

    def greet_rivals(self):
        for setting in self.settings.values():
            for rival in setting.rivals.values():
                rival.greet()
                print(rival.told, flush=True)
                for program in rival.programs:
                    program.patience = max(60, min(self.options.budget, program.patience))

    def rivals(self, precision, variants, *models):
        """Those that are there, with the data of these models written for them."""
        there = self.setting(precision).rivals
        ready = {variant: there[variant].programs[0] for variant in variants if not there[variant].missing}
        missing = [model for model in models if model not in self.written]
        if ready and missing:
            self.braid(precision).ask("write", self.data, *missing)
            self.written.update(missing)
        return ready

    def rows(self, batch):
        return batch if self.large else max(1, batch // SMALL)

    def alternate(self, turns):
        """{who: answers, or why there are none} of turns (who, program, request)."""
        answers = {who: [] for who, _, _ in turns}
        for repeat in range(self.options.repeats):
            for who, program, words in turns if repeat % 2 == 0 else reversed(turns):
                if isinstance(answers[who], str):
                    continue
                time.sleep(run.REST)
                try:
                    answers[who].append(program.ask(*words))
                except Failure as failure:
                    if who == "Braid":
                        raise
                    answers[who] = str(failure)
        return answers

    def agreeing(self, title, precision, rivals, model, batch, count):
        """{variant: None, or why it is not timed}."""
        words = ("losses", model, batch, count, CHECKED_STEPS[self.large])
        answers = {}
        asked = []
        for variant, program in rivals.items():  # all at once: nothing is timed here
            try:
                program.send(*words)
                asked.append(variant)
            except Failure as failure:
                answers[variant] = str(failure)
        try:
            ours = self.braid(precision).ask(*words)["losses"]
        finally:
            for variant in asked:  # whatever becomes of Braid: the next answer is to another question
                try:
                    answers[variant] = rivals[variant].read()["losses"]
                except Failure as failure:
                    answers[variant] = str(failure)
        verdicts = {variant: self.verdict(ours, answer, run.CURVE_TOLERANCES[precision]) for variant, answer in answers.items()}
        answered = [variant for variant, answer in answers.items() if not isinstance(answer, str)]
        if answered and all(verdicts[variant] for variant in answered):
            print(ALONE + title, flush=True)
            self.alone = True
        return verdicts

    @staticmethod
    def verdict(ours, theirs, tolerance):
        if isinstance(theirs, str):
            return theirs
        deviation = statistics.mean(run.differences(ours, theirs))
        return None if deviation <= tolerance else f"its losses deviate by {deviation:.1e}"

    def steps(self, title, part, precision, model, batch, count):
        """{who: microseconds of a step, or why nobody knows}: Braid within fit, PyTorch with losses that wait."""
        rivals = self.rivals(precision, part.variants, model)
        rows, seconds = self.rows(batch), self.options.seconds
        verdicts = self.agreeing(title, precision, rivals, model, rows, count)
        turns = [("Braid", self.braid(precision), ("epochs", model, rows, count, 1, seconds))]
        turns += [(variant, rivals[variant], ("stream", model, rows, count, seconds)) for variant, why in verdicts.items() if not why]
        answers = {**verdicts, **self.alternate(turns)}
        for who, answer in answers.items():
            if isinstance(answer, str):
                print(f"{NOT_COMPARED}{title}, PyTorch {who}: {answer}", flush=True)
        return {who: value if isinstance(value, str) else run.combine(value).least for who, value in answers.items()}

    def reached(self, title, is_reached):
        self.goals.append((title, is_reached))

    def close(self):
        for setting in self.settings.values():
            for program in [setting.braid, setting.fed, setting.kernels, *setting.rivals.values()]:
                if program is not None:
                    program.close()
