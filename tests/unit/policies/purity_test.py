#!/usr/bin/env python3
"""Policies are functions of values: what they are compiled from knows no CUDA, and what they are
compiled to asks for no clock, no lock, no thread and no file.

    purity_test.py SOURCE_DIR LIBRARY COMPILER
"""
import pathlib
import re
import subprocess
import sys
import tempfile

FORBIDDEN_HEADERS = re.compile(r"/(cuda|cudart|cupti|nvml)[^/]*\.h$|/(mutex|shared_mutex|thread|fstream)$")
FORBIDDEN_SYMBOLS = re.compile(r"^(cu[A-Z]|cuda[A-Z]|clock_gettime|gettimeofday|time$|pthread_|open(64)?$|getenv$)"
                               r"|_clock::now\(\)|std::(mutex|thread|condition_variable)\b")


def headers_of(source, include, compiler):
    """Every file that it includes. Nowhere to look for CUDA's."""
    done = subprocess.run([compiler, "-std=c++20", "-I", include, "-M", source], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{source} does not compile without CUDA's headers:\n{done.stderr}")
    return done.stdout.replace("\\\n", " ").split()[1:]


def undefined_in(library):
    names = subprocess.run(["nm", "--demangle", "--undefined-only", library], stdout=subprocess.PIPE, check=True,
                           text=True).stdout
    return [line.split(maxsplit=1)[1] for line in names.splitlines() if line.strip().startswith("U ")]


def impurities(folder, library, include, compiler):
    found = []
    sources = sorted(pathlib.Path(folder).glob("*.cpp"))
    assert sources, f"no policies in {folder}"
    for source in sources:
        found += [f"{source.name} includes {name}" for name in headers_of(source, include, compiler)
                  if FORBIDDEN_HEADERS.search(name)]
    symbols = undefined_in(library)
    assert symbols, f"{library} asks for nothing at all"
    return found + [f"the library asks for {name}" for name in symbols if FORBIDDEN_SYMBOLS.search(name)]


def of_a_wrong_one(include, compiler):
    """That this test can fail."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "wrong.cpp"
        source.write_text("#include <chrono>\n#include <mutex>\nstd::mutex lock;\nlong now() {\n"
                          "  std::lock_guard guard(lock);\n"
                          "  return std::chrono::steady_clock::now().time_since_epoch().count();\n}\n")
        wrong = f"{folder}/wrong.o"
        subprocess.run([compiler, "-std=c++20", "-c", source, "-o", wrong], check=True)
        found = impurities(folder, wrong, include, compiler)
        assert any("mutex" in one for one in found), found
        assert any("_clock::now" in one for one in found), found


def main():
    source_dir, library, compiler = sys.argv[1:]
    of_a_wrong_one(source_dir, compiler)
    found = impurities(f"{source_dir}/policies", library, source_dir, compiler)
    print("\n".join(found) or "policies are pure")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
