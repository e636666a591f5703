#include "world.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <thread>

#include "harm.h"

namespace chaos {
namespace {

using namespace std::chrono_literals;
using stress::Harm;
namespace filesystem = std::filesystem;

// A file system of its own fills up for good. Any user may have one where the kernel lets users
// make namespaces; false where it does not.
bool mount_small(const std::string& folder, unsigned mib) {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    // The same user inside as outside.
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << user << " " << user << " 1";
    std::ofstream("/proc/self/gid_map") << group << " " << group << " 1";
  }
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  const std::string size = "mode=0700,size=" + std::to_string(mib) + "m";
  return mount("chaos", folder.c_str(), "tmpfs", 0, size.c_str()) == 0;
}

std::set<std::string> names_in(const filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : filesystem::directory_iterator(folder)) {
    names.insert(entry.path().filename());
  }
  return names;
}

// Others' tests may be at work as well, in the default state directory.
bool is_ours(const std::string& name) {
  return name.find("simgpu") != std::string::npos ||
         (name.find("vhbm") != std::string::npos && !name.starts_with("vhbm-"));
}

}  // namespace

World::World(const Choices& given) : choices(given), random_(given.seed) {
  shared_memory_ = names_in("/dev/shm");
  std::string name = filesystem::absolute("chaos-XXXXXX");
  if (mkdtemp(name.data()) == nullptr) throw Harm("cannot make a folder here");
  folder_ = name;
  filesystem::current_path(folder_);
  for (const char* one : {"large", "small", "log"}) filesystem::create_directory(folder_ / one);
  // A fifth of what the processes could put there.
  small_disk_ = mount_small(folder_ / "small",
                            static_cast<unsigned>(choices.processes * choices.memory / 10 + 8));
  if (!small_disk_) {
    std::printf("no file system can be mounted here: only disk_limit makes disks full\n");
  }
  if (!vhbm::RedisServer::is_installed()) throw Harm("no Valkey or Redis server is installed");
  store_ = std::make_unique<vhbm::RedisServer>(
      std::vector<std::string>{"--maxmemory", std::to_string(choices.processes * 4 + 8) + "mb"});
  end_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                            std::chrono::duration<double>(choices.seconds));
}

World::~World() {
  store_.reset();
  filesystem::current_path(folder_.parent_path());
  if (small_disk_) umount((folder_ / "small").c_str());
  std::error_code error;
  if (!harmed_) filesystem::remove_all(folder_, error);
}

std::string World::store_url() const {
  return "unix://" + store_->settings().address.socket;
}

void World::rest(unsigned most_ms) {
  const auto end = Clock::now() + std::chrono::milliseconds(random_() % most_ms);
  while (!is_over() && Clock::now() < end) std::this_thread::sleep_for(5ms);
}

void World::trouble() {
  while (!is_over()) {
    rest(2000);
    switch (random_() % 3) {
      case 0:
        restart_store();
        break;
      case 1:
        store_->stop();
        rest(900);
        store_->go_on();
        count(Count::store_stopped);
        break;
      default:
        fill_disk();
    }
  }
}

void World::restart_store() {
  // Told before and after: who finds its bytes lost may find so at any time between.
  ++store_generation_;
  store_->kill();
  rest(1500);
  store_->start();
  ++store_generation_;
  count(Count::store_killed);
}

void World::fill_disk() {
  if (!small_disk_) return;
  const std::string path = folder_ / "small" / "eaten";
  const int file = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  off_t size = 0;
  constexpr off_t step = 1 << 18;
  while (fallocate(file, 0, size, step) == 0) size += step;
  rest(1500);
  close(file);
  unlink(path.c_str());
  count(Count::disk_filled);
}

void World::check_nothing_left(const std::string& of_the_last_one) {
  std::string left;
  for (const std::string& name : names_in(state())) {
    // One file of the last that ended may stay, until the next one starts.
    if (name != of_the_last_one) left += " state/" + name;
  }
  for (const char* disk : {"large", "small"}) {
    for (const std::string& name : names_in(folder_ / disk)) {
      left += std::string(" ") + disk + "/" + name;
    }
  }
  for (const std::string& name : names_in("/dev/shm")) {
    if (is_ours(name) && shared_memory_.count(name) == 0) left += " /dev/shm/" + name;
  }
  const auto deadline = Clock::now() + time_to_live + 1s;
  while (store_->key_count() != 0 && Clock::now() < deadline) std::this_thread::sleep_for(20ms);
  if (const long long keys = store_->key_count(); keys != 0) {
    left += " " + std::to_string(keys) + " keys in the store";
  }
  if (!left.empty()) throw Harm("left behind:" + left);
}

void World::print_summary() const {
  std::printf("seed %llu:", static_cast<unsigned long long>(choices.seed));
  const char* separator = " ";
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    std::printf("%s%s %llu", separator, count_texts[i],
                static_cast<unsigned long long>(counts_[i].load()));
    separator = ", ";
  }
  std::printf("\n");
}

void World::report_harm(const std::string& what) {
  std::lock_guard lock(mutex_);
  harmed_ = true;
  std::printf("harm: %s\n", what.c_str());
  std::fflush(stdout);
}

}  // namespace chaos
