"""The table of bench/run.py as text and as markdown, and a chart."""

import time as clock

# How lines begin that bench/gpu_check.py looks for.
NOT_COMPARED = "not compared: "
ALONE = "no rival computes what Braid does: "
BRAID_FAILED = "Braid failed: "


def short(number):
    """Four figures at most, with k or M where there are many."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= limit:
            number /= {"G": 1e9, "M": 1e6, "k": 1e3}[unit]
            return f"{number:.3g} {unit}"
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def microseconds(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def times(value):
    return f"{value:.0f}x" if value >= 100 else f"{value:.3g}x"


def against(value, goal):
    return times(value) + (f" of {goal:g}x" if goal else "")


def ours_of(row, rival=""):
    """The time that rivals are held against: on a GPU, where losses may wait, that within fit; many steps a call against as many."""
    if row.many and rival.endswith(" many"):
        return row.many
    return row.fit if row.fit and row.case.device != "cpu" else row.braid


def measured(row):
    return {name: result for name, result in row.rivals.items() if not isinstance(result, str)}


def fastest(row):
    return min(measured(row).values(), key=lambda result: result.least, default=None)


def cells(row, rivals, medians=False):
    pick = (lambda result: result.median) if medians else (lambda result: result.least)
    case, ours = row.case, pick(ours_of(row))
    within = " / ".join(microseconds(pick(time)) for time in (row.fit, row.many) if time)
    facts = row.facts
    line = [
        case.title,
        microseconds(pick(row.braid)),
        within or "-",
        short(max(case.batch, 1) * 1e6 / ours),
        str(facts.get("op_calls", "-")),
        short(facts["arena_bytes"]) if "arena_bytes" in facts else "-",
        str(facts["heap"]) + ("+" if facts.get("heap_grows") else ""),
        f"{100 * row.floor['floor_us'] / ours:.0f} %" if row.floor["floor_us"] is not None else "-",
    ]
    for rival in rivals:
        result = row.rivals.get(rival.name, "")
        if isinstance(result, str):
            line.append("-")
        else:
            ratio = pick(result) / pick(ours_of(row, rival.name))
            line.append(f"{microseconds(pick(result))}  {against(ratio, row.goals.get(rival.name))}")
    best = min((pick(result) for result in measured(row).values()), default=None)
    line.append(against(best / ours, row.goals.get("")) if best else "-")
    return line


def sentence(row):
    """One row, as soon as it is measured: medians, and how far those of the repeats lie apart."""
    told = lambda time, ratio="": f"{microseconds(time.median)} us ({ratio}+-{50 * time.spread:.0f} %)"
    ours = ours_of(row)
    parts = [f"a step {told(row.braid)}"] + ([f"within fit {told(row.fit)}"] if row.fit else [])
    parts += [f"many a launch {told(row.many)}"] if row.many else []
    for name, time in measured(row).items():
        ratio = against(time.median / ours_of(row, name).median, row.goals.get(name))
        parts.append(f"{name} {told(time, ratio + ', ')}" + (f" {row.remarks[name]}" if name in row.remarks else ""))
    if row.limit:
        parts.append(f"goal {microseconds(row.limit)} us {'reached' if ours.median <= row.limit else 'missed'}")
    floor = row.floor.get("floor_us")
    if floor is not None:
        parts.append(f"floor {microseconds(floor)} us, {100 * floor / ours.median:.0f} % of the time")
    parts += [f"clock {row.clock}"] if row.clock else []
    slow = [f"{name} {seconds:.0f} s" for name, seconds in row.prepared.items() if seconds >= 1]
    parts += [f"ready after: {', '.join(slow)}"] if slow else []
    return f"{row.case.title}: " + ", ".join(parts)


def left_alone(row, rivals):
    """The rivals that fell out of a row, and whether Braid is who may be wrong."""
    fallen = [rival.name for rival in rivals if not rival.missing and isinstance(row.rivals.get(rival.name), str)]
    lines = [f"{NOT_COMPARED}{row.case.title}, {name}: {row.rivals[name]}" for name in fallen]
    return lines + ([ALONE + row.case.title] if row.alone else [])


def titles(rivals):
    return ["", "us a step", "fit us", "samples/s", "op calls", "arena", "heap", "of floor"] + [
        f"{rival.name} us" for rival in rivals
    ] + ["fastest rival"]


def aligned(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths)))
        for line in lines
    )


def heading(braid, rivals, cores, load, library):
    lines = [f"Braid ({braid.detail}) on {cores} cores, load {load:.1f}; in the table least of all repeats"]
    lines += ([library] if library else []) + [rival.told for rival in rivals]
    return "\n".join(lines) + "\n"


def table(rows, rivals):
    return aligned([titles(rivals)] + [cells(row, rivals) for row in rows])


def remarks(rows):
    """Goals that were missed, and how fast the machine is."""
    out = [""]
    goals = []  # (what, whether it was reached)
    for row in rows:
        for name in row.goals:
            if measured(row) and (not name or name in measured(row)):
                rival = measured(row)[name] if name else fastest(row)
                reached = rival.median / ours_of(row, name).median >= row.goals[name]
                goals.append((f"{row.case.title} against {name or 'the fastest'}", reached))
        if row.limit:
            goals.append((f"{row.case.title} {microseconds(row.limit)} us", ours_of(row).median <= row.limit))
    missed = [what for what, reached in goals if not reached]
    if goals:
        out.append(f"goals that could be looked at: {len(goals) - len(missed)} of {len(goals)} reached, by medians" +
                   (f"; not {', '.join(missed)}" if missed else ""))
    for what, kind in (("losses of 200 steps, in the mean,", True), ("predictions", False)):
        deviations = [row.deviation for row in rows if measured(row) and bool(row.case.batch) == kind]
        if deviations:
            out.append(f"{what} are the same within {max(deviations):.1e}")
    rate = max((row.floor["operations_per_second"] for row in rows), default=0)
    peak = f"peak {rate / 1e9:.0f} GFLOP/s" if rate > 0 else "no floor: the rate of such operations is not known here"
    out.append(f"{peak}; heap: calls of operator new in a warm step; of floor: see bench/README.md")
    return out


def markdown(rows, rivals, braid):
    def block(medians):
        lines = [titles(rivals)] + [cells(row, rivals, medians) for row in rows]
        texts = ["| " + " | ".join(line) + " |" for line in lines]
        return "\n".join([texts[0], "|---" * len(lines[0]) + "|"] + texts[1:])

    about = [f"- Braid: {braid.detail}"] + [f"- {rival.told}" for rival in rivals]
    return "\n".join(
        ["# Training steps and predictions", "", f"Measured {clock.strftime('%Y-%m-%d')} by `make bench`.", ""]
        + about
        + ["", "Least of all repeats:", "", block(False), "", "Medians:", "", block(True), "", "![chart](steps.svg)", ""]
    )


COLOURS = {"Braid": "#1b6ca8", "JAX": "#b8b8b8", "PyTorch": "#cfa36b", "Keras": "#c98a8a"}


def chart(rows):
    """Bars of one row of the table share a scale: the slowest fills the width."""
    left, width, bar, gap = 110, 560, 14, 22
    parts, y = [], 34
    names = ["Braid"] + [name for name in COLOURS if any(name in measured(row) for row in rows)]
    for number, name in enumerate(names):
        parts.append(f'<rect x="{left + 110 * number}" y="8" width="12" height="12" fill="{COLOURS[name]}"/>')
        parts.append(f'<text x="{left + 18 + 110 * number}" y="18">{name}</text>')
    for row in rows:
        bars = {"Braid": row.braid, **measured(row)}
        slowest = max(result.least for result in bars.values())
        parts.append(f'<text x="{left - 10}" y="{y + bar}" text-anchor="end">{row.case.title}</text>')
        for name in COLOURS:
            if name not in bars:
                continue
            length = max(1, width * bars[name].least / slowest)
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" fill="{COLOURS[name]}"/>')
            label = microseconds(bars[name].least) + " us"
            parts.append(f'<text x="{left + length + 5:.1f}" y="{y + bar - 4}" font-size="11">{label}</text>')
            y += bar
        y += gap - bar
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{y + 10}" '
        f'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>'
        + "".join(parts)
        + "</svg>\n"
    )


def write(folder, rows, rivals, braid):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "steps.md").write_text(markdown(rows, rivals, braid))
    (folder / "steps.svg").write_text(chart(rows))
    return f"written: {folder / 'steps.md'}, {folder / 'steps.svg'}"
