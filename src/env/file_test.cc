#include "env/file.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace tidemark {
namespace {

TEST(CreateFolderTest, MakesEveryMissingFolderAndAcceptsThoseThatAre) {
  FileSystem& fs = FileSystem::Posix();
  const std::string root = testing::TempDir() + "/create_folder";
  std::filesystem::remove_all(root);
  ASSERT_TRUE(fs.CreateFolder(root + "/a//b/./c/").ok());
  EXPECT_TRUE(std::filesystem::is_directory(root + "/a/b/c"));
  EXPECT_TRUE(fs.CreateFolder(root + "/a/b/c").ok());
  EXPECT_TRUE(fs.CreateFolder(root + "/a/b/d").ok());
  EXPECT_TRUE(fs.CreateFolder(".").ok());
  EXPECT_TRUE(fs.CreateFolder("/").ok());
  std::filesystem::remove_all(root);
}

TEST(CreateFolderTest, NamesTheFileThatIsInTheWay) {
  FileSystem& fs = FileSystem::Posix();
  const std::string file = testing::TempDir() + "/in_the_way";
  std::filesystem::remove(file);
  ASSERT_TRUE(fs.Open(file, FileSystem::Mode::kCreateNew).ok());
  const absl::Status status = fs.CreateFolder(file + "/inside");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(Message(status).find(file), std::string_view::npos) << status;
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace tidemark
