// The table of options as text for people.
#pragma once

#include <string>

namespace tidemark::config {

// docs/configuration.md, whole. A test holds the file to it.
std::string Documentation();

// A page of `--help`: names, defaults and meaning of the options that have an effect here.
std::string HelpText();

}  // namespace tidemark::config
