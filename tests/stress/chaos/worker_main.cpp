// chaos_worker --page FD --seed N --memory MiB: one process of the chaos, which starts it with
// libvhbm.so preloaded. The file of that descriptor holds the page that both look at.
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>

#include "harm.h"
#include "worker.h"

namespace {

int end_with(chaos::ExitCode code, const char* why, chaos::Page& page) {
  std::strncpy(page.why.data(), why, page.why.size() - 1);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  int file = -1;
  std::uint64_t seed = 1;
  std::size_t memory = 64;
  CLI::App app("One process of the chaos, started by it");
  app.add_option("--page", file, "A descriptor of the page by which it is watched")->required();
  app.add_option("--seed", seed, "Of all random choices");
  app.add_option("--memory", memory, "MiB that it keeps");
  CLI11_PARSE(app, argc, argv);
  void* const memory_of_page =
      mmap(nullptr, sizeof(chaos::Page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory_of_page == MAP_FAILED) {
    std::perror("chaos_worker: --page");
    return 2;
  }
  auto& page = *static_cast<chaos::Page*>(memory_of_page);
  try {
    chaos::Worker(seed, memory << 20, page).run();
    return chaos::in_order;
  } catch (const chaos::Lost& lost) {
    return end_with(chaos::bytes_lost, lost.what(), page);
  } catch (const std::exception& harm) {
    return end_with(chaos::harmed, harm.what(), page);
  }
}
