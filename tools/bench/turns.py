#!/usr/bin/env python3
"""What sharing one GPU costs: sample servers on the simulated GPU, whose link takes real time.

Each server needs 0.8 of the HBM that they share. Prints three tables: requests that come to three servers
in turn, and how long each waits for its first token; two servers with work at once, in turns, one after
the other, and with half of the HBM each; a latency server beside a batch one. Every digest is compared
with that of a run alone. Exit code 1 when one differs, or when a promise of docs/turns.md does not hold.

    python3 tools/bench/turns.py build/release [--table in-turn|at-once|beside] [--json FILE]
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20
SHARED = 512 * MIB  # of 1 GiB: the rest is for what is native
# Moves are as small against it as 64 MiB are against the HBM of a real GPU.
NEED = SHARED * 8 // 10
WEIGHTS = 69 * MIB
# An H200's link, as much slower as its 141 GB of HBM are larger: 50 GB/s by one copy engine (vLLM blog,
# 2026-01-08, on an H100).
H200_LINK = 50 * SHARED / 141e9
PROFILE = """clock = "real"
scale = {scale}
[link]
to_device_GBps = {one_way}
to_host_GBps = {one_way}
both_GBps = {both_ways}
"""


class Bench:
    def __init__(self, build, folder, scale, requests):
        self.build, self.folder, self.count, self.scale = os.path.abspath(build), folder, 0, scale
        self.busy = ["--requests", str(requests)]

    def set_link(self, gbps, scale=1):
        """Slow, so that what the simulation itself takes matters little. `scale` is how many seconds of
        simulated time pass in a real one."""
        with open(f"{self.folder}/profile.toml", "w") as file:
            file.write(PROFILE.format(one_way=gbps, both_ways=gbps * 1.67, scale=scale))

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
        ended = threading.Event()
        watch = threading.Thread(target=self.watch, args=(machine, ended))
        watch.start()
        try:
            reports = [self.finish(one) for one in started]
        finally:
            ended.set()
            watch.join()
        return reports, time.monotonic() - begin

    def watch(self, machine, ended):
        """Notes what each process's wakes brought back before its work ran on."""
        self.woken = {}
        environment = dict(os.environ, VHBM_STATE_DIR=f"{self.folder}/{machine}.state")
        while not ended.wait(0.2):
            answer = subprocess.run([f"{self.build}/bin/vhbm", "stat", "--json"], env=environment,
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for one in json.loads(answer.stdout or "[]"):
                self.woken.setdefault(one["pid"], {})[one["wakes"]] = one["woken_bytes"]

    def woken_for(self, report):
        """The bytes that came back before each of a server's requests; a process may wake sooner, too."""
        requests = len(report["ttft_ms"]["each"])
        wakes = self.woken[report["vhbm"]["processes"][0]["pid"]]
        last = report["vhbm"]["stats"]["wakes"]
        wakes[last] = report["vhbm"]["stats"]["woken_bytes"]
        return [wakes.get(last - requests + 1 + i, 0) for i in range(requests)]


def compare(reports, right, what, broken):
    broken.extend(f"{what}: a digest differs" for one in reports if one["digest"] != right["digest"])


def in_turn(bench, figures, broken):
    link, scale, rounds = H200_LINK, bench.scale, 4
    period = 5 / scale
    print(f"Three servers, each 0.8 of HBM; requests in turn, {rounds} to each. Link {link:.2f} GB/s, as an H200's"
          f" scaled down; times are simulated, of which {scale:g} s pass in a second")
    bench.set_link(link, scale)
    offsets = [[period * (1 + 3 * k + i) for k in range(rounds)] for i in range(3)]
    runs = [["--trace", bench.trace(times), "--replay-speed", "1"] for times in offsets]
    (alone,), _ = bench.together((runs[0][:-1] + ["20"], None))
    (_,), restart = bench.together((["--trace", bench.trace([0]), "--requests", "1"], None))
    reports, _ = bench.together(*[(run, {"share_gpu": "1"}) for run in runs])
    compare(reports, alone, "in turn", broken)
    alone_ms, restart_ms = alone["ttft_ms"]["p50"] * scale, restart * 1e3 * scale
    figures["in_turn"] = {"alone_ms": alone_ms, "restart_ms": restart_ms, "scale": scale, "requests": []}
    print("  server  request  to first token   came back first   / (0.9 link) + 50 ms")
    for i, one in enumerate(reports):
        for k, (real, woken) in enumerate(zip(one["ttft_ms"]["each"], bench.woken_for(one))):
            ms = real * scale
            bound = woken / (0.9 * link * 1e9) * 1e3 + 50
            print(f"  {i + 1:6}  {k + 1:7}  {ms:11.0f} ms  {woken / MIB:12.0f} MiB  {bound:12.0f} ms"
                  f"  {'yes' if ms <= bound else 'no'}")
            figures["in_turn"]["requests"].append({"server": i + 1, "ttft_ms": ms, "woken_bytes": woken,
                                                   "bound_ms": bound})
            if ms > bound:
                broken.append(f"server {i + 1}, request {k + 1}: {ms:.0f} ms to the first token")
    print(f"  alone: {alone_ms:.0f} ms; restarted from nothing: {restart_ms:.0f} ms")


def at_once(bench, figures, broken):
    print("Two servers with work at once, 1.6 of HBM together")
    bench.set_link(0.5)
    (one,), single = bench.together((bench.busy, None))
    figures["at_once"] = {"one_after_the_other_s": 2 * single}
    print(f"  one after the other       {2 * single:6.1f} s   1.00")
    for name, share in (("turns", {"share_gpu": "1", "gpu_quantum": "5s"}),
                        ("turns of 200 ms", {"share_gpu": "1", "gpu_quantum": "200ms", "gpu_turn_loss": "100%"}),
                        ("200 ms and what pays", {"share_gpu": "1", "gpu_quantum": "200ms"}),
                        ("half of HBM each", {"hbm_limit": "25%"})):
        reports, took = bench.together((bench.busy, share), (bench.busy, share))
        compare(reports, one, name, broken)
        figures["at_once"][name] = {"s": took, "throughput": 2 * single / took}
        print(f"  {name:24}  {took:6.1f} s   {2 * single / took:4.2f} of the throughput")
    if figures["at_once"]["turns"]["throughput"] < 0.8:
        broken.append("turns keep less than 0.8 of the throughput")


def beside(bench, figures, broken):
    print("A request every 0.4 s, 50 of them, beside a server that is always busy")
    bench.set_link(0.5)
    asked = ["--trace", bench.trace([2 + 0.4 * k for k in range(50)]), "--replay-speed", "1"]
    figures["beside"], right = {}, None
    for name, classes in (("both fit, without vHBM", None), ("both batch", ("batch", "batch")),
                          ("latency beside batch", ("latency", "batch"))):
        share = [classes and {"share_gpu": "1", "gpu_quantum": "5s", "gpu_class": classes[i]} for i in range(2)]
        reports, _ = bench.together((asked, share[0]), (bench.busy, share[1]))
        right = right or reports
        for one, alone in zip(reports, right):
            compare([one], alone, name, broken)
        ttft = reports[0]["ttft_ms"]
        figures["beside"][name] = {key: ttft[key] for key in ("p50", "p99")}
        print(f"  {name:24}  to first token: p50 {ttft['p50']:6.0f} ms, p99 {ttft['p99']:6.0f} ms")


TABLES = {"in-turn": in_turn, "at-once": at_once, "beside": beside}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", help="the folder with bin and lib")
    parser.add_argument("--table", choices=TABLES, action="append", help="only this one; may be repeated")
    parser.add_argument("--scale", type=float, default=0.25, metavar="S",
                        help="simulated seconds in a real one, for requests in turn (default: 0.25)")
    parser.add_argument("--requests", type=int, default=800, metavar="N",
                        help="requests of a server that is always busy (default: 800)")
    parser.add_argument("--json", help="write the figures to this file, too")
    arguments = parser.parse_args()
    figures, broken = {}, []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.build, folder, arguments.scale, arguments.requests)
        for name in arguments.table or TABLES:
            TABLES[name](bench, figures, broken)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(figures, file, indent=2)
    for one in broken:
        print(f"turns: {one}", file=sys.stderr)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
