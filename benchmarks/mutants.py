"""Planted faults: small changes of the program that do harm unnoticed, and which test catches each.

    python benchmarks/mutants.py --map            which test runs which line: one run of the tests, once
    python benchmarks/mutants.py                  every fault against the tests that run its lines
    python benchmarks/mutants.py --survivors      those that no test caught, against all tests
    python benchmarks/mutants.py --again          after the tests changed: every fault, first against the test that
                                                  caught it before
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
from functools import cache
from pathlib import Path

from planted_faults import FAULTS, Fault

ROOT = Path(__file__).parents[1]
MOST_TESTS = 150  # of other rooms than the fault's own
LIMIT_S = 900  # for tests without a known duration


def left_out(folder: str, names: list[str]) -> set[str]:
    """Returns what a copy of the working tree leaves out: caches anywhere, and what is made at the top."""
    made = {".git", ".venv", "runs", "site", "build", "dist"} if Path(folder) == ROOT else set()
    return {name for name in names if name in made | {"__pycache__", ".pytest_cache", ".hypothesis", ".ruff_cache"}}


def pytest(folder: Path, out: Path, *options: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs pytest in a folder. All runs share OUT/cache, which holds the drawings of OpenMoji."""
    command = [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={out / 'cache'}", "-p", "no:randomly", *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
    )  # fmt: skip


def map_tests(out: Path, tests: str, jobs: int) -> None:
    """Runs the tests. Writes OUT/coverage, which test runs which line, and OUT/durations.xml, the seconds of each."""
    report = out / "durations.xml"
    done = pytest(
        ROOT, out, "-n", str(jobs), "--dist", "loadfile", "-m", tests, "--cov=tfpix2pix", "--cov-context=test",
        "--cov-report=", f"--junitxml={report}", COVERAGE_FILE=str(out / "coverage"),
    )  # fmt: skip
    print(done.stdout[-2000:])


def durations(out: Path) -> dict[str, float]:
    """Returns the seconds of each test by its name without the file's folders: `test_unet::test_size[32]`."""
    from xml.etree import ElementTree

    cases = ElementTree.parse(out / "durations.xml").iter("testcase")
    return {f"{case.get('classname')}::{case.get('name')}": float(case.get("time")) for case in cases}


@cache
def collected(out: Path) -> set[str]:
    """Returns the names of all tests of today, which may be others than those of the map."""
    lines = pytest(ROOT, out, "--collect-only", "-o", "addopts=").stdout.splitlines()
    return {line for line in lines if "::" in line}


def tests_of(fault: Fault, out: Path) -> list[str]:
    """Returns the tests that run the fault's lines, those of its room and the quickest first.

    Lines that are run when a module is imported belong to no test: for them, the tests that run any line of the file.
    For a file that is younger than the map, all tests of its room.
    """
    from coverage import CoverageData

    data = CoverageData(str(out / "coverage"))
    data.read()
    path = next((file for file in data.measured_files() if file.endswith(f"tfpix2pix/{fault.file}")), None)
    contexts = data.contexts_by_lineno(path) if path else {}
    of_lines, of_file = (
        {context.rpartition("|")[0] for line in lines for context in contexts.get(line, ()) if context}
        for lines in (fault.lines(ROOT), contexts)
    )
    tests = (of_lines or of_file) & collected(out)
    if not tests:
        return [f"tests/{Path(fault.file).parent}"]
    seconds = durations(out)

    def key(test: str) -> tuple[bool, float]:
        """Puts the tests of the fault's own room first, because others run its lines without looking at them."""
        file, *classes, name = test.split("::")
        owner = ".".join([file.removesuffix(".py").replace("/", "."), *classes])
        own_room = Path(file).parent == Path("tests") / Path(fault.file).parent
        return not own_room, seconds.get(f"{owner}::{name}", LIMIT_S)

    ordered = sorted(tests, key=key)
    own = sum(not key(test)[0] for test in ordered)
    return ordered[: own + MOST_TESTS]


def try_out(fault: Fault, out: Path, tests: Sequence[str], options: Iterable[str] = ()) -> dict:
    """Applies a fault to a copy, runs tests there and returns which one failed first.

    A test that fails in a copy without the fault too catches nothing: it is left out, and the others go on.
    """
    began_s = time.monotonic()
    caught_by, useless = None, []
    with tempfile.TemporaryDirectory(prefix="mutant-") as temporary:
        whole, faulty = (shutil.copytree(ROOT, Path(temporary) / name, ignore=left_out) for name in ("whole", "faulty"))
        fault.apply(faulty)
        while caught_by is None:
            deselected = [f"--deselect={test}" for test in useless]
            failed = first_failed(pytest(faulty, out, "-x", *options, *deselected, *tests))
            if failed is None:
                break
            if first_failed(pytest(whole, out, failed)):
                useless.append(failed)
            else:
                caught_by = failed
    return {
        "text": fault.text, "tests": len(tests), "caught_by": caught_by, "fails_anyway": useless,
        "seconds": round(time.monotonic() - began_s),
    }  # fmt: skip


def again(fault: Fault, out: Path, test: str, marks: str) -> dict | None:
    """Tries a fault against the test that caught it before, or returns None if that test is gone or has other marks."""
    try:
        return try_out(fault, out, [test], ["-m", marks])
    except RuntimeError:
        return None


def first_failed(done: subprocess.CompletedProcess) -> str | None:
    """Returns the name of the first test that failed or could not begin. Raises RuntimeError if no test ran at all."""
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if not failed and done.returncode:
        raise RuntimeError(f"The tests did not run: {(done.stdout + done.stderr)[-2000:]}")
    return failed[0].split(" ", 1)[1].split(" - ")[0] if failed else None


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
    parser.add_argument("--by", nargs="+", default=[], metavar="TEST", help="these tests in place of the map's")
    parser.add_argument("--map", action="store_true")
    parser.add_argument("--survivors", action="store_true")
    parser.add_argument("--again", action="store_true")
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
            result = try_out(fault, options.out, ["tests"], ["-m", options.tests])
        else:
            before = results.get(fault.name, {}).get("caught_by")
            result = again(fault, options.out, before, options.tests) if before else None
            if not result or not result["caught_by"]:
                chosen = (options.by, ["-m", options.tests]) if options.by else (tests_of(fault, options.out),)
                result = try_out(fault, options.out, *chosen)
        results[fault.name] = result
        file.write_text(json.dumps(results, indent=1))
        print(f"{fault.name}: {result['caught_by'] or 'NOT CAUGHT'} ({result.get('seconds', 0)} s)", flush=True)

    if not options.table:
        left = [
            fault for fault in FAULTS
            if (fault.name in options.only if options.only else options.again or fault.name not in results)
            or (options.survivors and not results[fault.name]["caught_by"])
        ]  # fmt: skip
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(run, left))
    print("\n".join(rows(results)))


if __name__ == "__main__":
    main()
