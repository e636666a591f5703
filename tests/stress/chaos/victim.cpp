#include "victim.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

#include "harm.h"
#include "runtime/share_socket.h"

namespace chaos {

struct Setup {
  const char *name, *disk, *disk_limit;
  bool store;
  const char *host_limit, *host, *compression;
};

namespace {

using namespace std::chrono_literals;
using stress::Harm;
namespace filesystem = std::filesystem;

constexpr Setup setups[] = {
#define no false
#define yes true
#define SETUP(name, disk, disk_limit, store, host_limit, host, compression) \
  {#name, #disk, disk_limit, store, host_limit, host, compression},
#include "setups.def"
#undef yes
#undef no
};

struct Action {
  Count count;
  unsigned weight;
};
constexpr Action actions[] = {
#define COUNT(name, text)
#define ACTION(name, weight, text) {Count::name, weight},
#include "counts.def"
};

constexpr std::size_t page_size = 4096;
static_assert(sizeof(Page) <= page_size);

}  // namespace

Victim::Victim(World& world, unsigned index)
    : world_(world),
      index_(index),
      setup_(setups[index % std::size(setups)]),
      random_(world.choices.seed * 1000 + index) {}

Victim::~Victim() {
  if (alive_) {
    ::kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  if (page_ != nullptr) munmap(page_, page_size);
}

void Victim::harm(const std::string& what) const {
  throw Harm("process " + std::to_string(process_) + " (" + setup_.name + "): " + what);
}

void Victim::hang(const std::string& what) const {
  if (!world_.choices.on_hang.empty()) {
    const std::string command = world_.choices.on_hang + " " + std::to_string(process_);
    if (std::system(command.c_str()) != 0) std::printf("%s did not work\n", command.c_str());
  }
  harm(what);
}

std::string Victim::log() const {
  return world_.folder() / "log" / std::to_string(index_);
}

void Victim::start() {
  const int file = memfd_create("chaos", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, page_size) != 0) throw Harm("cannot make a page");
  if (page_ != nullptr) munmap(page_, page_size);
  void* const memory = mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) throw Harm("cannot map a page");
  page_ = new (memory) Page;
  store_generation_ = world_.store_generation();
  harmed_tier_ = false;
  const int output = open(log().c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  ++lives_;
  process_ = chaos::start(program(file, output));
  close(file);
  close(output);
  if (process_ < 0) throw Harm("cannot start a process");
  alive_ = true;
  beats_ = 0;
  beat_at_ = Clock::now();
  world_.count(Count::started);
}

Program Victim::program(int page, int output) const {
  const Choices& choices = world_.choices;
  const std::uint64_t seed = choices.seed * 1000000 + index_ * 1000 + lives_;
  Program made;
  made.words = {choices.worker,       "--page",   std::to_string(page),          "--seed",
                std::to_string(seed), "--memory", std::to_string(choices.memory)};
  made.output = output;
  made.inherited = page;
  made.settings = {{"LD_PRELOAD", choices.library},
                   {"ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0"},
                   {"VHBM_STATE_DIR", world_.state()},
                   {"VHBM_HBM_LIMIT", "12MiB"},
                   {"VHBM_HOST_LIMIT", setup_.host_limit},
                   {"VHBM_PAGER_INTERVAL", "2ms"},
                   {"VHBM_STALL_LIMIT", "50%"},
                   {"VHBM_QUIESCE_DEADLINE", "20ms"},
                   {"VHBM_SPILL_AFTER", "50ms"},
                   {"VHBM_REMOTE_TIMEOUT", "1s"},
                   {"VHBM_REMOTE_TTL", std::to_string(World::time_to_live.count()) + "s"},
                   {"VHBM_COMPRESSION", setup_.compression},
                   // Together they want more than there is.
                   {"SIMGPU_MACHINE", world_.folder() / "machine"},
                   {"SIMGPU_HBM", std::to_string(choices.processes * 10) + "MiB"},
                   {"SIMGPU_HOST", setup_.host},
                   {"SIMGPU_FUZZ", std::to_string(index_ + 1) + ":1"}};
  if (index_ % 2 == 1) made.settings["VHBM_IDLE_SECONDS"] = "100ms";
  if (index_ % 4 != 0) made.settings["VHBM_THRASH_GUARD"] = "false";  // moves at every chance
  if (index_ % 3 == 0) {
    made.settings["VHBM_SHARE_GPU"] = "1";
    made.settings["VHBM_GPU_QUANTUM"] = "50ms";
    made.settings["VHBM_GPU_CLASS"] = index_ % 2 == 0 ? "latency" : "batch";
  }
  if (std::string("none") != setup_.disk) {
    made.settings["VHBM_DISK_PATH"] = world_.folder() / setup_.disk;
    made.settings["VHBM_DISK_LIMIT"] = setup_.disk_limit;
  }
  if (setup_.store) made.settings["VHBM_REMOTE_URL"] = world_.store_url();
  return made;
}

void Victim::torment() noexcept {
  try {
    start();
    while (!world_.is_over()) {
      wait(at_most(300));
      if (!alive_) {
        start();
      } else if (!world_.is_over()) {
        act();
      }
    }
    if (world_.harmed()) return;
    if (alive_ && index_ % 3 == 0) kill();
    if (alive_) end();
  } catch (const std::exception& error) {
    world_.report_harm(error.what());
  }
}

void Victim::live_in_peace() {
  start();
  wait(300ms);
  end();
}

void Victim::act() {
  std::vector<unsigned> weights;
  for (const Action& action : actions) weights.push_back(action.weight);
  std::discrete_distribution<std::size_t> next(weights.begin(), weights.end());
  const Count action = actions[next(random_)].count;
  world_.count(action);
  act(action);
}

void Victim::act(Count action) {
  const auto sleep_order = [&] {
    return R"({"command":"sleep","patience_ms":200,"hold_ms":)" + std::to_string(below(1000)) + "}";
  };
  switch (action) {
    case Count::sleep:
      return order(sleep_order());
    case Count::wake:
      return order(R"({"command":"wake"})");
    case Count::change_limit: {
      const bool hbm = below(2) == 0;
      return order(std::string(R"({"command":"set","option":")") +
                   (hbm ? "hbm_limit" : "host_limit") + R"(","value":")" +
                   std::to_string(hbm ? 4 + below(16) : 16 + below(80)) + "MiB\"}");
    }
    case Count::hold:
      return order(std::string(R"({"command":"hold","min_size":"2MiB","max_size":"3MiB","held":)") +
                   (below(2) == 0 ? "true}" : "false}"));
    case Count::stop:
      return stop(at_most(1000));
    case Count::stop_before_answer:
      return order(sleep_order(), Meanwhile::stop);
    case Count::stop_for_long:
      harmed_tier_ = true;
      return stop(World::time_to_live + 500ms);
    case Count::kill:
      return kill();
    case Count::kill_stopped:
      stop(at_most(200));
      ::kill(process_, SIGSTOP);
      return kill();
    case Count::end:
      return end();
    case Count::switch_off:
      order(R"({"command":"off"})");
      wait(100ms);
      return end();
    case Count::corrupt:
      return corrupt();
    default:
      harm("an action that is none");
  }
}

void Victim::order(const std::string& request, Meanwhile meanwhile) {
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(world_.choices.patience));
  const auto connect = [&] {
    return vhbm::ShareSocket::connect(world_.state(),
                                      std::to_string(process_) + vhbm::control_suffix, patience);
  };
  auto socket = connect();
  // It listens from its first context on, until it ends.
  const auto deadline = Clock::now() + patience;
  while (!socket.ok()) {
    if (watch() || beats_ == 0) return;
    if (Clock::now() > deadline) hang("takes no orders: " + socket.status().message());
    std::this_thread::sleep_for(5ms);
    socket = connect();
  }
  const std::string line = request + "\n";
  bool heard = socket->send(line.data(), line.size());
  if (meanwhile == Meanwhile::stop) {
    std::this_thread::sleep_for(at_most(30));
    stop(at_most(800));
  }
  std::string answer;
  for (char byte = 0; heard && byte != '\n'; answer += byte) heard = socket->receive(&byte, 1);
  if (!heard) {
    // One that ends closes its connections a moment before.
    for (; !watch(); std::this_thread::sleep_for(5ms)) {
      if (Clock::now() > deadline) hang("does not answer " + request);
    }
    return;
  }
  if (answer.find(R"("ok":true)") == std::string::npos) world_.count(Count::refused);
}

void Victim::stop(std::chrono::milliseconds length) {
  if (watch()) return;
  const auto begin = Clock::now();
  ::kill(process_, SIGSTOP);
  std::this_thread::sleep_for(length);
  ::kill(process_, SIGCONT);
  beat_at_ += Clock::now() - begin;
}

void Victim::kill() {
  if (!alive_) return;
  ::kill(process_, SIGKILL);
  int status = 0;
  waitpid(process_, &status, 0);
  // It may have ended by itself a moment before.
  if (WIFEXITED(status)) return judge(status);
  gone();
}

void Victim::end() {
  if (!alive_) return;
  page_->quit = true;
  while (!watch()) std::this_thread::sleep_for(1ms);
}

// Files without a name in its folder are reached by its open descriptors.
void Victim::corrupt() {
  order(R"({"command":"sleep","patience_ms":500,"hold_ms":600})");
  wait(300ms);
  const std::string disk = world_.folder() / setup_.disk;
  std::error_code error;
  const std::string descriptors = "/proc/" + std::to_string(process_) + "/fd";
  for (const auto& entry : filesystem::directory_iterator(descriptors, error)) {
    const std::string target = filesystem::read_symlink(entry.path(), error);
    const int file = target.starts_with(disk) ? open(entry.path().c_str(), O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) continue;
    harmed_tier_ = true;
    std::uint64_t word = 0;
    bool changed = false;
    const off_t size = lseek(file, 0, SEEK_END);
    // A word in each page.
    for (off_t at = 0; at < size; at += 4096) {
      if (pread(file, &word, sizeof word, at) != sizeof word) break;
      word = ~word;
      changed = pwrite(file, &word, sizeof word, at) == sizeof word;
    }
    if (changed) world_.count(Count::corrupted);
    close(file);
  }
  // It looks at all of its bytes.
  end();
}

void Victim::wait(std::chrono::milliseconds length) {
  const auto until = Clock::now() + length;
  while (!watch() && Clock::now() < until) std::this_thread::sleep_for(5ms);
}

bool Victim::watch() {
  if (!alive_) return true;
  int status = 0;
  if (waitpid(process_, &status, WNOHANG) == process_) {
    judge(status);
    return true;
  }
  const auto now = Clock::now();
  if (const std::uint64_t beats = page_->beats; beats != beats_) {
    beats_ = beats;
    beat_at_ = now;
  } else if (const std::chrono::duration<double> silent = now - beat_at_;
             silent.count() > world_.choices.patience && !world_.harmed()) {
    hang("hangs at " + std::string(operation_names[static_cast<int>(page_->doing.load())]) +
         " after " + std::to_string(beats_) + " steps");
  }
  return false;
}

bool Victim::may_lose() const {
  return harmed_tier_ || (setup_.store && world_.store_generation() != store_generation_);
}

void Victim::judge(int status) {
  gone();
  if (WIFEXITED(status)) {
    if (WEXITSTATUS(status) == in_order && page_->quit) return;
    if (WEXITSTATUS(status) == bytes_lost && may_lose()) return world_.count(Count::lost);
    harm("ended with " + std::to_string(WEXITSTATUS(status)) + ": " + page_->why.data());
  }
  harm("was ended by signal " + std::to_string(WTERMSIG(status)));
}

void Victim::gone() {
  alive_ = false;
  world_.count(Count::out_of_memory, page_->out_of_memory);
  world_.count(Count::checked_mib, page_->checked_bytes >> 20);
}

}  // namespace chaos
