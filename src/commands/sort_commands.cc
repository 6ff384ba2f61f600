// SORT and SORT_RO: the elements of a list, a set or a sorted set, put in order by what they are or by what other keys
// say of them, and answered or stored with what other keys have.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands/data_families.h"
#include "commands/spec.h"
#include "types/hash.h"
#include "types/list.h"
#include "types/zset.h"

namespace tidemark::commands {
namespace {

using types::Key;
using types::Keyspace;
using types::Type;

// Where the value of an element stands: `weight_*` is a string, `object_*->field` a field of a hash, with the element
// in place of the first star; `#` is the element itself. Without a star there is no such place.
class Pattern {
 public:
  explicit Pattern(std::string_view text) : is_element_(text == "#"), star_(text.find('*')), text_(text) {
    if (star_ == std::string_view::npos) return;
    const size_t arrow = text.find("->", star_ + 1);
    if (arrow == std::string_view::npos || arrow + 2 == text.size()) return;
    field_ = text.substr(arrow + 2);
    text_ = text.substr(0, arrow);
  }
  bool has_star() const { return star_ != std::string_view::npos; }

  // nullopt when there is none.
  absl::StatusOr<std::optional<std::string>> Value(Keyspace& keyspace, std::string_view element) const {
    if (is_element_) return std::string(element);
    if (!has_star()) return std::nullopt;
    const std::string name = fmt::format("{}{}{}", text_.substr(0, star_), element, text_.substr(star_ + 1));
    TM_ASSIGN_OR_RETURN(const Key key, keyspace.Lookup(name));
    if (key.type != (field_ ? Type::kHash : Type::kString)) return std::nullopt;
    if (!field_) return std::string(key.string);
    TM_ASSIGN_OR_RETURN(const kv::Value row, keyspace.GetMemberRow(key.collection, *field_));
    if (!row) return std::nullopt;
    return std::string(Keyspace::MemberBytes(row));
  }

 private:
  bool is_element_;
  size_t star_;
  std::string_view text_;
  std::optional<std::string_view> field_;
};

struct SortOptions {
  bool descending = false;
  bool alpha = false;
  bool as_it_is = false;  // BY a pattern without a star
  int64_t offset = 0;
  int64_t count = -1;
  std::optional<Pattern> by;
  std::vector<Pattern> gets;
  std::optional<std::string_view> store;

  static absl::StatusOr<SortOptions> Parse(Args args, bool may_store) {
    SortOptions options;
    for (size_t i = 2; i < args.size(); ++i) {
      const size_t left = args.size() - i - 1;
      const auto is = [&](std::string_view word, size_t values) {
        return left >= values && EqualsIgnoreCase(args[i], word);
      };
      if (is("asc", 0)) {
        options.descending = false;
      } else if (is("desc", 0)) {
        options.descending = true;
      } else if (is("alpha", 0)) {
        options.alpha = true;
      } else if (is("limit", 2)) {
        TM_ASSIGN_OR_RETURN(options.offset, IntegerArg(args[++i]));
        TM_ASSIGN_OR_RETURN(options.count, IntegerArg(args[++i]));
      } else if (may_store && is("store", 1)) {
        options.store = args[++i];
      } else if (is("by", 1)) {
        options.by = Pattern(args[++i]);
        options.as_it_is = options.as_it_is || !options.by->has_star();
      } else if (is("get", 1)) {
        options.gets.emplace_back(args[++i]);
      } else {
        return SyntaxError();
      }
    }
    return options;
  }
};

// The part of `length` elements that LIMIT asks for.
struct Part {
  uint64_t begin = 0;
  uint64_t size = 0;

  static Part Of(const SortOptions& options, uint64_t length) {
    const auto all = static_cast<int64_t>(length);
    const int64_t begin = std::clamp<int64_t>(options.offset, 0, all);
    const int64_t count = options.count < 0 ? all : std::min(options.count, all);
    return {static_cast<uint64_t>(begin), static_cast<uint64_t>(std::min(count, all - begin))};
  }
};

using Elements = std::vector<std::string>;

absl::StatusOr<Elements> ListElements(Keyspace& keyspace, const Key& key, Part part, bool backward) {
  Elements elements;
  const auto gather = [&](uint64_t, std::string_view element) {
    elements.emplace_back(element);
    return true;
  };
  TM_ASSIGN_OR_RETURN(types::List list, types::List::Find(keyspace, key.name));
  TM_RETURN_IF_ERROR(backward ? list.VisitBackward(list.size() - part.begin, part.size, gather)
                              : list.Visit(part.begin, part.size, gather));
  return elements;
}

absl::StatusOr<Elements> ZsetElements(Keyspace& keyspace, const Key& key, Part part, bool backward) {
  Elements elements;
  TM_ASSIGN_OR_RETURN(types::Zset zset, types::Zset::Find(keyspace, key.name));
  TM_RETURN_IF_ERROR(zset.Visit({}, backward, part.begin, part.size, [&](std::string_view member, double) {
    elements.emplace_back(member);
    return true;
  }));
  return elements;
}

absl::StatusOr<Elements> SetElements(Keyspace& keyspace, const Key& key) {
  Elements elements;
  TM_RETURN_IF_ERROR(keyspace.VisitMembers(key.collection, 0, std::numeric_limits<size_t>::max(),
                                           [&](std::string_view member, std::string_view, uint32_t) {
                                             elements.emplace_back(member);
                                             return true;
                                           }));
  return elements;
}

// The elements that are to be put in order, all of them, or, where they stay as they are, those of the part alone.
absl::StatusOr<Elements> LoadElements(Keyspace& keyspace, const Key& key, const SortOptions& options) {
  const Part part = options.as_it_is ? Part::Of(options, key.count) : Part{0, key.count};
  const bool backward = options.as_it_is && options.descending;
  if (key.type == Type::kList) return ListElements(keyspace, key, part, backward);
  if (key.type == Type::kZset) return ZsetElements(keyspace, key, part, backward);
  TM_ASSIGN_OR_RETURN(Elements elements, SetElements(keyspace, key));
  if (!options.as_it_is) return elements;
  const auto begin = elements.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(part.begin, elements.size()));
  const auto size = static_cast<std::ptrdiff_t>(std::min<size_t>(part.size, elements.end() - begin));
  return Elements(std::make_move_iterator(begin), std::make_move_iterator(begin + size));
}

// An element with what decides its place.
struct Item {
  std::string element;
  double score = 0;
  std::optional<std::string> word;  // with ALPHA; none sorts first
};

// As Redis reads it: what strtod takes, empty for 0, up to a zero byte. nullopt otherwise.
std::optional<double> ScoreOf(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const double score = std::strtod(text.c_str(), &end);
  if (*end != '\0' || errno == ERANGE || std::isnan(score)) return std::nullopt;
  return score;
}

absl::StatusOr<std::vector<Item>> Weigh(Keyspace& keyspace, Elements elements, const SortOptions& options) {
  std::vector<Item> items;
  items.reserve(elements.size());
  bool bad_score = false;
  for (std::string& element : elements) {
    Item item;
    item.element = std::move(element);
    std::optional<std::string> weight;
    if (options.by) {
      TM_ASSIGN_OR_RETURN(weight, options.by->Value(keyspace, item.element));
    } else if (!options.alpha) {
      weight = item.element;
    }
    if (options.alpha) {
      item.word = std::move(weight);
    } else if (weight) {
      const std::optional<double> score = ScoreOf(*weight);
      bad_score = bad_score || !score;
      item.score = score.value_or(0);
    }
    items.push_back(std::move(item));
  }
  if (bad_score) return InvalidArgument("ERR One or more scores can't be converted into double");
  return items;
}

bool Before(const Item& a, const Item& b) {
  if (a.score != b.score) return a.score < b.score;
  if (a.word != b.word) return a.word < b.word;
  return a.element < b.element;
}

absl::StatusOr<Elements> Sorted(Keyspace& keyspace, Elements elements, const SortOptions& options) {
  const Part part = Part::Of(options, elements.size());
  TM_ASSIGN_OR_RETURN(std::vector<Item> items, Weigh(keyspace, std::move(elements), options));
  const auto begin = items.begin() + static_cast<std::ptrdiff_t>(part.begin);
  const auto end = begin + static_cast<std::ptrdiff_t>(part.size);
  std::partial_sort(items.begin(), end, items.end(),
                    [&](const Item& a, const Item& b) { return options.descending ? Before(b, a) : Before(a, b); });
  Elements sorted;
  sorted.reserve(part.size);
  for (auto item = begin; item != end; ++item) sorted.push_back(std::move(item->element));
  return sorted;
}

// Calls `take` for each value of the reply.
template <typename Take>
absl::Status TakeValues(Keyspace& keyspace, const Elements& elements, const SortOptions& options, const Take& take) {
  for (const std::string& element : elements) {
    if (options.gets.empty()) take(std::optional<std::string>(element));
    for (const Pattern& pattern : options.gets) {
      TM_ASSIGN_OR_RETURN(std::optional<std::string> value, pattern.Value(keyspace, element));
      take(std::move(value));
    }
  }
  return absl::OkStatus();
}

absl::Status Answer(Context& ctx, const Elements& elements, const SortOptions& options) {
  ctx.out.Array(elements.size() * std::max<size_t>(options.gets.size(), 1));
  return TakeValues(ctx.keys(), elements, options, [&](const std::optional<std::string>& value) {
    if (value) {
      ctx.out.Bulk(*value);
    } else {
      ctx.out.Null();
    }
  });
}

// Values are gathered before the first change: they may come from the destination.
absl::Status Store(Context& ctx, const Elements& elements, const SortOptions& options) {
  Elements values;
  TM_RETURN_IF_ERROR(TakeValues(ctx.keys(), elements, options, [&](std::optional<std::string> value) {
    values.push_back(std::move(value).value_or(""));
  }));
  TM_ASSIGN_OR_RETURN(Key target, ctx.keys().Find(*options.store));
  const bool removed = ctx.keys().Remove(&target);
  if (!values.empty()) {
    TM_ASSIGN_OR_RETURN(types::List list, types::List::Find(ctx.keys(), *options.store));
    for (const std::string& value : values) list.Push(types::ListEnd::kRight, value);
    list.Commit();
    ctx.keys().Notify(types::EventClass::kList, "sortstore", *options.store);
  } else if (removed) {
    ctx.keys().Notify(types::EventClass::kGeneric, "del", *options.store);
  }
  ctx.out.Integer(static_cast<int64_t>(values.size()));
  return absl::OkStatus();
}

absl::Status SortKey(Context& ctx, bool may_store) {
  TM_ASSIGN_OR_RETURN(SortOptions options, SortOptions::Parse(ctx.args, may_store));
  TM_ASSIGN_OR_RETURN(const Key key, ctx.keys().Lookup(ctx.args[1]));
  const bool sortable = key.type == Type::kList || key.type == Type::kSet || key.type == Type::kZset;
  if (key && !sortable) return types::WrongType();
  // The order of a set is nothing to build on, so what is stored or seen by a script is put in one.
  if (options.as_it_is && key.type == Type::kSet && (options.store || ctx.in_script)) {
    options.as_it_is = false;
    options.alpha = true;
    options.by.reset();
  }
  Elements elements;
  if (key) {
    TM_ASSIGN_OR_RETURN(elements, LoadElements(ctx.keys(), key, options));
    if (!options.as_it_is) {
      TM_ASSIGN_OR_RETURN(elements, Sorted(ctx.keys(), std::move(elements), options));
    }
  }
  return options.store ? Store(ctx, elements, options) : Answer(ctx, elements, options);
}

absl::Status Sort(Context& ctx) { return SortKey(ctx, true); }
absl::Status SortRo(Context& ctx) { return SortKey(ctx, false); }

// The key, and the destination; of several, the last one counts.
std::vector<int> SortKeys(Args args) {
  int destination = 0;
  for (size_t i = 2; i + 1 < args.size(); ++i) {
    if (EqualsIgnoreCase(args[i], "limit")) {
      i += 2;
    } else if (EqualsIgnoreCase(args[i], "get") || EqualsIgnoreCase(args[i], "by")) {
      ++i;
    } else if (EqualsIgnoreCase(args[i], "store")) {
      destination = static_cast<int>(++i);
    }
  }
  return destination == 0 ? std::vector<int>{1} : std::vector<int>{1, destination};
}
std::vector<int> SortRoKeys(Args /*args*/) { return {1}; }

constexpr CommandSpec Spec(std::string_view name, uint32_t flags, std::string_view since, Handler handler,
                           std::vector<int> (*find_keys)(Args), std::string_view syntax, std::string_view summary) {
  CommandSpec spec = MakeSpec(
      "generic", name, -2, flags | kMovableKeys, kFirstKey, (flags & kWrite) != 0 ? "RO access/OW update" : "RO access",
      since, handler, syntax,
      "O(N+M*log(M)), N being the number of elements and M that of those returned; O(N) when they are not sorted",
      summary);
  spec.find_keys = find_keys;
  return spec;
}

constexpr CommandSpec kSortCommands[] = {
    Spec("sort", kWrite | kDenyOom, "1.0.0", Sort, SortKeys,
         "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] "
         "[STORE destination]",
         "Returns or stores the elements of a list, set or sorted set in order."),
    Spec("sort_ro", kReadonly, "7.0.0", SortRo, SortRoKeys,
         "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
         "Returns the elements of a list, set or sorted set in order."),
};

}  // namespace

std::span<const CommandSpec> SortCommands() { return kSortCommands; }

}  // namespace tidemark::commands
