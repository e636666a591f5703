#!/usr/bin/env python3
"""What preloading libvhbm.so costs a program that uses no GPU.

Runs each program with and without it, in turn, and prints the median of the pairs' differences:
of the time until the program has ended, with how far that median is to be trusted, and of the
processor time it took. The first shall be less than 2 ms; the second says how much of it was not
merely a busy machine's waiting. Exit code 1 when 2 ms or more were added beyond doubt.

    python3 tools/bench/preload_cost.py build/release/lib/libvhbm.so [--runs 300]
"""
import argparse
import os
import statistics
import sys
import time

PROGRAMS = (["/bin/true"], ["bash", "-c", ":"], ["python3", "-c", "pass"])
ALLOWED_MS = 2.0


def run(program, environment):
    """Seconds until the program ended, and seconds of processor time."""
    begin = time.perf_counter()
    process = os.posix_spawnp(program[0], program, environment)
    _, status, usage = os.wait4(process, 0)
    elapsed = time.perf_counter() - begin
    if status != 0:
        sys.exit(f"{' '.join(program)} ended with status {status}")
    return elapsed, usage.ru_utime + usage.ru_stime


def doubt(differences):
    """Half the width of the interval in which the median lies, 19 times of 20."""
    quartiles = statistics.quantiles(differences, n=4)
    return 1.57 * (quartiles[2] - quartiles[0]) / len(differences) ** 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", help="libvhbm.so")
    parser.add_argument("--runs", type=int, default=300, help="pairs of runs a program (300)")
    arguments = parser.parse_args()
    if not os.path.isfile(arguments.library):
        sys.exit(f"{arguments.library} is not there: build the target vhbm_library first")
    native = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    guest = {**native, "LD_PRELOAD": os.path.abspath(arguments.library)}
    too_slow = False
    print(f"{'program':<20}{'native ms':>10}{'added ms':>10}{'+-':>7}{'added cpu ms':>14}")
    for program in PROGRAMS:
        pairs = []
        for i in range(arguments.runs):
            # Who goes first alternates, since the second finds warmer caches.
            order = (native, guest) if i % 2 == 0 else (guest, native)
            results = [run(program, environment) for environment in order]
            pairs.append(results if i % 2 == 0 else results[::-1])
        differences = [(b[0] - a[0]) * 1e3 for a, b in pairs]
        added, uncertain = statistics.median(differences), doubt(differences)
        added_cpu = statistics.median(b[1] - a[1] for a, b in pairs) * 1e3
        alone = statistics.median(a[0] for a, _ in pairs) * 1e3
        print(f"{' '.join(program):<20}{alone:>10.2f}{added:>10.2f}{uncertain:>7.2f}{added_cpu:>14.2f}")
        too_slow = too_slow or added - uncertain >= ALLOWED_MS
    return 1 if too_slow else 0


if __name__ == "__main__":
    sys.exit(main())
