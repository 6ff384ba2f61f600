// The version of this build, from the project's CMakeLists.txt.
#pragma once

#include <string_view>

namespace tidemark {

// "0.1.0"
std::string_view Version();

}  // namespace tidemark
