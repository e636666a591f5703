// As kvcached does (csrc/ftensor.cpp, csrc/page.cpp): a KV cache reserves addresses for more blocks
// than there will ever be memory, and one page of zeros stands behind all of them. A page that
// comes into use takes the zeros' place, and gives it back when its blocks are free; pages are kept
// and mapped elsewhere later.
#include "program.h"

namespace {

constexpr std::size_t page = 2 * mebibyte;

class Cache {
 public:
  Cache(Program& program, CUmemGenericAllocationHandle zeros, std::size_t pages)
      : program_(program), zeros_(zeros), pages_(pages), address_(program.reserve(page * pages)) {
    for (std::size_t i = 0; i < pages; ++i) program_.map(at(i), page, zeros_);
    program_.open(address_, page * pages);
  }
  ~Cache() {
    program_.synchronize();
    CHECK(cuMemUnmap(address_, page * pages_.size()));  // all kinds of pages at once
    CHECK(cuMemAddressFree(address_, page * pages_.size()));
  }

  void use(std::size_t i, CUmemGenericAllocationHandle handle) { replace(i, pages_[i] = handle); }
  CUmemGenericAllocationHandle give_up(std::size_t i) {
    const CUmemGenericAllocationHandle handle = pages_[i];
    pages_[i] = 0;
    replace(i, zeros_);
    return handle;
  }
  bool in_use(std::size_t i) const { return pages_[i] != 0; }
  CUdeviceptr at(std::size_t i) const { return address_ + i * page; }

 private:
  void replace(std::size_t i, CUmemGenericAllocationHandle handle) {
    CHECK(cuMemUnmap(at(i), page));
    program_.map(at(i), page, handle);
    program_.open(at(i), page);
  }

  Program& program_;
  const CUmemGenericAllocationHandle zeros_;
  std::vector<CUmemGenericAllocationHandle> pages_;  // 0: zeros
  const CUdeviceptr address_;
};

}  // namespace

void elastic_cache(Program& program) {
  constexpr std::size_t each = 20, most_in_use = 24;
  // The page of zeros is filled where it is mapped first.
  const CUmemGenericAllocationHandle zeros = program.create(page, program.on_device());
  const CUdeviceptr first = program.reserve(page);
  program.map(first, page, zeros);
  program.open(first, page);
  CHECK(cuMemsetD8(first, 0, page));
  CHECK(cuCtxSynchronize());
  {
    Cache keys(program, zeros, each), values(program, zeros, each);
    Cache* const caches[] = {&keys, &values};
    std::vector<CUmemGenericAllocationHandle> idle;
    std::size_t in_use = 0;
    program.holds(keys.at(0), page * each, 0);
    for (int round = 0; round < 100; ++round) {
      Cache& cache = *caches[program.random(2)];
      const std::size_t i = program.random(each);
      if (cache.in_use(i) && program.random(3) == 0) {
        program.digest(cache.at(i), page);
        idle.push_back(cache.give_up(i));
        program.holds(cache.at(i), page, 0);
        --in_use;
      } else if (cache.in_use(i)) {
        program.compute(cache.at(i), page);
      } else if (in_use < most_in_use) {
        if (idle.empty()) idle.push_back(program.create(page, program.on_device()));
        program.synchronize();
        cache.use(i, idle.back());
        idle.pop_back();
        program.fill(cache.at(i), page);
        ++in_use;
      }
      if (round % 50 == 49) program.digest(cache.at(0), page * each);
    }
    // In the middle of its life a page outlives its place.
    for (std::size_t i = 0; i < each; ++i) {
      if (!keys.in_use(i)) continue;
      program.synchronize();
      const CUmemGenericAllocationHandle handle = keys.give_up(i);
      std::size_t to = 0;
      while (to < each && values.in_use(to)) ++to;
      if (to < each) {
        values.use(to, handle);
        program.digest(values.at(to), page);
        values.give_up(to);
      }
      CHECK(cuMemRelease(handle));
    }
    for (CUmemGenericAllocationHandle handle : idle) CHECK(cuMemRelease(handle));
    program.synchronize();
    for (std::size_t i = 0; i < each; ++i) {
      if (values.in_use(i)) CHECK(cuMemRelease(values.give_up(i)));
    }
    program.holds(values.at(0), page * each, 0);
  }
  CHECK(cuMemUnmap(first, page));
  CHECK(cuMemRelease(zeros));
  CHECK(cuMemAddressFree(first, page));
}
