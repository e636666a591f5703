#include "banner.h"

#include "quantity.h"
#include "server.h"

namespace vhbm::cli {
namespace {

std::string origin_of(const Options& options, OptionId id) {
  const Origin& origin = options.origin(id);
  return origin.kind == Origin::Kind::preset ? "default" : origin.place;
}

std::string hbm_limit(const Options& options) {
  const Size& limit = options.hbm_limit;
  if (limit.is_automatic()) return "what the GPU has free, less a reserve";
  if (limit.is_share()) return std::to_string(limit.resolve({100}, {}).value) + "% of the GPU";
  return bytes_text(limit.resolve({}, {}).value);
}

std::string host_limit(const Options& options, Bytes available) {
  const Size& limit = options.host_limit;
  const std::string bytes = bytes_text(limit.resolve(available, {available.value / 2}).value);
  if (limit.is_automatic()) return bytes + ", half of what is available now";
  if (!limit.is_share()) return bytes;
  return bytes + ", " + std::to_string(limit.resolve({100}, {}).value) + "% of what is available";
}

std::string reported(const Options& options) {
  if (options.report == Report::virtual_memory) return "virtual: HBM and host limit together";
  return "physical: the HBM that it may hold";
}

}  // namespace

std::string banner(const std::vector<std::string>& command, const Options& options,
                   Bytes available) {
  const ServerKind* server = recognised(command);
  std::string text;
  const auto row = [&](std::string name, const std::string& what) {
    name.resize(11, ' ');
    text += "vhbm:   " + name + what + "\n";
  };
  text += std::string("vhbm: ") +
          (server != nullptr ? server->name : "a program that is not known") + ", under vHBM\n";
  if (options.disable) {
    row("disabled",
        "every call goes to the driver (" + origin_of(options, OptionId::disable) + ")");
    return text;
  }
  row("hbm_limit", hbm_limit(options) + " (" + origin_of(options, OptionId::hbm_limit) + ")");
  row("host_limit",
      host_limit(options, available) + " (" + origin_of(options, OptionId::host_limit) + ")");
  row("it is told", reported(options) + " (" + origin_of(options, OptionId::report) + ")");
  if (server != nullptr) row("helps", server->advice);
  row("watch it", "vhbm top");
  return text;
}

}  // namespace vhbm::cli
