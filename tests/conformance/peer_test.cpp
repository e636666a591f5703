// Two devices: access of one to the other's memory, and copies between them.
#include "conformance_kernels.h"
#include "virtual_memory.h"

using namespace conformance;

namespace {

class Peer : public VirtualMemory {
 protected:
  void SetUp() override {
    VirtualMemory::SetUp();
    int count = 0, can = 0;
    OK(cuDeviceGetCount(&count));
    if (count < 2) GTEST_SKIP() << "there is one device";
    OK(cuDeviceGet(&peer_, 1));
    OK(cuDeviceCanAccessPeer(&can, device_, peer_));
    if (can == 0) GTEST_SKIP() << "the devices cannot access each other";
    OK(cuDevicePrimaryCtxRetain(&peer_context_, peer_));
  }
  void TearDown() override {
    if (peer_context_ != nullptr) {
      if (cuCtxSetCurrent(peer_context_) == CUDA_SUCCESS) {
        for (CUdeviceptr address : on_peer_) cuMemFree(address);
      }
      cuCtxSetCurrent(context_);
      cuDevicePrimaryCtxRelease(peer_);
    }
    VirtualMemory::TearDown();
  }
  CUdeviceptr allocate_on_peer(std::size_t bytes) {
    CUdeviceptr address = 0;
    EXPECT_EQ(cuCtxSetCurrent(peer_context_), CUDA_SUCCESS);
    EXPECT_EQ(cuMemAlloc(&address, bytes), CUDA_SUCCESS);
    EXPECT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
    on_peer_.push_back(address);
    return address;
  }

  CUdevice peer_ = 0;
  CUcontext peer_context_ = nullptr;
  std::vector<CUdeviceptr> on_peer_;
};

TEST_F(Peer, AccessIsEnabledOnceAndDisabledOnce) {
  // cuda.h, cuCtxEnablePeerAccess: "Returns CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED if direct access
  // of peerContext from the current context has already been enabled." cuCtxDisablePeerAccess:
  // "Returns CUDA_ERROR_PEER_ACCESS_NOT_ENABLED if direct peer access has not yet been enabled"
  EXPECT_EQ(cuCtxDisablePeerAccess(peer_context_), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
  OK(cuCtxEnablePeerAccess(peer_context_, 0));
  EXPECT_EQ(cuCtxEnablePeerAccess(peer_context_, 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
  OK(cuCtxDisablePeerAccess(peer_context_));
  EXPECT_EQ(cuCtxDisablePeerAccess(peer_context_), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
}

TEST_F(Peer, AccessIsOfOneDirection) {
  // cuda.h, cuCtxEnablePeerAccess: "access granted by this call is unidirectional"
  OK(cuCtxEnablePeerAccess(peer_context_, 0));
  OK(cuCtxSetCurrent(peer_context_));
  EXPECT_EQ(cuCtxDisablePeerAccess(context_), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
  OK(cuCtxSetCurrent(context_));
  OK(cuCtxDisablePeerAccess(peer_context_));
}

TEST_F(Peer, AContextIsNoPeerOfItselfAndTheFlagsAreZero) {
  // cuda.h, cuCtxEnablePeerAccess: "Returns CUDA_ERROR_INVALID_CONTEXT if … the current context is
  // peerContext. Returns CUDA_ERROR_INVALID_VALUE if Flags is not 0."
  EXPECT_EQ(cuCtxEnablePeerAccess(context_, 0), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cuCtxEnablePeerAccess(peer_context_, 1), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Peer, KernelsUseMemoryTheyWereGivenAccessTo) {
  // cuda.h, cuCtxEnablePeerAccess: "all allocations from peerContext will immediately be accessible
  // by the current context"
  const CUdeviceptr memory = allocate_on_peer(4096);
  OK(cuCtxEnablePeerAccess(peer_context_, 0));
  OK(launch(kernel("fill"), 1024, nullptr, memory, 3u, 1024u));
  OK(launch(kernel("add_one"), 1024, nullptr, memory, 1024u));
  EXPECT_EQ(read(memory, 1024), Words(1024, 4u));
  OK(cuCtxDisablePeerAccess(peer_context_));
}

TEST_F(Peer, TheLinkTellsItsAttributes) {
  // cuda.h, cuDeviceGetP2PAttribute: "1 if P2P Access is enable", and
  // "CUDA_ERROR_INVALID_DEVICE if … they represent the same device"
  int value = 0, can = 1;
  OK(cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, device_, peer_));
  EXPECT_EQ(value, 1);
  EXPECT_EQ(
      cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, device_, device_),
      CUDA_ERROR_INVALID_DEVICE);
  OK(cuDeviceCanAccessPeer(&can, device_, device_));
  EXPECT_EQ(can, 0);
}

TEST_F(Peer, CopiesNeedNoAccess) {
  const CUdeviceptr here = allocate(4096), there = allocate_on_peer(4096);
  OK(cuMemsetD32(here, 9, 1024));
  OK(cuMemcpyPeer(there, peer_context_, here, context_, 4096));
  OK(cuMemsetD32(here, 0, 1024));
  CUDA_MEMCPY3D_PEER copy{};
  copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = there;
  copy.srcContext = peer_context_;
  copy.dstDevice = here;
  copy.dstContext = context_;
  copy.WidthInBytes = 2048;
  copy.Height = 2;
  copy.Depth = 1;
  copy.srcPitch = copy.dstPitch = 2048;
  copy.srcHeight = copy.dstHeight = 2;
  OK(cuMemcpy3DPeer(&copy));
  EXPECT_EQ(read(here, 1024), Words(1024, 9u));
}

TEST_F(Peer, PointersTellTheirDevice) {
  int ordinal = -1;
  OK(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, allocate_on_peer(4096)));
  EXPECT_EQ(ordinal, peer_);
}

TEST_F(Peer, MappedMemoryGivesAccessDeviceByDevice) {
  // cuda.h, cuMemSetAccess: "Given the virtual address range via ptr and size, and the locations in
  // the array given by desc and count, set the access flags for the target locations."
  const CUdeviceptr address = reserve(1);
  map(address, create(1), 1);
  CUmemAccessDesc access[2]{};
  access[0].location = {CU_MEM_LOCATION_TYPE_DEVICE, device_};
  access[1].location = {CU_MEM_LOCATION_TYPE_DEVICE, peer_};
  access[0].flags = access[1].flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  unsigned long long flags = 0;
  OK(cuMemSetAccess(address, unit_, access, 1));
  OK(cuMemGetAccess(&flags, &access[1].location, address));
  EXPECT_EQ(flags, static_cast<unsigned long long>(CU_MEM_ACCESS_FLAGS_PROT_NONE));
  OK(cuMemSetAccess(address, unit_, access, 2));
  OK(cuMemGetAccess(&flags, &access[1].location, address));
  EXPECT_EQ(flags, static_cast<unsigned long long>(CU_MEM_ACCESS_FLAGS_PROT_READWRITE));
}

TEST_F(Peer, MemoryWithoutAccessIsNotReached) {
  EXPECT_TRUE(passes_alone("UnreachablePeerMemory"));
}
TEST_F(Peer, MappedMemoryWithoutAccessIsNotReached) {
  EXPECT_TRUE(passes_alone("UnreachableMappedMemory"));
}
TEST_F(Peer, MemoryIsNotReachedAfterAccessWasDisabled) {
  EXPECT_TRUE(passes_alone("PeerMemoryNoLonger"));
}

TEST_F(Peer, KernelsOfTwoDevicesWorkTogether) {
  // One waits for what the other writes, each in memory of its own device.
  const CUdeviceptr here = allocate(4096), there = allocate_on_peer(4096);
  CUmodule module = nullptr;
  CUfunction fill = nullptr;
  OK(cuCtxSetCurrent(peer_context_));
  OK(gpu_image::load(conformance_kernels_images(), &module));
  OK(cuModuleGetFunction(&fill, module, "fill"));
  OK(cuCtxSetCurrent(context_));
  {
    CUstream stream = make_stream();
    Blocker blocker(kernel("wait_for_flag"), stream);
    OK(blocker.launched());
    OK(launch(kernel("fill"), 1024, stream, here, 1u, 1024u));
    OK(cuCtxSetCurrent(peer_context_));
    OK(launch(fill, 1024, nullptr, there, 2u, 1024u));
    EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    OK(cuCtxSetCurrent(context_));
  }
  EXPECT_EQ(read(here, 1024), Words(1024, 1u));
  EXPECT_EQ(read(there, 1024), Words(1024, 2u));
  OK(cuCtxSetCurrent(peer_context_));
  OK(cuModuleUnload(module));
  OK(cuCtxSetCurrent(context_));
}

// CUDA_ERROR_ILLEGAL_ADDRESS, cuda.h: "While executing a kernel, the device encountered a load or
// store instruction on an invalid memory address."
class PeerAlone : public Peer {
 protected:
  CUresult fill(CUdeviceptr address) {
    EXPECT_EQ(launch(kernel("fill"), 1024, nullptr, address, 1u, 1024u), CUDA_SUCCESS);
    return cuCtxSynchronize();
  }
  // The context is lost: nothing of it can be given back.
  void TearDown() override {}
};

TEST_F(PeerAlone, DISABLED_UnreachablePeerMemory) {
  EXPECT_EQ(fill(allocate_on_peer(8 * kMiB)), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(PeerAlone, DISABLED_UnreachableMappedMemory) {
  const CUdeviceptr address = reserve(1);
  map(address, create(1), 1);
  const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, peer_},
                               CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  OK(cuMemSetAccess(address, unit_, &access, 1));
  EXPECT_EQ(fill(address), CUDA_ERROR_ILLEGAL_ADDRESS);
}

TEST_F(PeerAlone, DISABLED_PeerMemoryNoLonger) {
  const CUdeviceptr memory = allocate_on_peer(8 * kMiB);
  OK(cuCtxEnablePeerAccess(peer_context_, 0));
  EXPECT_EQ(fill(memory), CUDA_SUCCESS);
  OK(cuCtxDisablePeerAccess(peer_context_));
  EXPECT_EQ(fill(memory), CUDA_ERROR_ILLEGAL_ADDRESS);
}

}  // namespace
