#include "commands/syntax_tree.h"

#include <gtest/gtest.h>

namespace tidemark::commands {
namespace {

// One argument as text: name:type, +TOKEN, ? optional, * multiple, ** with the token repeated, (parts).
std::string Text(const Argument& argument) {
  std::string text = argument.name + ":" + std::string(TypeName(argument.type));
  if (!argument.token.empty()) text += "+" + argument.token;
  if (argument.optional) text += "?";
  if (argument.multiple) text += argument.multiple_token ? "**" : "*";
  if (argument.parts.empty()) return text;
  text += "(";
  for (const Argument& part : argument.parts) text += (text.back() == '(' ? "" : " ") + Text(part);
  return text + ")";
}

std::string Text(std::string_view syntax) {
  std::string text;
  for (const Argument& argument : ParseSyntax(syntax)) text += (text.empty() ? "" : " ") + Text(argument);
  return text;
}

TEST(SyntaxTreeTest, ReadsTheFormsOfTheDocumentation) {
  EXPECT_EQ(Text(""), "");
  EXPECT_EQ(Text("key value"), "key:key value:string");
  EXPECT_EQ(Text("key [key ...]"), "key:key*");
  EXPECT_EQ(Text("[channel [channel ...]]"), "channel:string?*");
  EXPECT_EQ(Text("key field value [field value ...]"), "key:key field_value:block*(field:string value:string)");
  EXPECT_EQ(Text("key [NX | XX] [GET] [EX seconds | KEEPTTL]"),
            "key:key nx_xx:oneof?(nx:pure-token+NX xx:pure-token+XX) get:pure-token+GET? "
            "seconds_keepttl:oneof?(seconds:integer+EX keepttl:pure-token+KEEPTTL)");
  EXPECT_EQ(Text("cursor [MATCH pattern] [COUNT count]"), "cursor:integer pattern:pattern+MATCH? count:integer+COUNT?");
  EXPECT_EQ(Text("<host port | NO ONE>"),
            "host_port_no_one:oneof(host_port:block(host:string port:string) "
            "no_one:block(no:pure-token+NO one:pure-token+ONE))");
  EXPECT_EQ(Text("[protover [AUTH username password] [SETNAME clientname]]"),
            "protover:block?(protover:integer username_password:block+AUTH?(username:string password:string) "
            "clientname:string+SETNAME?)");
  EXPECT_EQ(Text("[PREFIX prefix [PREFIX prefix ...]]"), "prefix:string+PREFIX?**");
  EXPECT_EQ(Text("<AND | OR> destkey key [key ...]"),
            "and_or:oneof(and:pure-token+AND or:pure-token+OR) destkey:key key:key*");
}

TEST(SyntaxTreeTest, ReadsEveryRowOfTheTable) {
  for (const CommandTable::Row& row : CommandTable::Get().rows()) {
    const std::vector<Argument> arguments = ParseSyntax(row.spec->syntax);
    EXPECT_EQ(arguments.empty(), row.spec->syntax.empty()) << row.full_name;
    const bool has_key = row.spec->keys.first != 0 && row.spec->group != "pubsub";
    if (has_key) {
      EXPECT_NE(Text(row.spec->syntax).find(":key"), std::string::npos) << row.full_name;
    }
  }
}

}  // namespace
}  // namespace tidemark::commands
