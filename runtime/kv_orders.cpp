#include "runtime/kv_orders.h"

#include <algorithm>

#include "runtime/devices.h"
#include "runtime/kv_heat.h"

namespace vhbm {
namespace {

OrderJson told_of(const KvHeat::Told& cache, int device) {
  OrderJson row{
      {"device", device},       {"begin", cache.begin.value},     {"bytes", cache.size.value},
      {"server", cache.server}, {"granule", cache.granule.value}, {"caches", cache.caches},
      {"looks", cache.looks},   {"entries", cache.entries},       {"strays", cache.strays}};
  if (cache.use) {
    row["chunk_bytes"] = cache.use->size.value;
    row["used_bytes"] = cache.use->used.value;
    row["touched_bytes"] = cache.use->touched.value;
    row["resident_bytes"] = cache.use->resident.value;
    row["resident_used_bytes"] = cache.use->resident_used.value;
  }
  return row;
}

}  // namespace

std::string kv_order(const Devices& devices, const OrderJson& request) {
  constexpr const char* accepted = "a list of kernels' names, in which * stands for any letters";
  const KvLayouts* const layouts = devices.process.kv_layouts.get();
  if (layouts == nullptr) {
    refuse(
        "it was started without kv_layouts, and knows no kernels: set the option, such as "
        "kv_layouts = \"vllm\"");
  }
  std::vector<std::string> names;
  if (request.contains("names")) {
    if (!request["names"].is_array()) refuse("names", request["names"], accepted);
    for (const OrderJson& name : request["names"]) {
      if (!name.is_string()) refuse("names", request["names"], accepted);
      names.push_back(name.get<std::string>());
    }
  }
  OrderJson all{{"ok", true},
                {"layouts", OrderJson::array()},
                {"kernels", OrderJson::array()},
                {"caches", OrderJson::array()}};
  for (const KvLayout& layout : layouts->all()) all["layouts"].push_back(layout.file);
  for (const KvMatch* one : layouts->matches()) {
    const bool meant = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return matches(name, one->function);
    });
    if (!meant && one->fits.empty()) continue;
    OrderJson row{{"function", one->function}, {"sizes", one->sizes}};
    if (one->kernel != nullptr) {
      row["layout"] = one->layout->file;
      row["kernel"] = one->kernel->name;
    }
    row["misfits"] = OrderJson::array();
    for (const KvMatch::Fit& fit : one->fits) {
      if (!fit.misfit.empty()) row["misfits"].push_back(fit.layout->file + ": " + fit.misfit);
    }
    row["looks"] = one->probes.load();
    row["captured"] = one->captured.load();
    row["refusals"] = one->refusals.load();
    if (const char* why = one->refusal.load(); why != nullptr) row["refusal"] = why;
    row["off"] = one->off.load();
    all["kernels"].push_back(std::move(row));
  }
  devices.each([&](PagedDevice& one) {
    if (one.device->kv == nullptr) return;
    std::lock_guard lock(one.device->lock);
    for (const KvHeat::Told& cache : one.device->kv->tell()) {
      all["caches"].push_back(told_of(cache, one.device->ordinal));
    }
  });
  return told(all);
}

}  // namespace vhbm
