#include <gtest/gtest.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "commands/command.h"
#include "commands/commands_page.h"

namespace tidemark::commands {
namespace {

TEST(CommandTableTest, FindsEveryCommandInAnyCaseAndNothingElse) {
  const CommandTable& table = CommandTable::Get();
  for (const CommandSpec* spec : table.all()) {
    std::string upper(spec->name);
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    EXPECT_EQ(table.Find(spec->name), spec);
    EXPECT_EQ(table.Find(upper), spec);
    EXPECT_EQ(table.Find(upper + "!"), nullptr);
  }
  EXPECT_EQ(table.Find(""), nullptr);
  EXPECT_EQ(table.Find(std::string_view("get\0", 4)), nullptr);
  EXPECT_EQ(table.Find(std::string(100'000, 'g')), nullptr);
}

TEST(CommandTableTest, ResolvesSubcommandsAndNumbersAll) {
  const CommandTable& table = CommandTable::Get();
  const std::string_view known[] = {"CONFIG", "Get", "x"};
  EXPECT_EQ(table.row(*table.Resolve(known)).full_name, "config|get");
  const std::string_view unknown[] = {"config", "got"};
  EXPECT_EQ(table.row(*table.Resolve(unknown)).full_name, "config");
  for (size_t i = 0; i < table.rows().size(); ++i) EXPECT_EQ(table.Number(*table.rows()[i].spec), i);
}

TEST(CommandTableTest, EveryRowIsWhole) {
  for (const CommandTable::Row& row : CommandTable::Get().rows()) {
    const CommandSpec& spec = *row.spec;
    EXPECT_NE(spec.handler, nullptr) << row.full_name;
    EXPECT_NE(spec.arity, 0) << row.full_name;
    EXPECT_FALSE(spec.summary.empty()) << row.full_name;
    EXPECT_FALSE(spec.since.empty()) << row.full_name;
    EXPECT_FALSE(spec.group.empty()) << row.full_name;
    EXPECT_FALSE((spec.flags & kWrite) != 0 && (spec.flags & kReadonly) != 0) << row.full_name;
  }
}

TEST(CommandTableTest, FindsKeysByTheirPositions) {
  const CommandTable& table = CommandTable::Get();
  const std::string_view mset[] = {"mset", "a", "1", "b", "2"};
  EXPECT_EQ(FindKeys(*table.Find("mset"), mset), (std::vector<int>{1, 3}));
  const std::string_view ping[] = {"ping"};
  EXPECT_TRUE(FindKeys(*table.Find("ping"), ping).empty());
}

// TM_WRITE_DOCS=1 writes the page instead of comparing it.
TEST(CommandTableTest, ThePageEqualsTheTable) {
  const auto path = std::filesystem::path(TM_SOURCE_DIR) / "docs" / "commands.md";
  if (std::getenv("TM_WRITE_DOCS") != nullptr) std::ofstream(path) << CommandsPage();
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_EQ(text.str(), CommandsPage()) << "run TM_WRITE_DOCS=1 commands_test";
}

}  // namespace
}  // namespace tidemark::commands
