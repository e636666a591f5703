#!/usr/bin/env python3
"""How near to the hardware's limit weights are read that HBM does not hold.

A model reads its layers in a cycle, on the simulated GPU, whose HBM and link take real time. For each
size of the weights and each way of launching, a row: the policies of vHBM, beside all weights read in
place from host memory, and each layer copied in just before it is read. The best possible is the larger
of what the kernels take with all weights in HBM, measured, and the bytes that HBM does not hold over the
link. Then a pipeline of three phases, each 0.7 of HBM; then options that are set as badly as they can be, which
the thrash guard is for. Exit code 1 when a sum differs, or when a promise of docs/policies.md does not hold.

    python3 tools/bench/layers.py build/release [--table cycle|phases|badly-set] [--json FILE]
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

MIB = 1 << 20
HBM, LAYER = 256, 16  # MiB
NATIVE = 4  # of the HBM: contexts, code and small allocations
# The simulation's own work is none of the GPU's: it looks at a word a page only.
CHEAP = ["--stride", "4096", "--blocks", "1"]
PROMISE = 1.15
# Every move at once, at any price.
BADLY_SET = {"stall_limit": "100%", "flip_size": "100%", "pager_interval": "1ms", "quiesce_deadline": "1s"}
GUARDED = 0.9  # of the speed with all in place
FOUND_AWAY = 0.1  # of what a phase reads, after the first round
PROFILE = """clock = "real"
[hbm]
bandwidth_GBps = {hbm}
[link]
to_device_GBps = {link}
to_host_GBps = {link}
both_GBps = {both}
"""
POLICIES = ["next_use", "lru"]


class Bench:
    def __init__(self, build, folder):
        self.build, self.folder = os.path.abspath(build), folder
        self.environment = dict(os.environ, LD_LIBRARY_PATH=f"{self.build}/lib", SIMGPU_HBM="4GiB",
                                SIMGPU_PROFILE=f"{folder}/profile.toml", VHBM_STATE_DIR=f"{folder}/state")
        os.mkdir(f"{folder}/state", 0o700)

    def set_rates(self, hbm, link):
        with open(f"{self.folder}/profile.toml", "w") as file:
            file.write(PROFILE.format(hbm=hbm, link=link, both=link * 1.67))

    def run(self, arguments, policy=None, **options):
        """What the program printed, and vHBM's statistics when it ran under a policy."""
        command, summary = [f"{self.build}/bin/layers", "--layer-mib", str(LAYER)] + CHEAP + arguments, None
        if policy is not None:
            summary = f"{self.folder}/summary.json"
            sets = {"log": "error", "flip_size": "4MiB", "policy": policy, **options}
            words = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
            command = [f"{self.build}/bin/vhbm", "run", "--summary", summary, "--hbm-limit", f"{HBM + NATIVE}MiB",
                       "--host-limit", "2GiB"] + words + ["--"] + command
        done = subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=600)
        if done.returncode != 0:
            sys.exit(f"layers: {' '.join(command)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        stats = json.load(open(summary))["stats"] if summary else {}
        return json.loads(done.stdout.splitlines()[-1]), stats


def steady(report):
    """Of one phase: the median pass, once it had time to settle."""
    passes = [each for phases in report["seconds"] for each in phases[0]]
    return statistics.median(passes[len(passes) // 2:])


def cycle(bench, figures, broken):
    # (times HBM, GB/s of HBM, GB/s of the link): bound by the link, and about balanced.
    for factor, hbm, link in [(1.5, 16, 2), (3, 16, 2), (1.5, 4, 2)]:
        layers = int(HBM * factor) // LAYER
        bench.set_rates(hbm, link)
        arguments = ["--layers", str(layers)]
        native, _ = bench.run(arguments + ["--rounds", "60"])
        compute = steady(native)
        over_link = (layers * LAYER - HBM) * MIB / (link * 1e9)
        best = max(compute, over_link)
        print(f"Weights of {factor:g} x HBM, HBM {hbm:g} GB/s, link {link:g} GB/s: all in HBM {compute * 1e3:.0f} ms,"
              f" what HBM does not hold over the link {over_link * 1e3:.0f} ms")
        print("  launched      " + "".join(f"{name:>12}" for name in POLICIES + ["all in place", "on demand"])
              + "    x the best possible")
        for graphs in ["none", "layer", "step"]:
            row = {}
            for policy in POLICIES:
                report, stats = bench.run(arguments + ["--graphs", graphs, "--rounds", "60"], policy)
                if report["sum"] != native["sum"]:
                    broken.append(f"{factor} x, graphs {graphs}, {policy}: the sum differs")
                row[policy] = {"x_best": steady(report) / best, "flips": stats["flips"],
                               "uses_seen": stats["uses_seen"], "uses_foreseen": stats["uses_foreseen"]}
            host, _ = bench.run(arguments + ["--graphs", graphs, "--weights", "host", "--rounds", "10"])
            row["all in place"] = {"x_best": steady(host) / best}
            if graphs == "none":
                demand, _ = bench.run(arguments + ["--rounds", "10", "--weights", "on-demand", "--buffers", str(HBM // LAYER)])
                row["on demand"] = {"x_best": steady(demand) / best}
            figures.append({"table": "cycle", "factor": factor, "hbm_GBps": hbm, "link_GBps": link,
                            "graphs": graphs, "best_ms": best * 1e3, "rows": row})
            kind = {"none": "eager", "layer": "graph a layer", "step": "one graph"}[graphs]
            print(f"  {kind:14}" + "".join(f"{row[name]['x_best']:12.2f}" if name in row else f"{'':12}"
                                           for name in POLICIES + ["all in place", "on demand"]), flush=True)
            if row["next_use"]["x_best"] > PROMISE:
                broken.append(f"{factor} x HBM at {hbm} GB/s, {kind}: next_use takes {row['next_use']['x_best']:.2f}"
                              f" of the best possible")


def phases(bench, figures, broken):
    # (GB/s of HBM, GB/s of the link, passes of a phase): half a second each, with all in HBM.
    for hbm, link, repeats in [(4, 2, 12), (16, 2, 48)]:
        layers = int(HBM * 0.7) // LAYER
        bench.set_rates(hbm, link)
        arguments = ["--layers", str(layers), "--phases", ",".join([str(repeats)] * 3)]
        native, _ = bench.run(arguments + ["--rounds", "4"])
        alone = statistics.median(each for phase in native["seconds"][1] for each in phase)
        print(f"Three phases, each 0.7 of HBM and repeated {repeats} times in a round; HBM {hbm} GB/s, link {link} GB/s; "
              f"a pass with all in HBM: {alone * 1e3:.0f} ms")
        print("                      passes of a phase after the first round, median"
              "            a phase, as of the second round")
        print("  policy, stall_limit   first  second   third    last    mean   read in place    moved    stall")
        for policy, limit in [("next_use", "30%"), ("next_use", "10%"), ("lru", "10%")]:
            _, before = bench.run(arguments + ["--rounds", "1"], policy, stall_limit=limit)
            report, stats = bench.run(arguments + ["--rounds", "4"], policy, stall_limit=limit)
            if report["sum"] != native["sum"]:
                broken.append(f"phases, {policy}: the sum differs")
            nth = [statistics.median(phase[i] for round_ in report["seconds"][1:] for phase in round_) / alone
                   for i in range(repeats)]
            phase = {key: (stats[key] - before[key]) / 9
                     for key in ["named_in_place_bytes", "promoted_bytes", "stall_ns"]}
            in_place = phase["named_in_place_bytes"] / (layers * LAYER * MIB * repeats)
            figures.append({"table": "phases", "hbm_GBps": hbm, "link_GBps": link, "policy": policy,
                            "stall_limit": limit, "x_resident": nth, "phase": phase, "in_place": in_place,
                            "stats": stats})
            print(f"  {policy + ' ' + limit:20}" + "".join(f"{nth[i]:8.2f}" for i in (0, 1, 2, -1))
                  + f"{statistics.mean(nth):8.2f}{100 * in_place:13.1f} %"
                  f"{phase['promoted_bytes'] / MIB:9.0f} MiB {phase['stall_ns'] / 1e6:5.0f} ms", flush=True)
            if limit == "30%" and in_place > FOUND_AWAY:
                broken.append(f"phases at {hbm} GB/s, {policy}, stall_limit {limit}: {100 * in_place:.1f} % of a phase's"
                              f" weights were read in place")


def badly_set(bench, figures, broken):
    layers, rounds = HBM * 3 // LAYER, 60
    bench.set_rates(16, 2)
    arguments = ["--layers", str(layers), "--rounds", str(rounds), "--wait"]
    host, _ = bench.run(arguments + ["--weights", "host"])
    in_place = sum(each for phases in host["seconds"] for each in phases[0])
    print(f"Weights of 3 x HBM, {rounds} passes, options set as badly as they can be:\n "
          + "".join(f" {key}={value}" for key, value in BADLY_SET.items()))
    for policy in POLICIES:
        report, stats = bench.run(arguments, policy, **BADLY_SET)
        if report["sum"] != host["sum"]:
            broken.append(f"badly set, {policy}: the sum differs")
        speed = in_place / sum(each for phases in report["seconds"] for each in phases[0])
        figures.append({"table": "badly set", "policy": policy, "x_all_in_place": speed, "stats": stats})
        print(f"  {policy:10} {speed:5.2f} of the speed with all in place; {stats['flips']} flips,"
              f" {stats['moved_in_vain_bytes'] / MIB:.0f} MiB moved in vain, thrash guard"
              f" {stats['thrash_guard_verdicts']} times", flush=True)
        if speed < GUARDED:
            broken.append(f"badly set, {policy}: {speed:.2f} of the speed with all in place")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", help="a build folder, such as build/release")
    parser.add_argument("--table", choices=["cycle", "phases", "badly-set"], help="only this one")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    figures, broken = [], []
    with tempfile.TemporaryDirectory(prefix="vhbm-layers-") as folder:
        bench = Bench(arguments.build, folder)
        for table in [cycle, phases, badly_set]:
            if arguments.table in (None, table.__name__.replace("_", "-")):
                table(bench, figures, broken)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(figures, file, indent=1)
    for line in broken:
        print(f"layers: {line}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
