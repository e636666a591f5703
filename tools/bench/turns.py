#!/usr/bin/env python3
"""What sharing one GPU costs: sample servers on the simulated GPU, whose link takes real time.

Each server needs 0.8 of the HBM that they share. Prints three tables: requests that come to three servers
in turn, and how long each waits for its first token; two servers with work at once, in turns, one after
the other, and with half of the HBM each; a latency server beside a batch one. Every digest is compared
with that of a run alone. Exit code 1 when one differs, or when a promise of docs/turns.md does not hold.

    python3 tools/bench/turns.py build/release [--json FILE]
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

LINK_GBPS = 0.5
MIB = 1 << 20
SHARED = 512 * MIB  # of 1 GiB: the rest is for what is native
# Moves are as small against it as 64 MiB are against the HBM of a real GPU.
NEED = SHARED * 8 // 10
WEIGHTS = 69 * MIB
PROFILE = f"""clock = "real"
[link]
to_device_GBps = {LINK_GBPS}
to_host_GBps = {LINK_GBPS}
both_GBps = {LINK_GBPS * 1.67}
"""


class Bench:
    def __init__(self, build, folder):
        self.build, self.folder, self.count = os.path.abspath(build), folder, 0
        with open(f"{folder}/profile.toml", "w") as file:
            file.write(PROFILE)

    def trace(self, times):
        """Requests of a few hundred tokens at these seconds."""
        self.count += 1
        path = f"{self.folder}/trace{self.count}.jsonl"
        with open(path, "w") as file:
            for i, at in enumerate(times):
                file.write(json.dumps({"timestamp": int(at * 1000), "input_length": 4096,
                                       "output_length": 256, "hash_ids": [i * 8 + k for k in range(8)]}) + "\n")
        return path

    def start(self, machine, options, share):
        """One server; `share` are the options of vHBM, None for a run without it."""
        self.count += 1
        report, summary = f"{self.folder}/report{self.count}.json", f"{self.folder}/summary{self.count}.json"
        os.makedirs(f"{self.folder}/{machine}.state", mode=0o700, exist_ok=True)
        environment = dict(os.environ, LD_LIBRARY_PATH=f"{self.build}/lib", SIMGPU_HBM="1GiB",
                           SIMGPU_PROFILE=f"{self.folder}/profile.toml",
                           SIMGPU_MACHINE=f"{self.folder}/{machine}",
                           VHBM_STATE_DIR=f"{self.folder}/{machine}.state")
        command = [f"{self.build}/bin/sample_server", "--kv-tokens", str((NEED - WEIGHTS) // 2048),
                   "--json", report] + options
        if share is not None:
            sets = [word for key, value in {"host_limit": "2GiB", "flip_size": "4MiB", **share}.items()
                    for word in ("--set", f"{key}={value}")]
            command = [f"{self.build}/bin/vhbm", "run", "--summary", summary] + sets + ["--"] + command
        with open(f"{self.folder}/log{self.count}.txt", "w") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        return process, report, summary, log.name

    def finish(self, started):
        process, report, summary, log = started
        if process.wait(timeout=600) != 0:
            sys.exit(f"turns: a server failed:\n{open(log).read()[-2000:]}")
        answer = json.load(open(report))
        if os.path.exists(summary):
            answer["vhbm"] = json.load(open(summary))
        return answer

    def together(self, *servers):
        """The reports of servers that run at once, and how long all took."""
        self.count += 1
        machine, begin = f"machine{self.count}", time.monotonic()
        started = [self.start(machine, options, share) for options, share in servers]
        return [self.finish(one) for one in started], time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", help="the folder with bin and lib")
    parser.add_argument("--json", help="write the figures to this file, too")
    arguments = parser.parse_args()
    figures, broken = {}, []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.build, folder)
        compare = lambda reports, right, what: [
            broken.append(f"{what}: a digest differs") for one in reports if one["digest"] != right["digest"]]

        print("Three servers, each 0.8 of HBM; requests in turn, 4 to each")
        period, rounds = 3, 4
        offsets = [[period * (1 + 3 * k + i) for k in range(rounds)] for i in range(3)]
        runs = [["--trace", bench.trace(times), "--replay-speed", "1"] for times in offsets]
        (alone,), _ = bench.together((runs[0], None))
        (_,), restart = bench.together((["--trace", bench.trace([0]), "--requests", "1"], None))
        reports, _ = bench.together(*[(run, {"share_gpu": "1"}) for run in runs])
        compare(reports, alone, "in turn")
        first_token = alone["ttft_ms"]["p50"]
        figures["in_turn"] = []
        print("  server  to first token: p50      worst   bytes back / (0.9 link) + 50 ms   restarted")
        for i, one in enumerate(reports):
            bound = one["vhbm"]["stats"]["woken_bytes"] / (0.9 * LINK_GBPS * 1e9) * 1e3 + 50
            print(f"  {i + 1:6}  {one['ttft_ms']['p50']:16.0f} ms {one['ttft_ms']['p99']:7.0f} ms "
                  f"{bound:26.0f} ms {restart * 1e3:15.0f} ms")
            figures["in_turn"].append({"p50_ms": one["ttft_ms"]["p50"], "worst_ms": one["ttft_ms"]["p99"],
                                       "bound_ms": bound, "restart_ms": restart * 1e3})
            if one["ttft_ms"]["p50"] > bound:
                broken.append(f"server {i + 1}: {one['ttft_ms']['p50']:.0f} ms to the first token")
        print(f"  (alone: {first_token:.0f} ms)")

        print("Two servers with work at once, 1.6 of HBM together")
        busy = ["--requests", "800"]
        (one,), single = bench.together((busy, None))
        figures["at_once"] = {"one_after_the_other_s": 2 * single}
        print(f"  one after the other       {2 * single:6.1f} s   1.00")
        for name, share in (("turns", {"share_gpu": "1", "gpu_quantum": "5s"}),
                            ("turns of 200 ms", {"share_gpu": "1", "gpu_quantum": "200ms"}),
                            ("half of HBM each", {"hbm_limit": "25%"})):
            reports, took = bench.together((busy, share), (busy, share))
            compare(reports, one, name)
            figures["at_once"][name] = {"s": took, "throughput": 2 * single / took}
            print(f"  {name:24}  {took:6.1f} s   {2 * single / took:4.2f} of the throughput")
        if figures["at_once"]["turns"]["throughput"] < 0.8:
            broken.append("turns keep less than 0.8 of the throughput")

        print("A request every 4 s, beside a server that is always busy")
        asked = ["--trace", bench.trace([4 * k + 2 for k in range(6)]), "--replay-speed", "1"]
        figures["beside"] = {}
        for name, classes in (("both batch", ("batch", "batch")), ("latency beside batch", ("latency", "batch"))):
            share = [{"share_gpu": "1", "gpu_quantum": "5s", "gpu_class": one} for one in classes]
            reports, _ = bench.together((asked, share[0]), (busy, share[1]))
            ttft = reports[0]["ttft_ms"]
            figures["beside"][name] = ttft
            print(f"  {name:24}  to first token: p50 {ttft['p50']:6.0f} ms, p99 {ttft['p99']:6.0f} ms")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(figures, file, indent=2)
    for one in broken:
        print(f"turns: {one}", file=sys.stderr)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
