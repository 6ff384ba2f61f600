// A line of words with quotes, as inline commands and configuration files have it. The rules are those of Redis's
// sdssplitargs: words stand between spaces; "…" knows \n \r \t \b \a \xHH and takes any other escaped character
// as itself; '…' knows only \'; a closing quote is followed by a space or the end; a zero byte ends the line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidemark {

// Splits `line` into `out`, whose views point into *storage; both are cleared first. False when quotes are not
// balanced.
bool SplitArguments(std::string_view line, std::string* storage, std::vector<std::string_view>* out);

// `text` as one word that SplitArguments reads back: bare where that is possible, else in double quotes.
std::string QuoteArgument(std::string_view text);

}  // namespace tidemark
