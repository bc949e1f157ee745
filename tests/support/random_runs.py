"""Random configurations: each trains with finite numbers, or is refused in a line whose remedies work.

python -m tests.support.random_runs --seed 0 --count 500
python -m tests.support.random_runs --seed 0 --only 37
"""

import argparse
import csv
import json
import math
import os
import re
import shlex
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from pathlib import Path
from random import Random

from tests.support.commands import Done, fork
from tests.support.random_data import Kind, in_files, synthetic
from tests.support.random_options import Combination, composer, draw
from tests.support.random_remedies import Complaint, Remedy, kind_of, remedies, static_complaint
from vae_cli.config.compose import Composer, session

MOST_REMEDIES = 20
AGAIN = 10
"""One in so many runs is evaluated again, and one is sampled from."""
NULL = ("evaluate/", "git/", "project/", "version/")
"""Keys of results.json in which null is a setting or says that there is no repository."""
DIVERGED = re.compile("the loss became|the parameters were no longer finite")
OVERFLOWED = "not finite"
"""In the warning of a run whose validation or test data have numbers that float32 cannot hold."""
TORCH = re.compile(r"[IW]\d{4} \d\d:\d\d")
"""Lines of torch's own log while it compiles."""


@dataclass(frozen=True)
class Ending:
    """How a combination ended: its kind, and where it is a finding, what is wrong, with the command lines."""

    kind: str
    remedies: int
    problem: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Way:
    """A remedy, the combination after it, and what the check of the configuration says to that."""

    remedy: Remedy
    combination: Combination
    after: Complaint | None


@dataclass(frozen=True)
class Trial:
    """One combination in a folder of its own."""

    folder: Path
    kinds: dict[str, Kind]
    composer: Composer

    def end(self, combination: Combination, random: Random) -> Ending:
        """Run it, and where it is refused follow remedies until it trains."""
        lines: list[str] = []
        touched: set[str] = set()
        last: Complaint | None = None
        for step in range(MOST_REMEDIES + 1):
            complaint = static_complaint(combination, self.composer)
            if complaint is None or step == 0:  # later refusals of the check are known without a process
                line = [*combination.line(), "hydra.run.dir=run"]
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder.mkdir(parents=True)
                done = fork("vae-train", *line, folder=self.folder)
                lines.append(f"vae-train {shlex.join(line)}\n    exit {done.code}: {done.err.strip()[-900:]}")
                if done.code == 0 and OVERFLOWED in done.err:
                    return Ending("diverged", step, "numbers that are not finite, with a warning", tuple(lines))
                if problem := fault(done, self.folder):
                    return Ending("finding", step, problem, tuple(lines))
                if done.code == 0:
                    problem = self.again(combination)
                    return Ending("finding" if problem else "trained", step, problem or "", tuple(lines))
                message = done.err.strip().splitlines()[-1].removeprefix("vae-train: error: ")
                complaint = replace(complaint or Complaint(kind_of(message), message), message=message)
            if last and last.rule == complaint.rule:
                kind = "diverged" if DIVERGED.match(complaint.message) else "finding"
                return Ending(kind, step, "the remedy leaves the complaint", (*lines, complaint.message))
            ways: list[Way] = []
            for way in self.ways(complaint, combination, random):
                lines.append(f"    {way.remedy}" + (f" -> {way.after.message}" if way.after else ""))
                if way.after and way.after.rule == complaint.rule:
                    return Ending("finding", step, f"the remedy {way.remedy} leaves the complaint", tuple(lines))
                ways.append(way)
            if not ways:
                kind = "diverged" if DIVERGED.match(complaint.message) else "no remedy"
                return Ending(kind, step, "names no remedy that a program understands", tuple(lines))
            forward = [way for way in ways if not way.remedy.touched() & touched]  # a user takes no step back
            passing = [way for way in forward if way.after is None]
            way = random.choice(passing or forward or ways)
            lines.append(f"    taken: {way.remedy}")
            touched |= way.remedy.touched()
            last, combination = complaint, way.combination
        return Ending("unsettled", MOST_REMEDIES, "refused after so many remedies", tuple(lines))

    def again(self, combination: Combination) -> str | None:
        """A fault of vae-eval's numbers or of vae-sample on this run; None if there is none."""
        if combination.seed % AGAIN == 1:
            done = fork("vae-sample", "run=run", "n=3", folder=self.folder)
            return f"vae-sample: {done.err[-500:]}" if done.code else None
        if combination.seed % AGAIN:
            return None
        kept = ("evaluate.", "trainer.precision", "trainer.limit_batches")
        values = {key: value for key, value in combination.values.items() if key.startswith(kept)}
        groups = {group: option for group, option in combination.groups.items() if group == "evaluate"}
        line = ["run=run", "trainer.accelerator=cpu", *Combination(groups, values).line()]
        done = fork("vae-eval", *dict.fromkeys(line), folder=self.folder)
        if done.code:
            return f"vae-eval: {shlex.join(line)}: {done.err[-500:]}"
        first = json.loads((self.folder / "run" / "results.json").read_text(encoding="utf-8"))
        second = json.loads(next((self.folder / "run" / "evaluations").glob("*.json")).read_text(encoding="utf-8"))
        split = second["evaluate/split"]
        for name, value in second.items():
            if split != "test" and name.startswith(f"{split}/"):
                name = f"{split}_split/{name.partition('/')[2]}"  # beside the number that chose the checkpoint
            number = isinstance(value, float) and name in first and name != "wall_seconds"
            if number and not math.isclose(value, first[name], rel_tol=1e-4, abs_tol=1e-6):
                return f"vae-eval: {name} is {value}, after training it was {first[name]}: {shlex.join(line)}"
        return None

    def ways(self, complaint: Complaint, combination: Combination, random: Random) -> Iterator[Way]:
        """Each remedy that the complaint names, where it leads, and what is refused there."""
        for remedy in remedies(complaint.message, self.composer, self.kinds, combination.values):
            cured = remedy.applied(combination, random, self.kinds, self.composer)
            if cured is not None:
                yield Way(remedy, cured, static_complaint(cured, self.composer))


def fault(done: Done, folder: Path) -> str | None:
    """A fault in the way a run ended; None if there is none."""
    said = [line for line in done.err.splitlines() if not line.startswith("warning: ") and not TORCH.match(line)]
    if done.code not in (0, 1, 2):
        return "hangs" if done.code is None else f"exit code {done.code}"
    if "Traceback" in done.out + done.err or "traceback in" in done.err:
        return "a traceback"
    if len(said) != bool(done.code) or any(not line.startswith("vae-train: error: ") for line in said):
        return f"{len(said)} lines on stderr"
    if done.code == 2 and list(folder.iterdir()):
        return "refused, and something was written"
    return next(missing(folder / "run"), None) if done.code == 0 else None


def missing(run: Path) -> Iterator[str]:
    """Faults of a finished run: its status, numbers that are not finite, sums that do not add up."""
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    if results.get("status") != "done":
        yield f"status {results.get('status')}"
    for name, value in results.items():
        prefix = name.split("/")[0]
        split = results["evaluate/split"] if prefix == "exact" else prefix
        alone = 1 in (results.get(f"{split}/examples"), results.get(f"{split}/images"))
        if alone and name.endswith("_se"):
            continue  # one example has no standard error
        if not name.startswith(NULL) and (value is None or (isinstance(value, list) and None in value)):
            yield f"{name} is null"
    for prefix in ("train", "val", "test"):
        elbo, distortion, rate = (results.get(f"{prefix}/{name}") for name in ("elbo", "distortion", "rate"))
        if None not in (elbo, distortion, rate):
            total = -(distortion + rate)
            if not math.isclose(elbo, total, rel_tol=1e-4, abs_tol=1e-3 * (1 + abs(distortion) + abs(rate))):
                yield f"{prefix}/elbo is {elbo}, minus distortion and rate {total}"
    if (run / "metrics.csv").is_file():
        for row in csv.DictReader((run / "metrics.csv").read_text(encoding="utf-8").splitlines()):
            for name, value in row.items():
                if value and not math.isfinite(float(value)):
                    yield f"{name} is {value} in metrics.csv"


def endings(seed: int, numbers: range, work: Path) -> Iterator[tuple[int, Ending, float]]:
    """Each number with how its combination ended and the seconds that took."""
    (work / "data").mkdir(parents=True, exist_ok=True)
    kinds = synthetic() | in_files(work / "data")
    with session():
        for number in numbers:
            began = time.perf_counter()
            combination = draw(seed, number, kinds, composer())
            trial = Trial(work / f"{number}", kinds, composer())
            ending = trial.end(combination, Random(f"{seed}/{number}/remedies"))
            if ending.kind == "trained":
                shutil.rmtree(trial.folder)
            yield number, ending, time.perf_counter() - began


def forked_seconds() -> float:
    """Seconds of a core that commands in forks have taken so far."""
    server = forkserver._forkserver._forkserver_pid  # pyright: ignore[reportAttributeAccessIssue]
    if server is None:
        return 0.0
    fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--only", type=int)
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    numbers = range(args.start, args.start + args.count) if args.only is None else range(args.only, args.only + 1)
    work = (args.work or Path(tempfile.mkdtemp(prefix="random_runs_"))).absolute()
    work.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    began = time.process_time() + forked_seconds()
    spent: list[float] = []
    for number, ending, seconds in endings(args.seed, numbers, work):
        counts[ending.kind] += 1
        counts["trained after remedies"] += ending.kind == "trained" and ending.remedies > 0
        counts["remedies followed"] += ending.remedies
        spent.append(seconds)
        if ending.kind != "trained" or args.only is not None:
            print(
                f"\n{number}: {ending.kind}: {ending.problem} ({seconds:.1f} s)", *ending.lines, sep="\n  ", flush=True
            )
    cores = time.process_time() + forked_seconds() - began
    print(f"\nseed {args.seed}, {len(spent)} combinations from {numbers.start}, work in {work}")
    print(f"{sum(spent) / len(spent):.2f} s each, {cores / len(spent):.2f} of them on a core")
    for kind, count in counts.most_common():
        print(f"  {kind}: {count}")


if __name__ == "__main__":
    main()
