#include "objstore/s3_errors.h"

#include <gtest/gtest.h>

#include "objstore/object_store.h"

namespace tidemark::objstore {
namespace {

absl::Status Of(int status, std::string_view code, Headers headers = {}, std::string_view more = "") {
  return StatusOfResponse(
      {status, std::move(headers),
       code.empty() ? "" : fmt::format("<Error><Code>{}</Code><Message>words</Message>{}</Error>", code, more)});
}

TEST(S3ErrorsTest, TellsWhatPassesFromWhatLasts) {
  struct Case {
    int status;
    const char* code;
    absl::StatusCode expected;
  };
  for (const Case& c : {Case{200, "", absl::StatusCode::kOk},
                        Case{206, "", absl::StatusCode::kOk},
                        Case{503, "SlowDown", absl::StatusCode::kResourceExhausted},
                        Case{503, "", absl::StatusCode::kUnavailable},
                        Case{429, "", absl::StatusCode::kResourceExhausted},
                        Case{400, "ThrottlingException", absl::StatusCode::kResourceExhausted},
                        Case{403, "QuotaExceeded", absl::StatusCode::kResourceExhausted},
                        Case{507, "", absl::StatusCode::kResourceExhausted},
                        Case{500, "InternalError", absl::StatusCode::kUnavailable},
                        Case{504, "", absl::StatusCode::kUnavailable},
                        Case{400, "RequestTimeout", absl::StatusCode::kUnavailable},
                        Case{400, "BadDigest", absl::StatusCode::kDataLoss},
                        Case{409, "ConditionalRequestConflict", absl::StatusCode::kAborted},
                        Case{404, "NoSuchUpload", absl::StatusCode::kAborted},
                        Case{404, "NoSuchKey", absl::StatusCode::kNotFound},
                        Case{404, "", absl::StatusCode::kNotFound},
                        Case{404, "NoSuchBucket", absl::StatusCode::kFailedPrecondition},
                        Case{412, "PreconditionFailed", absl::StatusCode::kAlreadyExists},
                        Case{416, "InvalidRange", absl::StatusCode::kOutOfRange},
                        Case{403, "SignatureDoesNotMatch", absl::StatusCode::kPermissionDenied},
                        Case{401, "", absl::StatusCode::kPermissionDenied},
                        Case{400, "ExpiredToken", absl::StatusCode::kPermissionDenied},
                        Case{501, "NotImplemented", absl::StatusCode::kUnimplemented},
                        Case{301, "PermanentRedirect", absl::StatusCode::kFailedPrecondition},
                        Case{418, "", absl::StatusCode::kFailedPrecondition}}) {
    EXPECT_EQ(Of(c.status, c.code).code(), c.expected) << c.status << " " << c.code;
  }
  EXPECT_TRUE(IsPassing(Of(409, "ConditionalRequestConflict")));
  EXPECT_FALSE(IsPassing(Of(403, "AccessDenied")));
}

TEST(S3ErrorsTest, SaysWhatToDo) {
  EXPECT_EQ(Message(Of(503, "SlowDown")), "503 SlowDown: words");
  EXPECT_EQ(Message(Of(502, "")), "502");
  EXPECT_NE(Message(Of(301, "PermanentRedirect", {{"x-amz-bucket-region", "eu-west-1"}})).find("in region eu-west-1"),
            std::string_view::npos);
  EXPECT_NE(Message(Of(400, "AuthorizationHeaderMalformed", {}, "<Region>eu-west-2</Region>")).find("eu-west-2"),
            std::string_view::npos);
  EXPECT_NE(Message(Of(403, "RequestTimeTooSkewed")).find("clock"), std::string_view::npos);
}

TEST(S3ErrorsTest, RetryAfterIsReadWhereItIsANumber) {
  EXPECT_EQ(RetryAfter({503, {{"retry-after", "7"}}, ""}).count(), 7);
  EXPECT_EQ(RetryAfter({503, {{"retry-after", "Fri, 31 Dec 1999 23:59:59 GMT"}}, ""}).count(), 0);
  EXPECT_EQ(RetryAfter({503, {}, ""}).count(), 0);
}

}  // namespace
}  // namespace tidemark::objstore
