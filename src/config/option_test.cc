#include "config/option.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/document.h"

namespace tidemark::config {
namespace {

TEST(OptionTest, EveryOptionSaysWhatItDoesOrThatItDoesNothing) {
  for (size_t i = 0; i < OptionCount(); ++i) {
    const Option& option = OptionAt(i);
    EXPECT_NE(option.summary.empty(), !option.no_effect) << option.name;
    EXPECT_LE(option.min, option.max) << option.name;
    EXPECT_EQ(option.choices.empty(), option.type != Type::kEnum) << option.name;
    EXPECT_EQ(IndexOf(*FindOption(option.name)), i);
  }
}

TEST(OptionTest, NearestName) {
  EXPECT_EQ(NearestName("appendsync"), "appendfsync");
  EXPECT_EQ(NearestName("IO-THREAD"), "io-threads");
  EXPECT_EQ(NearestName("slave-readonly"), "slave-read-only");
  EXPECT_EQ(NearestName("zzzzzzzzzz"), "");
  EXPECT_EQ(NearestName(std::string(100'000, 'x')), "");
}

std::filesystem::path DocumentPath() { return std::filesystem::path(TM_SOURCE_DIR) / "docs" / "configuration.md"; }

// TM_WRITE_DOCS=1 writes the document instead of comparing it.
TEST(OptionTest, TheDocumentEqualsTheTable) {
  if (std::getenv("TM_WRITE_DOCS") != nullptr) {
    std::filesystem::create_directories(DocumentPath().parent_path());
    std::ofstream(DocumentPath()) << Documentation();
  }
  std::stringstream text;
  text << std::ifstream(DocumentPath()).rdbuf();
  EXPECT_EQ(text.str(), Documentation()) << "run TM_WRITE_DOCS=1 config_test";
}

TEST(OptionTest, HelpHasWhatHasAnEffect) {
  const std::string help = HelpText();
  EXPECT_NE(help.find("--port "), std::string::npos);
  EXPECT_NE(help.find("[64mb]"), std::string::npos);
  EXPECT_EQ(help.find("rdbcompression"), std::string::npos);
}

}  // namespace
}  // namespace tidemark::config
