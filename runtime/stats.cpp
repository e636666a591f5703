// The writer's side of the shared table.
#include "runtime/stats.h"

#include <sys/mman.h>

#include <new>

namespace vhbm {
namespace {

StatsFile* map_table(int descriptor, void* at = nullptr) {
  const int flags =
      (descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | (at == nullptr ? 0 : MAP_FIXED);
  void* memory = mmap(at, sizeof(StatsFile), PROT_READ | PROT_WRITE, flags, descriptor, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<StatsFile*>(memory);
}

}  // namespace

Stats::Stats() : file_(map_table(-1)) {
  if (file_ == nullptr) throw std::bad_alloc();
}

Stats::~Stats() {
  munmap(file_, sizeof(StatsFile));
}

bool Stats::share(const std::string& directory, int device, std::string* why_not) {
  if (!shared_.create(directory, sizeof(StatsFile), why_not)) return false;
  StatsFile* table = map_table(shared_.descriptor());
  if (table == nullptr) {
    *why_not = "cannot map a file in " + directory;
    shared_.close_and_unlink();
    return false;
  }
  describe_process(table->header, StatsFile::magic_value, stats_layout(), device);
  for (std::size_t i = 0; i < stat_count; ++i) table->values[i].store(file_->values[i].load());
  table->control.frozen.store(file_->control.frozen.load());
  if (!shared_.name(stats_suffix, why_not)) {
    munmap(table, sizeof(StatsFile));
    shared_.close_and_unlink();
    return false;
  }
  munmap(file_, sizeof(StatsFile));
  file_ = table;
  return true;
}

void Stats::unshare_in_child() noexcept {
  if (!shared_.is_open()) return;
  map_table(-1, file_);
  shared_.leave_to_parent();
}

}  // namespace vhbm
