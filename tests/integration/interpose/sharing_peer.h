// Another process of the same program, which allocates, shares and opens what the test tells it to,
// by messages over a socket pair.
#pragma once

#include <cuda.h>
#include <sys/types.h>

#include <cstdint>

enum class Order : std::uint32_t {
  allocate,  // and fill: `size`, `seed`; answers its address
  share,     // `address`; answers the handle
  open,      // the handle; answers the address
  close,     // `address`
  free,      // `address`
  add,       // `seed` to each of the words at `address`, `size` bytes
  check,     // that these hold what fill(`seed`) and `added` leave
  page,      // uses other memory until some of it moved
};

struct Message {
  Order order{};
  CUresult result = CUDA_SUCCESS;
  CUdeviceptr address = 0;
  std::uint64_t size = 0;
  std::uint32_t seed = 0, added = 0;
  CUipcMemHandle handle{};
};

class Peer {
 public:
  enum class Preload { yes, no };
  // Starts it; `preload` says whether vHBM is preloaded into it as into this process.
  explicit Peer(Preload preload = Preload::yes);
  ~Peer() { end(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Waits for the answer; a peer that is gone answers CUDA_ERROR_UNKNOWN.
  Message ask(const Message& order);
  void kill();
  // Lets it end; whether it ended as it should.
  bool end();

  // The peer's side: receives an order, and sends the answer. False when the test has ended.
  static bool receive(Message* order);
  static void answer(const Message& answer);

 private:
  pid_t process_ = 0;
  int channel_ = -1;
};
