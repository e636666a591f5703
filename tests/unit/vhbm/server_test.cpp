#include "server.h"

#include <gtest/gtest.h>

namespace vhbm::cli {
namespace {

std::string name_of(const std::vector<std::string>& command) {
  const ServerKind* server = recognised(command);
  return server == nullptr ? "" : server->name;
}

TEST(Server, IsKnownByProgramModuleOrScript) {
  EXPECT_EQ(name_of({"vllm", "serve", "model"}), "vLLM");
  EXPECT_EQ(name_of({"python3", "/opt/venv/bin/vllm", "serve"}), "vLLM");
  EXPECT_EQ(name_of({"python", "-m", "vllm.entrypoints.openai.api_server"}), "vLLM");
  EXPECT_EQ(name_of({"python", "-m", "sglang.launch_server"}), "SGLang");
  EXPECT_EQ(name_of({"./build/bin/llama-server", "-m", "x.gguf"}), "llama.cpp");
}

TEST(Server, IsNotGuessedFromItsOptions) {
  EXPECT_EQ(name_of({"python", "bench.py", "--port", "80", "--backend", "vllm"}), "");
  EXPECT_EQ(name_of({"vllmish"}), "");
  EXPECT_EQ(name_of({}), "");
}

TEST(Server, GivesAProcessAShortName) {
  EXPECT_EQ(program_name("/opt/bin/server --port 80"), "server");
  EXPECT_EQ(program_name("python3.11 -u -m vllm.entrypoints --x"), "vllm.entrypoints");
  EXPECT_EQ(program_name("python3 -c import torch"), "python3");
  EXPECT_EQ(program_name(""), "");
}

}  // namespace
}  // namespace vhbm::cli
