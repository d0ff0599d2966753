"""Planted faults: small changes of the program that do harm unnoticed, and which test catches each.

    python benchmarks/mutants.py --map            which test runs which line: one run of the tests, once
    python benchmarks/mutants.py                  every fault against the tests that run its lines
    python benchmarks/mutants.py --survivors      those that no test caught, against all tests
    python benchmarks/mutants.py --table          the results as Markdown, without running anything

Each fault is applied to a copy of the working tree, and the tests stop at the first that fails. Results are kept in
OUT/results.json, and a fault that has one is not run again while its text is the same. `--tests "not slow"` and
`--tests slow` choose the tests by their marks, as `make test` and `make test-all` do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from planted_faults import FAULTS, Fault

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "runs", "__pycache__", ".pytest_cache", ".hypothesis", "site")
MOST_TESTS = 150  # of a fault: the quickest first
LIMIT_S = 900  # for tests without a known duration


def pytest(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
    )  # fmt: skip


def map_tests(out: Path, tests: str, jobs: int) -> None:
    """Runs the tests. Writes OUT/coverage, which test runs which line, and OUT/durations.xml, the seconds of each."""
    report = out / "durations.xml"
    done = pytest(
        ROOT, "-n", str(jobs), "--dist", "loadfile", "-m", tests, "--cov=tfpix2pix", "--cov-context=test",
        "--cov-report=", f"--junitxml={report}", COVERAGE_FILE=str(out / "coverage"),
    )  # fmt: skip
    print(done.stdout[-2000:])


def durations(out: Path) -> dict[str, float]:
    """Returns the seconds of each test by its name without the file's folders: `test_unet::test_size[32]`."""
    from xml.etree import ElementTree

    cases = ElementTree.parse(out / "durations.xml").iter("testcase")
    return {f"{case.get('classname')}::{case.get('name')}": float(case.get("time")) for case in cases}


def tests_of(fault: Fault, out: Path) -> list[str]:
    """Returns the tests that run the fault's lines, the quickest first."""
    from coverage import CoverageData

    data = CoverageData(str(out / "coverage"))
    data.read()
    path = next((file for file in data.measured_files() if file.endswith(f"tfpix2pix/{fault.file}")), None)
    contexts = data.contexts_by_lineno(path) if path else {}
    tests = {context.partition("|")[0] for line in fault.lines(ROOT) for context in contexts.get(line, ()) if context}
    seconds = durations(out)

    def key(test: str) -> float:
        file, *classes, name = test.split("::")
        owner = ".".join([file.removesuffix(".py").replace("/", "."), *classes])
        return seconds.get(f"{owner}::{name}", LIMIT_S)

    return sorted(tests, key=key)[:MOST_TESTS]


def try_out(fault: Fault, tests: Sequence[str], options: Iterable[str] = ()) -> dict:
    """Applies a fault to a copy, runs tests there and returns which one failed first."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as temporary:
        copy = shutil.copytree(ROOT, Path(temporary) / "tree", ignore=LEFT_OUT)
        fault.apply(copy)
        done = pytest(copy, "-x", *options, *tests)
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return {
        "text": fault.text, "tests": len(tests), "caught_by": failed[0] if failed else None,
        "seconds": round(time.monotonic() - began_s), "code": done.returncode,
    }  # fmt: skip


def rows(results: dict[str, dict]) -> Iterator[str]:
    yield "| fault | where | caught by |"
    yield "|---|---|---|"
    for fault in FAULTS:
        result = results.get(fault.name, {})
        caught = f"`{result['caught_by']}`" if result.get("caught_by") else "**nothing**" if result else "not run"
        yield f"| {fault.name} | `{fault.file}` | {caught} |"
    caught = sum(bool(results.get(fault.name, {}).get("caught_by")) for fault in FAULTS)
    yield f"\n{caught} of {len(FAULTS)} faults are caught."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "mutants")
    parser.add_argument("--tests", default="not slow", help="pytest marks")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=[], metavar="FAULT")
    parser.add_argument("--map", action="store_true")
    parser.add_argument("--survivors", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.map:
        return map_tests(options.out, options.tests, options.jobs)
    file = options.out / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    texts = {fault.name: fault.text for fault in FAULTS}
    results = {name: result for name, result in results.items() if result["text"] == texts.get(name)}

    def run(fault: Fault) -> None:
        if options.survivors:
            result = try_out(fault, ["tests"], ["-m", options.tests])
        else:
            tests = tests_of(fault, options.out)
            result = try_out(fault, tests) if tests else {"text": fault.text, "tests": 0, "caught_by": None}
        results[fault.name] = result
        file.write_text(json.dumps(results, indent=1))
        print(f"{fault.name}: {result['caught_by'] or 'NOT CAUGHT'} ({result.get('seconds', 0)} s)", flush=True)

    if not options.table:
        left = [
            fault for fault in FAULTS
            if (fault.name in options.only if options.only else fault.name not in results)
            or (options.survivors and not results[fault.name]["caught_by"])
        ]  # fmt: skip
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(run, left))
    print("\n".join(rows(results)))


if __name__ == "__main__":
    main()
