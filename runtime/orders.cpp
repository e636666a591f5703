#include "runtime/orders.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "runtime/devices.h"
#include "runtime/log.h"
#include "runtime/option_table.h"
#include "runtime/words.h"

namespace vhbm {
namespace {

using Json = nlohmann::ordered_json;

struct Row {
  const char* name;
  std::string_view keys;
};
constexpr Row rows[] = {
#define ORDER(name, keys, text) {#name, keys},
#include "runtime/orders.def"
#undef ORDER
};

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const Row& row : rows) all.emplace_back(row.name);
  return all;
}

// A request that is not accepted, and why; ends at answer().
struct Refused {
  std::string why;
};

[[noreturn]] void refuse(std::string why) {
  throw Refused{std::move(why)};
}

[[noreturn]] void refuse(const std::string& key, const Json& value, const std::string& accepted) {
  refuse(key + " = " + value.dump(-1, ' ', false, Json::error_handler_t::replace) +
         " is not accepted: expected " + accepted);
}

std::string told(const Json& answer) {
  return answer.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string told_failure(const std::string& why) {
  return told({{"ok", false}, {"error", why}});
}

std::string text_of(const Json& request, const char* key, const std::string& accepted) {
  if (!request.contains(key)) refuse(std::string(key) + " is missing: expected " + accepted);
  if (!request[key].is_string()) refuse(key, request[key], accepted);
  return request[key].get<std::string>();
}

std::chrono::milliseconds time_of(const Json& request, const char* key,
                                  std::chrono::milliseconds otherwise) {
  if (!request.contains(key)) return otherwise;
  const Json& value = request[key];
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > 3'600'000) {
    refuse(key, value, "0 to 3600000 milliseconds");
  }
  return std::chrono::milliseconds(value.get<std::uint64_t>());
}

// Which regions an order is about.
struct Selection {
  std::optional<DeviceAddress> address;
  std::optional<RegionId> id;
  TagRule sizes;

  [[nodiscard]] bool matches(const Region& region) const {
    if (id) return region.view.id == *id;
    if (address) {
      return *address >= region.view.base && *address < region.view.base + region.mapped_size();
    }
    return sizes.matches(region.view.size);
  }
};

Bytes size_of(const Json& request, const char* key) {
  constexpr const char* accepted = "a size such as 8GiB, 512MiB or 4096 (bytes)";
  const Json& value = request[key];
  if (value.is_number_unsigned()) return {value.get<std::uint64_t>()};
  const auto size = parse_size(text_of(request, key, accepted));
  if (!size || size->is_automatic() || size->is_share()) refuse(key, value, accepted);
  return size->resolve({}, {});
}

Selection selection_of(const Json& request) {
  Selection made;
  if (request.contains("id")) {
    if (!request["id"].is_number_unsigned()) refuse("id", request["id"], "a region's number");
    made.id = RegionId{request["id"].get<std::uint64_t>()};
  } else if (request.contains("address")) {
    constexpr const char* accepted = "an address such as \"0x7f0000200000\"";
    const std::string text = text_of(request, "address", accepted);
    std::uint64_t value = 0;
    const bool hex = text.starts_with("0x");
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data() + (hex ? 2 : 0), end, value, hex ? 16 : 10);
    if (read.ec != std::errc() || read.ptr != end) refuse("address", request["address"], accepted);
    made.address = DeviceAddress{value};
  } else if (request.contains("min_size") || request.contains("max_size")) {
    if (request.contains("min_size")) made.sizes.min_size = size_of(request, "min_size");
    if (request.contains("max_size")) made.sizes.max_size = size_of(request, "max_size");
  } else {
    refuse("no region is named: expected id, address, or min_size and max_size");
  }
  return made;
}

// Does something to the regions that are meant; the answer says how many there are.
template <typename Change>
std::string change_regions(const Devices& devices, const Json& request, Change&& change) {
  const Selection selection = selection_of(request);
  std::uint64_t regions = 0, bytes = 0;
  devices.each([&](PagedDevice& one) {
    std::lock_guard lock(one.device->lock);
    for (Region* region : one.device->regions.live()) {
      if (!selection.matches(*region)) continue;
      change(*region);
      ++regions;
      bytes += region->view.size.value;
    }
  });
  if (regions == 0) refuse("no live region is meant by that");
  return told({{"ok", true}, {"regions", regions}, {"bytes", bytes}});
}

std::string hold(const Devices& devices, const Json& request) {
  const bool held = request.value("held", Json(true)) == Json(true);
  if (request.contains("held") && !request["held"].is_boolean()) {
    refuse("held", request["held"], "true or false");
  }
  return change_regions(devices, request, [&](Region& region) {
    // One that was shared is in one piece, which cannot move.
    region.held = held || region.whole != 0;
  });
}

std::string tag(const Devices& devices, const Json& request) {
  std::vector<std::string> words(std::begin(tag_names), std::end(tag_names));
  words.emplace_back("none");
  const std::string accepted = joined_with_or(words);
  const std::string word = text_of(request, "tag", accepted);
  const std::optional<Tag> tag = find_tag(word);
  if (!tag && word != "none") refuse("tag", request["tag"], accepted);
  return change_regions(devices, request, [&](Region& region) {
    region.tag = tag ? TagGuess{*tag, 100, "`vhbm tag`"} : TagGuess{};
  });
}

std::string set(Devices& devices, const Json& request) {
  std::vector<std::string> live;
  for (const OptionRow& row : option_rows()) {
    if (row.live) live.emplace_back(row.name);
  }
  const std::string name = text_of(request, "option", joined_with_or(live));
  const std::size_t which = find_option(name);
  if (which == option_count || !option_rows()[which].live) {
    refuse("option = \"" + name + "\" " +
           (which == option_count ? "is not known" : "cannot change while a process runs") +
           ": expected " + joined_with_or(live));
  }
  const OptionRow& row = option_rows()[which];
  const std::string text = text_of(request, "value", row.accepted);
  Options changed;
  devices.each([&](PagedDevice& one) {
    std::lock_guard lock(one.device->lock);
    changed = one.device->options;
  });
  if (const auto accepted = set_option(row, text, {}, changed)) {
    refuse(name + " = \"" + text + "\" is not accepted: expected " + *accepted);
  }
  if (changed.low_watermark.value > changed.high_watermark.value) {
    refuse(name + " = \"" + text + "\" is not accepted: low_watermark would be above " +
           "high_watermark");
  }
  devices.each([&](PagedDevice& one) { one.device->set(row, changed); });
  devices.sleep.sleep_after(changed.idle_seconds.length);
  return told({{"ok", true}, {"option", name}, {"value", row.write(changed)}});
}

std::string status(const Devices& devices) {
  Json all{{"ok", true},
           {"pid", devices.owner},
           {"state", name_of(devices.process.sleep.load())},
           {"devices", Json::array()},
           {"settings", Json::object()}};
  devices.each([&](PagedDevice& one) {
    const Stats& stats = one.device->stats;
    Json row{{"device", one.device->ordinal}, {"frozen", one.device->frozen()}};
    for (const Stat stat : {Stat::hbm_limit, Stat::host_limit, Stat::hbm_bytes, Stat::host_bytes,
                            Stat::resident_bytes, Stat::host_mapped_bytes, Stat::asleep_ns,
                            Stat::left_bytes, Stat::stayed_bytes, Stat::woken_bytes,
                            Stat::fall_asleep_ns, Stat::wake_ns, Stat::return_ns}) {
      row[stat_rows[static_cast<std::size_t>(stat)].name] = stats.get(stat);
    }
    all["devices"].push_back(std::move(row));
    std::lock_guard lock(one.device->lock);
    for (const OptionRow& option : option_rows()) {
      if (option.live) all["settings"][option.name] = option.write(one.device->options);
    }
  });
  return told(all);
}

ControlSocket::Answer at_once(std::string answer) {
  return [answer = std::move(answer)] { return std::optional(answer); };
}

// When what was asked of the sleep is done.
ControlSocket::Answer in_time(Sleep::Asked asked, const Devices& devices) {
  return [asked = std::move(asked), &devices]() -> std::optional<std::string> {
    if (!asked->done()) return std::nullopt;
    if (!asked->status().ok()) return told_failure(asked->status().message());
    std::uint64_t stayed = 0;
    devices.each([&](PagedDevice& one) { stayed += one.device->stats.get(Stat::stayed_bytes); });
    return told({{"ok", true},
                 {"state", name_of(devices.process.sleep.load())},
                 {"bytes", asked->moved().value},
                 {"stayed_bytes", stayed}});
  };
}

ControlSocket::Answer off(const Devices& devices) {
  devices.each([](PagedDevice& one) { one.device->stats.request_freeze(); });
  return [&devices]() -> std::optional<std::string> {
    bool all = true;
    devices.each([&](PagedDevice& one) { all = all && one.device->frozen(); });
    if (!all) return std::nullopt;
    return told({{"ok", true}, {"frozen", true}});
  };
}

// The device that a recording is of: the one that is named, or the only one that there is.
PagedDevice& recorded_device(const Devices& devices, const Json& request) {
  std::vector<std::string> numbers;
  PagedDevice* meant = nullptr;
  const auto named = request.find("device");
  devices.each([&](PagedDevice& one) {
    numbers.push_back(std::to_string(one.device->ordinal));
    if (named == request.end() || *named == Json(one.device->ordinal)) meant = &one;
  });
  const std::string accepted = joined_with_or(numbers);
  if (named != request.end() && meant == nullptr) refuse("device", *named, accepted);
  if (named == request.end() && numbers.size() > 1) {
    refuse("device is missing: this process has " + accepted);
  }
  if (meant == nullptr) refuse("this process has no device whose memory is paged");
  return *meant;
}

bool flag_of(const Json& request, const char* key) {
  if (!request.contains(key)) return false;
  if (!request[key].is_boolean()) refuse(key, request[key], "true or false");
  return request[key].get<bool>();
}

std::string told_recording(PagedDevice& one) {
  DeviceRecording& made = one.device->recording;
  const recording::Recorder::Progress progress = made.progress();
  const KernelRecording::Told kernels = one.device->process.kernels.told(made.recorder());
  Json answer({{"ok", true},
               {"on", progress.on},
               {"file", progress.file},
               {"written", progress.written.value},
               {"length_ns", progress.length.count()},
               {"records", progress.records},
               {"uses", progress.uses},
               {"left_out", progress.left_out},
               {"ended", progress.ended}});
  if (kernels.asked) {
    answer["kernels"] = kernels.kernels;
    answer["kernels_lost"] = kernels.lost;
    answer["no_kernels"] = kernels.why_not;
  }
  return told(answer);
}

std::string record(const Devices& devices, const Json& request) {
  constexpr const char* accepted = "an absolute path";
  constexpr Bytes least = kib(64);
  recording::Recorder::Wish wish;
  wish.file = text_of(request, "file", accepted);
  if (!wish.file.starts_with('/')) refuse("file", request["file"], accepted);
  wish.limit = request.contains("limit") ? size_of(request, "limit") : gib(1);
  if (wish.limit < least) refuse("limit", request["limit"], "a size of at least 64KiB");
  wish.length = time_of(request, "length_ms", std::chrono::milliseconds(0));
  wish.replace = flag_of(request, "replace");
  PagedDevice& one = recorded_device(devices, request);
  DeviceRecording& made = one.device->recording;
  KernelRecording& kernels = one.device->process.kernels;
  // Those of a recording that is under way stay its own.
  const bool with_kernels = flag_of(request, "kernels") && !made.is_on();
  if (!made.is_on()) kernels.forget(made.recorder());
  if (with_kernels) kernels.join(wish, made.recorder(), one.device->ordinal);
  if (Status status = made.start(wish); !status.ok()) {
    if (with_kernels) kernels.leave();
    refuse(status.message());
  }
  return told_recording(one);
}

std::string recording_of(const Devices& devices, const Json& request) {
  PagedDevice& one = recorded_device(devices, request);
  if (flag_of(request, "end")) one.device->recording.stop("it was told to end");
  return told_recording(one);
}

Json parse(const std::string& request) {
  const std::string_view text = trimmed(request);
  if (!text.starts_with('{')) return {{"command", std::string(text)}};
  Json made = Json::parse(text, nullptr, false);
  if (made.is_discarded()) refuse("the request is no JSON object");
  return made;
}

bool accepts(const Row& row, std::string_view key) {
  for (std::string_view left = row.keys; !left.empty();) {
    const std::size_t end = std::min(left.find(' '), left.size());
    if (left.substr(0, end) == key) return true;
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return false;
}

const Row& row_of(const Json& request) {
  const std::string accepted = joined_with_or(names());
  const std::string name = text_of(request, "command", accepted);
  for (const Row& row : rows) {
    if (name != row.name) continue;
    for (const auto& [key, value] : request.items()) {
      if (key != "command" && !accepts(row, key)) {
        refuse("the key \"" + key + "\" is not known: " + name + " accepts " +
               (row.keys.empty() ? "none" : std::string(row.keys)));
      }
    }
    return row;
  }
  refuse("command", request["command"], accepted);
}

}  // namespace

void Orders::start() {
  Status status = socket_.start(state_directory(devices_.options.state_dir),
                                [this](const std::string& request) { return answer(request); });
  if (!status.ok()) log_warn("this process takes no orders: {}", status.message());
}

ControlSocket::Answer Orders::answer(const std::string& text) {
  try {
    const Json request = parse(text);
    const std::string_view name = row_of(request).name;
    if (name == "sleep") {
      return in_time(
          devices_.sleep.fall_asleep(time_of(request, "patience_ms", Sleep::patience_with_gpu),
                                     time_of(request, "hold_ms", std::chrono::milliseconds(0))),
          devices_);
    }
    if (name == "wake") return in_time(devices_.sleep.wake(), devices_);
    if (name == "off") return off(devices_);
    if (name == "hold") return at_once(hold(devices_, request));
    if (name == "tag") return at_once(tag(devices_, request));
    if (name == "set") return at_once(set(devices_, request));
    if (name == "record") return at_once(record(devices_, request));
    if (name == "recording") return at_once(recording_of(devices_, request));
    return at_once(status(devices_));
  } catch (const Refused& refused) {
    return at_once(told_failure(refused.why));
  } catch (const Json::exception& error) {
    return at_once(told_failure(error.what()));
  }
}

}  // namespace vhbm
