#include "objstore/s3_xml.h"

#include <gtest/gtest.h>

#include "objstore/testing.h"

namespace tidemark::objstore {
namespace {

std::string List(std::string_view contents, std::string_view truncated = "false") {
  return fmt::format(
      R"(<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">)"
      "<Name>b</Name><IsTruncated>{}</IsTruncated>{}</ListBucketResult>",
      truncated, contents);
}

std::string Entry(std::string_view key, std::string_view size = "5",
                  std::string_view time = "2026-11-21T16:11:47.214Z") {
  return fmt::format(
      "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;5d&quot;</ETag><Size>{}</Size></Contents>",
      key, time, size);
}

TEST(S3XmlTest, ReadsAList) {
  const auto page = ParseS3List(List(Entry("a/b%20c") + Entry("a/c", "18446744073709551615"), "true"));
  ASSERT_OK(page.status());
  EXPECT_TRUE(page->truncated);
  ASSERT_EQ(page->entries.size(), 2u);
  EXPECT_EQ(page->entries[0].key, "a/b c");
  EXPECT_EQ(page->entries[0].size, 5u);
  EXPECT_EQ(page->entries[0].modified_micros, 1'795'277'507'214'000u);
  EXPECT_EQ(page->entries[1].size, UINT64_MAX);
  EXPECT_TRUE(ParseS3List(List(""))->entries.empty());
}

TEST(S3XmlTest, AListWithAnythingWrongIsRefusedWhole) {
  const std::string good = List(Entry("a"));
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(ParseS3List(good.substr(0, size)).status())) << good.substr(0, size);
  }
  for (const std::string& bad :
       {List(Entry("a"), "maybe"), List(Entry("a"), ""), List(Entry("")), List(Entry("%zz")), List(Entry("a", "")),
        List(Entry("a", "-1")), List(Entry("a", "1x")), List(Entry("a", "5", "yesterday")),
        List(Entry("b") + Entry("a")), List(Entry("a") + Entry("a")), good + "<x/>",
        std::string("<html><body>Welcome</body></html>")}) {
    EXPECT_TRUE(absl::IsDataLoss(ParseS3List(bad).status())) << bad;
  }
}

TEST(S3XmlTest, ReadsErrorsAndBearsWhatIsNone) {
  const S3Error error =
      ParseS3Error("<Error><Code>SlowDown</Code><Message>Please\nreduce &lt;it&gt;</Message></Error>");
  EXPECT_EQ(error.code, "SlowDown");
  EXPECT_EQ(error.message, "Please reduce <it>");
  EXPECT_EQ(
      ParseS3Error("<Error><Code>X</Code><Message>" + std::string(9000, 'm') + "</Message></Error>").message.size(),
      200u);
  for (const char* none : {"", "upstream timed out", "<html></html>", "<Error><Code>SlowDown"}) {
    EXPECT_EQ(ParseS3Error(none).code, "") << none;
  }
}

TEST(S3XmlTest, EntitiesDoNotGrow) {
  const std::string bomb =
      "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><Error><Code>&b;</Code></Error>";
  EXPECT_LT(ParseS3Error(bomb).code.size(), 10u);
}

TEST(S3XmlTest, ReadsAnswersOfUploadsInParts) {
  EXPECT_EQ(ParseS3UploadId("<InitiateMultipartUploadResult><UploadId>2~x</UploadId></InitiateMultipartUploadResult>")
                .value(),
            "2~x");
  EXPECT_FALSE(ParseS3UploadId("<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>").ok());
  EXPECT_EQ(
      ParseS3Completed("<CompleteMultipartUploadResult><ETag>\"a-2\"</ETag></CompleteMultipartUploadResult>").value(),
      "\"a-2\"");
  EXPECT_EQ(ParseS3Completed("<CompleteMultipartUploadResult/>").value(), "");
  EXPECT_TRUE(absl::IsDataLoss(ParseS3Completed("<Error><Code>InternalError</Code></Error>").status()));
}

TEST(S3XmlTest, ReadsTimes) {
  uint64_t micros = 0;
  EXPECT_TRUE(ParseS3Time("1970-01-01T00:00:01Z", &micros));
  EXPECT_EQ(micros, 1'000'000u);
  EXPECT_TRUE(ParseS3Time("1970-01-01T00:00:00.1234567Z", &micros));
  EXPECT_EQ(micros, 123'456u);
  EXPECT_TRUE(ParseHttpDate("Sat, 21 Nov 2026 16:11:47 GMT", &micros));
  EXPECT_EQ(micros, 1'795'277'507'000'000u);
  for (const char* bad :
       {"", "2026-11-21", "2026-11-21 16:11:47Z", "2026-11-21T16:11:47", "2026-11-21T16:11:47+01:00"}) {
    EXPECT_FALSE(ParseS3Time(bad, &micros)) << bad;
    EXPECT_FALSE(ParseHttpDate(bad, &micros)) << bad;
  }
}

}  // namespace
}  // namespace tidemark::objstore
