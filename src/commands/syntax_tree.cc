#include "commands/syntax_tree.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tidemark::commands {
namespace {

using Type = Argument::Type;

bool IsBracket(char c) { return c == '[' || c == ']' || c == '<' || c == '>' || c == '|'; }

std::vector<std::string> Tokens(std::string_view text) {
  std::vector<std::string> tokens;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == ' ') {
      ++i;
    } else if (IsBracket(text[i])) {
      tokens.emplace_back(1, text[i++]);
    } else {
      const size_t begin = i;
      while (i < text.size() && text[i] != ' ' && !IsBracket(text[i])) ++i;
      tokens.emplace_back(text.substr(begin, i - begin));
    }
  }
  return tokens;
}

// Tokens are what a client types literally: upper case, or a sign.
bool IsLiteral(std::string_view word) {
  return std::none_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

std::string Lower(std::string_view word) {
  std::string lower(word);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return lower;
}

// The type that a value's name stands for throughout Redis's documentation.
Type TypeOfName(std::string_view name) {
  static constexpr std::string_view kIntegers[] = {
      "seconds",   "milliseconds", "count",          "index",   "offset",       "start",     "end",
      "timeout",   "decrement",    "length",         "len",     "bit",          "cursor",    "numkeys",
      "db",        "ttl",          "index1",         "index2",  "protover",     "client-id", "frequency",
      "value-bit", "numreplicas",  "destination-db", "version", "min-match-len"};
  if (name == "key" || name == "newkey" || name == "destination" || name == "source" || name == "destkey" ||
      name == "key1" || name == "key2" || name == "srckey" || name == "dst" || name == "src") {
    return Type::kKey;
  }
  if (name == "pattern") return Type::kPattern;
  if (name.starts_with("unix-time")) return Type::kUnixTime;
  if (std::find(std::begin(kIntegers), std::end(kIntegers), name) != std::end(kIntegers)) return Type::kInteger;
  return Type::kString;
}

Argument Word(const std::string& word) {
  Argument argument;
  argument.name = Lower(word);
  if (IsLiteral(word)) {
    argument.type = Type::kPureToken;
    argument.token = word;
  } else {
    argument.type = TypeOfName(word);
  }
  return argument;
}

// Several arguments as one. The token of "AUTH username password" is the whole's, not the first value's.
Argument Joined(std::vector<Argument> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  Argument block;
  block.type = Type::kBlock;
  const bool plain = std::all_of(parts.begin() + 1, parts.end(),
                                 [](const Argument& part) { return !part.optional && part.token.empty(); });
  const bool leads = !parts.front().optional && parts.front().type != Type::kPureToken;
  if (plain && leads) block.token = std::exchange(parts.front().token, "");
  for (const Argument& part : parts) {
    if (!part.optional) block.name += (block.name.empty() ? "" : "_") + part.name;
  }
  if (block.name.empty()) block.name = parts.front().name;
  block.parts = std::move(parts);
  return block;
}

class Parser {
 public:
  explicit Parser(std::string_view syntax) : syntax_(syntax), tokens_(Tokens(syntax)) {}

  std::vector<Argument> Parse() {
    std::vector<Argument> arguments = Sequence();
    TM_CHECK(at_ == tokens_.size(), "a bracket is not opened in \"{}\"", syntax_);
    return arguments;
  }

 private:
  bool Ended() const {
    return at_ == tokens_.size() || tokens_[at_] == "]" || tokens_[at_] == ">" || tokens_[at_] == "|";
  }

  std::vector<Argument> Sequence() {
    std::vector<Argument> arguments;
    size_t begin = at_;
    while (!Ended()) {
      if (const size_t covered = Repetition(begin); covered > 0) {
        MarkMultiple(&arguments, covered);
        continue;
      }
      if (tokens_[at_] == "[" || tokens_[at_] == "<") {
        arguments.push_back(Bracket());
      } else {
        arguments.push_back(Word(tokens_[at_++]));
      }
    }
    return WithTokens(std::move(arguments));
  }

  // At "[x y ...]" where "x y" are the words just before: their number, with the whole taken off; else 0.
  size_t Repetition(size_t begin) {
    if (tokens_[at_] != "[") return 0;
    size_t depth = 0;
    size_t close = at_;
    for (; close < tokens_.size(); ++close) {
      if (tokens_[close] == "[" || tokens_[close] == "<") ++depth;
      if ((tokens_[close] == "]" || tokens_[close] == ">") && --depth == 0) break;
    }
    if (close == tokens_.size() || close < at_ + 3 || tokens_[close - 1] != "...") return 0;
    const size_t words = close - 2 - at_;
    if (at_ - begin < words) return 0;
    if (!std::equal(tokens_.begin() + static_cast<ptrdiff_t>(at_ + 1),
                    tokens_.begin() + static_cast<ptrdiff_t>(close - 1),
                    tokens_.begin() + static_cast<ptrdiff_t>(at_ - words))) {
      return 0;
    }
    at_ = close + 1;
    return words;
  }

  // The last `words` words are one argument that may be given several times.
  static void MarkMultiple(std::vector<Argument>* arguments, size_t words) {
    const size_t count = std::min(words, arguments->size());
    const bool bracketed = words > 1 && arguments->back().type == Type::kOneOf;
    const size_t joined = bracketed ? 1 : count;
    std::vector<Argument> last(arguments->end() - static_cast<ptrdiff_t>(joined), arguments->end());
    arguments->resize(arguments->size() - joined);
    Argument repeated = Joined(WithTokens(std::move(last)));
    repeated.multiple = true;
    repeated.multiple_token = !repeated.token.empty();
    arguments->push_back(std::move(repeated));
  }

  Argument Bracket() {
    const bool optional = tokens_[at_++] == "[";
    std::vector<Argument> choices;
    do {
      choices.push_back(Joined(Sequence()));
    } while (at_ < tokens_.size() && tokens_[at_] == "|" && ++at_ > 0);
    TM_CHECK(at_ < tokens_.size() && tokens_[at_] == (optional ? "]" : ">"), "a bracket is not closed in \"{}\"",
             syntax_);
    ++at_;
    Argument argument;
    if (choices.size() == 1) {
      argument = std::move(choices.front());
    } else {
      argument.type = Type::kOneOf;
      for (const Argument& choice : choices) argument.name += (argument.name.empty() ? "" : "_") + choice.name;
      argument.parts = std::move(choices);
    }
    argument.optional = optional;
    return argument;
  }

  // Joins a token with the value right behind it: "COUNT count", "BY <a | b>".
  static std::vector<Argument> WithTokens(std::vector<Argument> arguments) {
    std::vector<Argument> joined;
    for (Argument& argument : arguments) {
      const bool introduced = !joined.empty() && joined.back().type == Type::kPureToken && !joined.back().optional &&
                              !joined.back().multiple && argument.type != Type::kPureToken && !argument.optional &&
                              argument.token.empty();
      if (introduced) {
        argument.token = joined.back().token;
        joined.back() = std::move(argument);
      } else {
        joined.push_back(std::move(argument));
      }
    }
    return joined;
  }

  std::string_view syntax_;
  std::vector<std::string> tokens_;
  size_t at_ = 0;
};

}  // namespace

std::string_view TypeName(Argument::Type type) {
  static constexpr std::string_view kNames[] = {"string",    "integer",    "double", "key",  "pattern",
                                                "unix-time", "pure-token", "oneof",  "block"};
  return kNames[static_cast<size_t>(type)];
}

std::vector<Argument> ParseSyntax(std::string_view syntax) { return Parser(syntax).Parse(); }

}  // namespace tidemark::commands
