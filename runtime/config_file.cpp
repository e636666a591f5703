// Every entry is looked at, also after a refusal, so that a user mends a file in one go.
#include "runtime/config_file.h"

#include <algorithm>

#include "runtime/file_refusals.h"
#include "runtime/option_forms.h"
#include "runtime/option_table.h"
#include "runtime/text_file.h"
#include "runtime/toml_document.h"
#include "runtime/words.h"

namespace vhbm {
namespace {

constexpr const char* tag_table = "tag";

// The keys of a [[tag]] table. A size there is one of bytes: there is no whole to have a share of.
constexpr const char* accepted_bytes = "a size such as 8GiB, 512MiB or 4096 (bytes)";

bool read_bytes(std::string_view text, Bytes& bytes) {
  const auto size = parse_size(text);
  if (!size || size->is_automatic() || size->is_share()) return false;
  bytes = size->resolve({}, {});
  return true;
}

struct TagKey {
  const char* name;
  const char* accepted;
  bool (*read)(std::string_view text, TagRule& rule);
};
constexpr TagKey tag_keys[] = {
    {"min_size", accepted_bytes,
     [](std::string_view text, TagRule& rule) { return read_bytes(text, rule.min_size); }},
    {"max_size", accepted_bytes,
     [](std::string_view text, TagRule& rule) { return read_bytes(text, rule.max_size); }},
    {"is", "weights, kv, workspace or other",
     [](std::string_view text, TagRule& rule) {
       rule.tag = find_tag(text);
       return rule.tag.has_value();
     }},
    {"held", Form<bool>::accepted,
     [](std::string_view text, TagRule& rule) { return Form<bool>::read(text, rule.held); }},
};

std::string hint(std::string_view word, const std::vector<std::string>& known,
                 const std::string& otherwise) {
  const auto nearest = nearest_word(word, known);
  return nearest ? "did you mean " + *nearest + "?" : otherwise;
}

class Reader {
 public:
  Reader(const std::string& path, const KnownWords& words, Options& options)
      : path_(path), words_(words), options_(options), refusals_(path) {}

  void take(const TomlDocument& document) {
    for (const TomlEntry& entry : document.entries) take_option(entry);
    for (const TomlTable& table : document.tables) {
      if (table.name == tag_table) {
        take_rule(table);
      } else {
        refuse(table.line, "[[" + table.name + "]] is not known: expected [[tag]]");
      }
    }
  }

  void refuse(std::size_t line, const std::string& what) { refusals_.add(line, what); }
  [[nodiscard]] std::vector<std::string> refusals() const { return refusals_.told(); }

 private:
  void refuse_value(const TomlEntry& entry, const std::string& accepted) {
    refuse(entry.line,
           entry.key + " = " + entry.written + " is not accepted: expected " + accepted);
  }

  void take_option(const TomlEntry& entry) {
    if (entry.key == tag_table) {
      refuse(entry.line, "tag is a list of tables: each begins with the line [[tag]]");
      return;
    }
    const std::size_t id = find_option(entry.key);
    if (id == option_count) {
      refuse_unknown(entry);
      return;
    }
    const OptionRow& row = option_rows()[id];
    auto accepted =
        entry.value ? set_option(row, *entry.value, words_, options_) : accepted_by(row, words_);
    if (accepted) {
      refuse_value(entry, *accepted);
    } else {
      options_.origins[id] = {Origin::Kind::file, path_ + ":" + std::to_string(entry.line)};
    }
  }

  void refuse_unknown(const TomlEntry& entry) {
    const bool is_table = entry.written == "{...}";
    refuse(entry.line, "option " + shown(entry.key) + " is not known: " +
                           (is_table ? "options stand at the top, in no table"
                                     : hint(entry.key, option_names(),
                                            "`vhbm config options` lists what there is")));
  }

  void take_rule(const TomlTable& table) {
    TagRule rule;
    const std::size_t refused_before = refusals_.count();
    for (const TomlEntry& entry : table.entries) take_rule_entry(entry, rule);
    if (refusals_.count() != refused_before) return;
    if (rule.min_size > rule.max_size) {
      refuse(table.line, "[[tag]] matches nothing: min_size is above max_size");
    } else if (!rule.tag && !rule.held) {
      refuse(table.line,
             "[[tag]] says nothing: expected is = \"weights\" or the like, or held = true");
    } else {
      options_.tag_rules.push_back(rule);
    }
  }

  void take_rule_entry(const TomlEntry& entry, TagRule& rule) {
    const auto* key = std::find_if(std::begin(tag_keys), std::end(tag_keys),
                                   [&](const TagKey& one) { return entry.key == one.name; });
    if (key != std::end(tag_keys)) {
      if (!entry.value || !key->read(trimmed(*entry.value), rule))
        refuse_value(entry, key->accepted);
      return;
    }
    if (find_option(entry.key) != option_count) {
      refuse(entry.line,
             entry.key + " is no key of [[tag]]: options stand above the first [[tag]]");
      return;
    }
    std::vector<std::string> names;
    for (const TagKey& one : tag_keys) names.emplace_back(one.name);
    refuse(entry.line, "key " + shown(entry.key) + " of [[tag]] is not known: " +
                           hint(entry.key, names, "expected " + joined_with_or(names)));
  }

  const std::string& path_;
  const KnownWords& words_;
  Options& options_;
  FileRefusals refusals_;
};

}  // namespace

std::vector<std::string> read_config_text(const std::string& text, const std::string& path,
                                          const KnownWords& words, Options& options) {
  Reader reader(path, words, options);
  const TomlParse parse = parse_toml(text);
  if (parse.error) {
    reader.refuse(parse.error->line, parse.error->text);
  } else {
    reader.take(parse.document);
  }
  return reader.refusals();
}

std::vector<std::string> read_config_file(const std::string& path, const KnownWords& words,
                                          Options& options) {
  std::string why;
  const auto text = read_text_file(path, &why);
  if (!text) return {path + ": " + why};
  return read_config_text(*text, path, words, options);
}

}  // namespace vhbm
