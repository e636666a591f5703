#!/usr/bin/env python3
"""What paging costs KV, on the simulated GPU, whose HBM and link take real time.

Two tables. `returning`: a session that comes back finds its KV in host memory; how long its first token takes
beside computing the KV again, by the shape of an 8 B transformer and the rates of an H200, all divided by the
same number, so that times are real ones. `blocks`: the sample server with vLLM's block rules on a trace of
conversations, for each layout of blocks, each size of the KV in use against HBM and each policy: how dense KV
in HBM is, what crossed the link, beside what Belady's choice of chunks would have had to read, and what requests
saw. Exit code 1 when a result differs, or when the longest session is not back 14 times as fast as it is computed.

    python3 tools/bench/kv.py build/release [--table returning|blocks] [--trace FILE] [--json FILE]
"""
import argparse
import collections
import heapq
import json
import os
import statistics
import subprocess
import sys
import tempfile

MIB = 1 << 20
CHUNK = 2 * MIB
NATIVE = 4 * MIB  # contexts, code and small allocations
SCALE = 64  # of bytes and rates
# Of `vhbm plan --gpu h200`; the shape is Llama 3.1 8B's.
H200 = {"hbm": 4800, "link": 50}
MODEL = ["--gpu", "h200", "--host", "512GiB", "--layers", "32", "--kv-heads", "8", "--head-size", "128",
         "--query-heads", "32", "--parameters", "8.03e9"]
# A session's tokens, and its KV as layers of the scaled program: their number and MiB.
SESSIONS = [(8192, 8, 2), (32768, 16, 4), (102400, 25, 8)]
RATIO_AT_LONGEST = 14
# HBM is ten times as fast as the link, as a GH200's; both slow enough that what the simulation takes matters little.
HBM_GBPS, LINK_GBPS = 4, 0.4
SERVER = ["--experts", "16", "--expert-size", "32", "--layers", "2", "--heads", "8", "--head-size", "32",
          "--max-running", "16", "--kv-tokens", "32768"]
LAYOUTS = {"16 tokens": ["--block-tokens", "16"], "256 tokens": ["--block-tokens", "256"],
           "16, cross-layer": ["--block-tokens", "16", "--kv-layout", "cross-layer"],
           "contiguous": ["--contiguous"]}
TOKEN, LAYERS = 2 * 8 * 32 * 4, 2  # bytes of one layer
FACTORS = [0.5, 1, 1.5, 3]
POLICIES = ["lru", "next_use", "frequency"]


class Bench:
    def __init__(self, build, folder):
        self.build, self.folder = os.path.abspath(build), folder
        self.environment = dict(os.environ, LD_LIBRARY_PATH=f"{self.build}/lib", SIMGPU_HBM="8GiB",
                                SIMGPU_PROFILE=f"{folder}/profile.toml", VHBM_STATE_DIR=f"{folder}/state",
                                SIMGPU_SUMMARY=f"{folder}/device.json")
        os.mkdir(f"{folder}/state", 0o700)

    def set_rates(self, hbm, link):
        with open(f"{self.folder}/profile.toml", "w") as file:
            file.write(f'clock = "real"\n[hbm]\nbandwidth_GBps = {hbm}\n[link]\nto_device_GBps = {link}\n'
                       f"to_host_GBps = {link}\nboth_GBps = {link * 1.67}\n")

    def under_vhbm(self, hbm, options):
        sets = [word for key, value in {"log": "error", "host_limit": "4GiB", "flip_size": "4MiB", **options}.items()
                for word in ("--set", f"{key}={value}")]
        return [f"{self.build}/bin/vhbm", "run", "--summary", f"{self.folder}/summary.json", "--hbm-limit",
                str(int(hbm) // CHUNK * CHUNK)] + sets + ["--"]

    def command(self, command, watch=None):
        """Standard output; `watch` is called twice a second meanwhile."""
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while True:
            try:
                out, err = process.communicate(timeout=0.5 if watch else 600)
                break
            except subprocess.TimeoutExpired:
                if watch is None:
                    process.kill()
                    sys.exit(f"kv: {' '.join(command)}: not done after 600 s")
                watch()
        if process.returncode != 0:
            sys.exit(f"kv: {' '.join(command)}: exit code {process.returncode}\n{err[-2000:]}")
        return out

    def read(self, name):
        return json.load(open(f"{self.folder}/{name}"))

    def vhbm(self, *words):
        return subprocess.run([f"{self.build}/bin/vhbm", *words], env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout


def returning(bench, arguments, figures, broken):
    bench.set_rates(H200["hbm"] / SCALE, H200["link"] / SCALE)
    print("A session returns, its KV being in host memory; 8 B transformer, H200")
    print("   tokens        KV   first token   / KV over the link   computed again    ratio")
    for tokens, layers, layer_mib in SESSIONS:
        plan = json.loads(bench.vhbm("plan", "--json", "--context", str(tokens), *MODEL) or "null")
        if plan is None:
            sys.exit("kv: vhbm plan said nothing")
        model = plan["models"][0]
        kv = layers * layer_mib * MIB
        if kv * SCALE != model["kv_bytes_a_session"]:
            sys.exit(f"kv: {tokens} tokens are {model['kv_bytes_a_session']} bytes of KV, and not {kv * SCALE}")
        command = [f"{bench.build}/bin/layers", "--layers", str(layers), "--layer-mib", str(layer_mib), "--stride", "4096",
                   "--blocks", "1", "--phases", "40,40,40", "--rounds", "4"]
        native = json.loads(bench.command(command).splitlines()[-1])
        report = json.loads(bench.command(bench.under_vhbm(kv + NATIVE, {"policy": "lru"}) + command).splitlines()[-1])
        if report["sum"] != native["sum"]:
            broken.append(f"returning, {tokens} tokens: the sum differs")
        # Each session is the other's cause to leave; of the first round nothing was there before. Weights are read once.
        weights = model["weight_bytes"] / (H200["hbm"] * 1e9)
        first = statistics.median(phase[0] for round_ in report["seconds"][1:] for phase in round_) + weights
        ratio = (model["recompute_seconds"] + weights) / first
        over_link = kv / (H200["link"] / SCALE * 1e9)
        figures.append({"table": "returning", "tokens": tokens, "kv_bytes": kv * SCALE, "first_token_s": first,
                        "over_link_s": over_link, "recompute_s": model["recompute_seconds"], "ratio": ratio})
        print(f"  {tokens:7} {kv * SCALE / 2**30:5.1f} GiB  {first * 1e3:9.1f} ms  {first / over_link:18.2f}"
              f"  {model['recompute_seconds'] * 1e3:12.0f} ms  {ratio:7.1f}", flush=True)
        if tokens == SESSIONS[-1][0] and ratio < RATIO_AT_LONGEST:
            broken.append(f"returning, {tokens} tokens: {ratio:.1f} times as fast as computing again")


class Steps:
    """The KV that each step of a run uses, from the server's log."""

    def __init__(self, path, layout, block_tokens):
        self.block = block_tokens * TOKEN * (LAYERS if "cross" in layout else 1)
        self.tensors = 1 if "cross" in layout else LAYERS
        self.steps = [sorted({int(word) for word in line.split()}) for line in open(path)]
        self.active = statistics.median(len(step) for step in self.steps) * self.block * self.tensors

    def chunks(self, step):
        """Of one tensor: each chunk, and its bytes in use."""
        used = collections.Counter()
        for block in step:
            at, end = block * self.block, (block + 1) * self.block
            while at < end:
                piece = min(end, (at // CHUNK + 1) * CHUNK)
                used[at // CHUNK] += piece - at
                at = piece
        return used

    def belady(self, hbm):
        """Bytes in use of chunks that are not in HBM when a step uses them, if HBM always keeps those that are
        used again soonest. No choice of chunks reads less often what it does not hold."""
        uses = [((tensor, chunk), size) for step in self.steps for tensor in range(self.tensors)
                for chunk, size in sorted(self.chunks(step).items())]
        later, next_use = {}, [0] * len(uses)
        for i in range(len(uses) - 1, -1, -1):
            next_use[i] = later.get(uses[i][0], len(uses))
            later[uses[i][0]] = i
        held, order, missed, capacity = {}, [], 0, int(hbm // CHUNK)
        for i, (chunk, size) in enumerate(uses):
            if chunk not in held:
                missed += size
                while len(held) >= capacity and order and held.get(order[0][1]) != -order[0][0]:
                    heapq.heappop(order)
                if len(held) >= capacity:
                    if not order or -order[0][0] <= next_use[i]:
                        continue
                    del held[heapq.heappop(order)[1]]
            held[chunk] = next_use[i]
            heapq.heappush(order, (-next_use[i], chunk))
        return missed


def blocks(bench, arguments, figures, broken):
    bench.set_rates(HBM_GBPS, LINK_GBPS)
    trace = ["--requests", "100"] + (["--trace", arguments.trace] if arguments.trace else [])
    print(f"The sample server, 16 requests at once, {arguments.trace or 'a made-up trace'}; HBM {HBM_GBPS} GB/s, link"
          f" {LINK_GBPS} GB/s")
    # "x": what crossed the link, of Belady's reads.
    print("  blocks           KV in use   policy     density   in place   moved in   Belady reads  x     TTFT p50   p99"
          "     TPOT p50   p99   cure")
    for layout, words in LAYOUTS.items():
        server = [f"{bench.build}/bin/sample_server", "--json", f"{bench.folder}/report.json"] + SERVER + trace + words
        log = f"{bench.folder}/steps"
        bench.command(server + ["--kv-log", log])
        native = bench.read("report.json")
        steps = Steps(log, layout, native["kv"]["block_tokens"])
        others = native["allocated_bytes"]["weights"] + native["allocated_bytes"]["workspace"] + NATIVE
        print(f"  {layout:15}  {steps.active / MIB:5.1f} MiB     none{native['ttft_ms']['p50']:71.0f}"
              f" {native['ttft_ms']['p99']:6.0f} ms {native['tpot_ms']['p50']:6.1f} {native['tpot_ms']['p99']:6.1f} ms")
        for factor in FACTORS:
            hbm = steps.active / factor
            best = steps.belady(hbm)
            for policy in POLICIES:
                row = run_server(bench, server, others + hbm, policy)
                if row.pop("digest") != native["digest"]:
                    broken.append(f"{layout}, {factor} x HBM, {policy}: the digest differs")
                link = row["in_place_bytes"] + row["moved_in_bytes"]
                figures.append({"table": "blocks", "layout": layout, "factor": factor, "policy": policy, "hbm_bytes": hbm,
                                "active_bytes": steps.active, "belady_bytes": best, **row})
                print(f"  {layout:15}  {factor:3g} x HBM   {policy:10} {row['density']:6.0%}"
                      f"  {row['in_place_bytes'] / MIB:6.0f} MiB {row['moved_in_bytes'] / MIB:6.0f} MiB"
                      f"  {best / MIB:7.0f} MiB {link / best if best else 0:6.2f}"
                      f"  {row['ttft_ms']['p50']:6.0f} {row['ttft_ms']['p99']:6.0f} ms"
                      f" {row['tpot_ms']['p50']:6.1f} {row['tpot_ms']['p99']:6.1f} ms   {'named' if row['cure'] else ''}",
                      flush=True)
    cures = {row["cure"] for row in figures if row.get("cure")}
    for cure in sorted(cures):
        print(f"  vhbm stat, where a cure is named: {cure}")


def run_server(bench, server, hbm, policy):
    seen, cures = [], []

    def watch():
        for one in json.loads(bench.vhbm("stat", "--json") or "[]"):
            if one.get("kv_resident_bytes"):
                seen.append(one["kv_resident_used_bytes"] / one["kv_resident_bytes"])
            if one.get("kv_scattered"):
                cures.extend(line.strip() for line in bench.vhbm("stat").splitlines() if "what cures it" in line)

    bench.command(bench.under_vhbm(hbm, {"policy": policy, "kv_layouts": "sample-server"}) + server, watch)
    report, stats = bench.read("report.json"), bench.read("summary.json")["stats"]
    return {"digest": report["digest"], "density": statistics.median(seen) if seen else 0,
            "in_place_bytes": bench.read("device.json")["kernel_link_bytes"], "moved_in_bytes": stats["promoted_bytes"],
            "ttft_ms": {key: report["ttft_ms"][key] for key in ("p50", "p99")}, "tpot_ms": report["tpot_ms"],
            "flips": stats["flips"], "guard": stats["thrash_guard_verdicts"], "cure": cures[0] if cures else ""}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", help="a build folder, such as build/release")
    parser.add_argument("--table", choices=["returning", "blocks"], help="only this one")
    parser.add_argument("--trace", metavar="FILE", help="requests in Mooncake's format; made up otherwise")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    figures, broken = [], []
    with tempfile.TemporaryDirectory(prefix="vhbm-kv-") as folder:
        bench = Bench(arguments.build, folder)
        for table in [returning, blocks]:
            if arguments.table in (None, table.__name__):
                table(bench, arguments, figures, broken)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(figures, file, indent=1)
    for line in broken:
        print(f"kv: {line}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
